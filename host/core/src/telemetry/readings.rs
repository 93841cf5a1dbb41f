//! What the metrics say of the bridge now, for operators.

use std::collections::BTreeMap;

use super::gathered::{Family, Point, Value, gathered};
use super::names;

/// The bridge's numbers since the start of this process.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BridgeReading {
    /// What became of the events of each rule: by `on`, `to` and outcome.
    pub rules: BTreeMap<(String, String, String), u64>,
    /// The sources by their names.
    pub sources: BTreeMap<String, SourceReading>,
    /// Dead letters that are kept.
    pub dead_letters: u64,
    /// Events without a rule.
    pub unlisted: u64,
}

/// The numbers of a source of bus events.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct SourceReading {
    /// Whether it is read; `None` if it has no link that could be away.
    pub up: Option<bool>,
    /// Events that were taken.
    pub events: u64,
    /// How old the last event was when it crossed, in seconds.
    pub lag_s: Option<f64>,
}

/// Reads the bridge's metrics.
#[must_use]
pub fn bridge_reading() -> BridgeReading {
    read(gathered())
}

fn read(families: Vec<Family>) -> BridgeReading {
    let mut reading = BridgeReading::default();
    for Family { name, points, .. } in families {
        for Point { labels, value } in points {
            if let Value::Number(value) = value {
                reading.take(&name, &labels, value);
            }
        }
    }
    reading
}

impl BridgeReading {
    fn take(&mut self, name: &str, labels: &[(String, String)], value: f64) {
        let label =
            |key: &str| labels.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone()).unwrap_or_default();
        if name == names::BUS_SOURCE_UP.name {
            self.sources.entry(label("source")).or_default().up = Some(value > 0.0);
        } else if name == names::BUS_EVENTS.name && label("outcome") == "taken" {
            self.sources.entry(label("source")).or_default().events = whole(value);
        } else if name == names::BUS_LAG.name {
            self.sources.entry(label("source")).or_default().lag_s = Some(value);
        } else if name == names::BRIDGED.name {
            self.rules.insert((label("on"), label("to"), label("outcome")), whole(value));
        } else if name == names::DEAD_LETTERS.name {
            self.dead_letters = whole(value);
        } else if name == names::BUS_UNLISTED.name {
            self.unlisted = whole(value);
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
const fn whole(value: f64) -> u64 {
    value as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_the_bridge_are_those_of_the_metrics() {
        let text = r#"# HELP tidegate_bridge_events_total Bus events
# TYPE tidegate_bridge_events_total counter
tidegate_bridge_events_total{on="a.*",to="vault.{id}",outcome="crossed"} 7
tidegate_bridge_events_total{on="odd \"on\" \\",to="b",outcome="dead"} 1
# TYPE tidegate_bus_source_up gauge
tidegate_bus_source_up{source="redis:a"} 0
# TYPE tidegate_bus_events_total counter
tidegate_bus_events_total{source="redis:a",outcome="taken"} 9
tidegate_bus_events_total{source="redis:a",outcome="duplicate"} 2
tidegate_bus_events_total{source="http",outcome="taken"} 3
# TYPE tidegate_bus_lag_seconds gauge
tidegate_bus_lag_seconds{source="redis:a"} 0.25
# TYPE tidegate_dead_letters gauge
tidegate_dead_letters 4
# TYPE tidegate_bus_unlisted_total counter
tidegate_bus_unlisted_total 5
"#;
        let BridgeReading { rules, sources, dead_letters, unlisted } = read(super::super::gathered::read(text));
        let rule = |on: &str, to: &str, outcome: &str| (on.to_owned(), to.to_owned(), outcome.to_owned());
        assert_eq!(rules, [(rule("a.*", "vault.{id}", "crossed"), 7), (rule("odd \"on\" \\", "b", "dead"), 1)].into());
        let redis = SourceReading { up: Some(false), events: 9, lag_s: Some(0.25) };
        let http = SourceReading { up: None, events: 3, lag_s: None };
        assert_eq!(sources, [("redis:a".to_owned(), redis), ("http".to_owned(), http)].into());
        assert_eq!((dead_letters, unlisted), (4, 5));
    }
}
