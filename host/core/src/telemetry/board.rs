//! What operators look at outside of the server, held against the metrics: each query of the board and of the alert rules
//! in `config/deploy/` names a metric that exists, with labels that it has.

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::Path;

    use super::super::gathered::{FamilyKind, gathered};

    /// The labels that Prometheus adds.
    const OF_PROMETHEUS: [&str; 2] = ["instance", "job"];

    /// The labels of each series by its name in queries.
    fn series() -> BTreeMap<String, BTreeSet<String>> {
        let mut series = BTreeMap::new();
        for family in gathered() {
            let labels = family.points.iter().flat_map(|point| point.labels.iter().map(|(name, _)| name.clone()));
            let labels: BTreeSet<String> = labels.chain(OF_PROMETHEUS.map(str::to_owned)).collect();
            if family.kind == FamilyKind::Histogram {
                for part in ["sum", "count"] {
                    series.insert(format!("{}_{part}", family.name), labels.clone());
                }
                let labels = labels.into_iter().chain(["le".to_owned()]).collect();
                series.insert(format!("{}_bucket", family.name), labels);
            } else {
                series.insert(family.name, labels);
            }
        }
        series
    }

    /// The names of metrics in a text, each with the labels that a matcher behind it names.
    fn named(text: &str) -> Vec<(&str, Vec<&str>)> {
        let mut found = Vec::new();
        for (at, _) in text.match_indices("tidegate_") {
            let rest = &text[at..];
            let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
            let (name, behind) = rest.split_at(end);
            let inside =
                behind.strip_prefix('{').and_then(|inside| inside.split_once('}')).map_or("", |(inside, _)| inside);
            let is_label =
                |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
            let labels = inside.split(['=', '~', '!', ',', '"', ' ']).filter(|label| is_label(label));
            // What stands before an operator; values stand in quotes.
            let is_before =
                |label: &&str| inside.contains(&format!("{label}=")) || inside.contains(&format!("{label}!"));
            found.push((name, labels.filter(is_before).collect()));
        }
        found
    }

    /// What each `by (…) (…)` of a text groups, and the labels by which it does.
    fn grouped(text: &str) -> Vec<(Vec<&str>, &str)> {
        let mut found = Vec::new();
        for (at, word) in text.match_indices("by (") {
            let Some((labels, rest)) = text[at + word.len()..].split_once(')') else { continue };
            let Some(rest) = rest.trim_start().strip_prefix('(') else { continue };
            let mut depth = 1;
            let end = rest.find(|c| {
                depth += match c {
                    '(' => 1,
                    ')' => -1,
                    _ => 0,
                };
                depth == 0
            });
            found.push((labels.split(',').map(str::trim).collect(), &rest[..end.unwrap_or(rest.len())]));
        }
        found
    }

    fn mistakes(text: &str, series: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut check = |name: &str, labels: &[&str]| match series.get(name) {
            None => wrong.push(format!("`{name}` is no metric")),
            Some(known) => {
                let unknown = labels.iter().filter(|label| !known.contains(**label));
                wrong.extend(unknown.map(|label| format!("`{name}` has no label `{label}`")));
            }
        };
        named(text).iter().for_each(|(name, labels)| check(name, labels));
        for (labels, inside) in grouped(text) {
            named(inside).iter().for_each(|(name, _)| check(name, &labels));
        }
        wrong
    }

    fn deployed(name: &str) -> String {
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/deploy").join(name)).unwrap()
    }

    #[test]
    fn every_query_of_the_board_and_of_the_alerts_names_a_metric_that_exists_with_labels_that_it_has() {
        super::super::tests::record_everything();
        let series = series();
        // The texts of JSON, with their quotes.
        let board: serde_json::Value = serde_json::from_str(&deployed("grafana.json")).unwrap();
        let mut queries = vec![deployed("alerts.yaml")];
        let mut waiting = vec![&board];
        while let Some(value) = waiting.pop() {
            match value {
                serde_json::Value::String(text) => queries.push(text.clone()),
                serde_json::Value::Array(items) => waiting.extend(items),
                serde_json::Value::Object(fields) => waiting.extend(fields.values()),
                _ => {}
            }
        }
        assert!(queries.iter().filter(|query| query.contains("tidegate_")).count() > 30);
        let wrong: Vec<String> = queries.iter().flat_map(|query| mistakes(query, &series)).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn a_query_with_a_metric_or_a_label_that_is_not_there_is_found() {
        super::super::tests::record_everything();
        let series = series();
        for (query, wrong) in [
            ("rate(tidegate_gate_decisions_total{gate=\"inbound\"}[5m])", vec![]),
            ("rate(tidegate_gone_total[5m])", vec!["`tidegate_gone_total` is no metric"]),
            ("tidegate_gate_seconds", vec!["`tidegate_gate_seconds` is no metric"]),
            (
                "tidegate_gate_decisions_total{gate=\"ok\",plugin!~\"p\"}",
                vec!["`tidegate_gate_decisions_total` has no label `plugin`"],
            ),
            (
                "sum by (instance, plugin) (rate(tidegate_subscriptions[1m]))",
                vec!["`tidegate_subscriptions` has no label `plugin`"],
            ),
            ("histogram_quantile(0.9, sum by (le, gate) (rate(tidegate_gate_seconds_bucket[1m])))", vec![]),
        ] {
            assert_eq!(mistakes(query, &series), wrong, "{query}");
        }
    }
}
