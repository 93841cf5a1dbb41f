//! Two readings of the metrics, and what happened between them.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value as Json, json};
use tokio::time::Instant;

use tidegate_core::telemetry::{Point, Value, gathered};

/// Every metric at a moment.
pub(super) struct Reading {
    at: Instant,
    points: HashMap<String, Vec<Point>>,
}

/// Labels that a series must have.
pub(super) type Labels<'a> = &'a [(&'a str, &'a str)];

impl Reading {
    /// Reads them now.
    pub(super) fn now() -> Self {
        let points = gathered().into_iter().map(|family| (family.name, family.points)).collect();
        Self { at: Instant::now(), points }
    }

    fn series<'a>(&'a self, metric: &str, labels: Labels<'a>) -> impl Iterator<Item = &'a Point> {
        let series = self.points.get(metric).into_iter().flatten();
        series.filter(move |point| labels.iter().all(|(name, value)| label(point, name) == Some(*value)))
    }

    /// Whether anything was ever recorded.
    pub(super) fn has(&self, metric: &str) -> bool {
        self.points.get(metric).is_some_and(|points| !points.is_empty())
    }

    /// The sum of the series with these labels.
    pub(super) fn sum(&self, metric: &str, labels: Labels<'_>) -> f64 {
        // Not `sum`, which says `-0` of nothing.
        self.series(metric, labels).map(number).fold(0.0, |sum, value| sum + value)
    }

    /// The sums by the value of a label.
    pub(super) fn sums(&self, metric: &str, by: &str, labels: Labels<'_>) -> BTreeMap<&str, f64> {
        let mut sums = BTreeMap::new();
        for point in self.points.get(metric).into_iter().flatten() {
            let fits = labels.iter().all(|(name, value)| label(point, name) == Some(*value));
            if let (true, Some(value)) = (fits, label(point, by)) {
                *sums.entry(value).or_default() += number(point);
            }
        }
        sums
    }
}

/// What happened between two readings.
pub(super) struct Change<'a> {
    pub(super) before: &'a Reading,
    pub(super) now: &'a Reading,
}

impl Change<'_> {
    /// How much a counter grew, a second.
    pub(super) fn per_s(&self, metric: &str, labels: Labels<'_>) -> f64 {
        self.rate(self.now.sum(metric, labels) - self.before.sum(metric, labels))
    }

    /// The same by the value of a label; values that did not grow are left out.
    pub(super) fn rates(&self, metric: &str, by: &str, labels: Labels<'_>) -> BTreeMap<&str, f64> {
        let before = self.before.sums(metric, by, labels);
        let grown = self.now.sums(metric, by, labels).into_iter().map(|(value, sum)| {
            let rate = self.rate(sum - before.get(value).copied().unwrap_or_default());
            (value, rate)
        });
        grown.filter(|(_, rate)| *rate > 0.0).collect()
    }

    fn rate(&self, grown: f64) -> f64 {
        let seconds = self.now.at.saturating_duration_since(self.before.at).as_secs_f64();
        if seconds > 0.0 { rounded((grown / seconds).max(0.0)) } else { 0.0 }
    }

    /// How long what happened between the readings took.
    pub(super) fn times(&self, metric: &str, labels: Labels<'_>) -> Times {
        let (before, now) = (histogram(self.before, metric, labels), histogram(self.now, metric, labels));
        let mut times = Times { bounds: now.bounds, counts: now.counts };
        for (count, earlier) in times.counts.iter_mut().zip(before.counts) {
            *count = count.saturating_sub(earlier);
        }
        times
    }
}

/// How long something took, in ranges.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Times {
    bounds: Vec<f64>,
    counts: Vec<u64>,
}

impl Times {
    /// In ms, between the bounds of the range that it is in; null if nothing happened. What is beyond the last bound is
    /// told as that bound.
    pub(super) fn quantile_ms(&self, share: f64) -> Json {
        let total: u64 = self.counts.iter().sum();
        let (rank, mut below) = (share * total as f64, 0.0);
        for (index, count) in self.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let count = *count as f64;
            if below + count >= rank {
                let lower =
                    index.checked_sub(1).and_then(|before| self.bounds.get(before)).copied().unwrap_or_default();
                let upper = self.bounds.get(index).copied().unwrap_or(lower);
                return json!(rounded((lower + (upper - lower) * (rank - below) / count) * 1000.0));
            }
            below += count;
        }
        Json::Null
    }
}

fn histogram(reading: &Reading, metric: &str, labels: Labels<'_>) -> Times {
    let mut sum = Times::default();
    for point in reading.series(metric, labels) {
        let Value::Histogram { bounds, counts, .. } = &point.value else { continue };
        if sum.counts.is_empty() {
            sum = Times { bounds: bounds.clone(), counts: counts.clone() };
        } else {
            sum.counts.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
    }
    sum
}

fn label<'a>(point: &'a Point, name: &str) -> Option<&'a str> {
    point.labels.iter().find(|(label, _)| label == name).map(|(_, value)| value.as_str())
}

fn number(point: &Point) -> f64 {
    match &point.value {
        Value::Number(number) => *number,
        Value::Histogram { counts, .. } => counts.iter().sum::<u64>() as f64,
    }
}

/// Three digits behind the point are enough for eyes.
fn rounded(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// The name, the labels and the value of a series.
    type Series<'a> = (&'a str, Vec<(&'a str, &'a str)>, Value);

    fn reading(seconds: u64, points: Vec<Series<'_>>) -> Reading {
        static BEGAN: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
        let mut found: HashMap<String, Vec<Point>> = HashMap::new();
        for (metric, labels, value) in points {
            let labels = labels.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            found.entry(metric.to_owned()).or_default().push(Point { labels, value });
        }
        Reading { at: *BEGAN + Duration::from_secs(seconds), points: found }
    }

    #[test]
    fn a_rate_is_what_grew_over_the_time_between_the_readings() {
        let at = |seconds, ok, no| {
            let point = |outcome, n| ("d", vec![("gate", "connect"), ("outcome", outcome)], Value::Number(n));
            reading(seconds, vec![point("ok", ok), point("forbidden", no)])
        };
        let (before, now) = (at(10, 5.0, 2.0), at(14, 9.0, 2.0));
        let change = Change { before: &before, now: &now };
        assert_eq!(change.per_s("d", &[]), 1.0);
        assert_eq!(change.per_s("d", &[("outcome", "forbidden")]), 0.0);
        assert_eq!(change.per_s("d", &[("gate", "inbound")]), 0.0);
        assert_eq!(change.rates("d", "outcome", &[]), BTreeMap::from([("ok", 1.0)]));
        let empty = reading(10, Vec::new());
        assert_eq!(Change { before: &empty, now: &now }.per_s("d", &[("outcome", "ok")]), 2.25, "a new series");
    }

    #[test]
    fn quantiles_are_of_what_happened_between_the_readings() {
        let at = |counts: [u64; 3]| {
            let value = Value::Histogram { bounds: vec![0.001, 0.01], counts: counts.to_vec(), sum: 0.0 };
            reading(0, vec![("t", Vec::new(), value)])
        };
        let (before, now) = (at([50, 0, 0]), at([60, 0, 0]));
        let times = Change { before: &before, now: &now }.times("t", &[]);
        assert_eq!((times.quantile_ms(0.5), times.quantile_ms(1.0)), (json!(0.5), json!(1.0)));
        let now = at([50, 10, 1]);
        let times = Change { before: &before, now: &now }.times("t", &[]);
        assert_eq!(times.quantile_ms(1.0), json!(10.0), "beyond the last bound");
        assert_eq!(Change { before: &now, now: &now }.times("t", &[]).quantile_ms(0.5), Json::Null);
    }
}
