//! Every metric as it is now, for other formats than Prometheus's: read from the text that `/metrics` shows, so that both
//! say the same.

use super::registry::render;

/// A metric with its series.
#[derive(Debug, Clone, PartialEq)]
pub struct Family {
    /// Its name.
    pub name: String,
    /// What it says.
    pub help: String,
    /// What it is.
    pub kind: FamilyKind,
    /// Its series.
    pub points: Vec<Point>,
}

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FamilyKind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// How often something was in which range.
    Histogram,
}

/// Names and values.
pub type Labels = Vec<(String, String)>;

/// A series.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Names and values.
    pub labels: Labels,
    /// Its value.
    pub value: Value,
}

/// The value of a series.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Of a counter or a gauge.
    Number(f64),
    /// Of a histogram.
    Histogram {
        /// The upper bounds of the ranges; the last range has none.
        bounds: Vec<f64>,
        /// How many were in each range: one more than bounds.
        counts: Vec<u64>,
        /// The sum of all.
        sum: f64,
    },
}

/// Every metric that was recorded.
#[must_use]
pub fn gathered() -> Vec<Family> {
    read(&render())
}

pub(super) fn read(text: &str) -> Vec<Family> {
    let mut families: Vec<Family> = Vec::new();
    let mut help = ("", "");
    for line in text.lines() {
        if let Some(said) = line.strip_prefix("# HELP ") {
            help = said.split_once(' ').unwrap_or((said, ""));
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|said| said.split_once(' ')) {
            let kind = match kind {
                "counter" => FamilyKind::Counter,
                "histogram" => FamilyKind::Histogram,
                _ => FamilyKind::Gauge,
            };
            let help = if help.0 == name { unescaped(help.1) } else { String::new() };
            families.push(Family { name: name.to_owned(), help, kind, points: Vec::new() });
        } else if let (Some(family), Some((name, labels, value))) = (families.last_mut(), sample(line)) {
            family.take(name, labels, value);
        }
    }
    families
}

impl Family {
    /// Takes a line. Those of one series of a histogram follow one another, bounds first and ascending.
    fn take(&mut self, name: &str, mut labels: Labels, value: f64) {
        if self.kind != FamilyKind::Histogram {
            return self.points.push(Point { labels, value: Value::Number(value) });
        }
        let part = name.strip_prefix(self.name.as_str()).unwrap_or_default();
        let bound = labels.iter().position(|(name, _)| name == "le").map(|at| labels.remove(at).1);
        if self.points.last().is_none_or(|last| last.labels != labels) {
            let value = Value::Histogram { bounds: Vec::new(), counts: Vec::new(), sum: 0.0 };
            self.points.push(Point { labels, value });
        }
        let Some(Point { value: Value::Histogram { bounds, counts, sum }, .. }) = self.points.last_mut() else {
            return;
        };
        match (part, bound) {
            ("_sum", _) => *sum = value,
            ("_bucket", Some(bound)) => {
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
                let below = value as u64;
                counts.push(below.saturating_sub(counts.iter().sum()));
                bounds.extend(bound.parse::<f64>().ok().filter(|bound| bound.is_finite()));
            }
            _ => {}
        }
    }
}

/// `name{label="value",…} number`.
fn sample(line: &str) -> Option<(&str, Labels, f64)> {
    if line.starts_with('#') {
        return None;
    }
    let end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = Vec::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            let (label, quoted) = rest.split_once("=\"")?;
            let end = end_of_text(quoted)?;
            labels.push((label.trim_start_matches(',').to_owned(), unescaped(&quoted[..end])));
            rest = &quoted[end + 1..];
        }
        rest = &rest[1..];
    }
    Some((name, labels, rest.trim().parse().ok()?))
}

/// Where the quote is that ends a text.
fn end_of_text(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    text.bytes().position(|byte| {
        let ends = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        ends
    })
}

fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some('n') => out.push('\n'),
                Some(other) => out.push(other),
                None => out.push('\\'),
            },
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_text_of_metrics_is_read_back() {
        let text = r#"# HELP a_total How many, by \\ and so on
# TYPE a_total counter
a_total{x="1",y="a\"b\\,} \n"} 3
a_total 4

# TYPE b gauge
b -1.5
# HELP c_seconds Time
# TYPE c_seconds histogram
c_seconds_bucket{x="1",le="0.1"} 2
c_seconds_bucket{x="1",le="1"} 5
c_seconds_bucket{x="1",le="+Inf"} 6
c_seconds_sum{x="1"} 7.5
c_seconds_count{x="1"} 6
"#;
        let point = |labels, value| Point { labels, value: Value::Number(value) };
        let found = read(text);
        assert_eq!(
            found[0],
            Family {
                name: "a_total".to_owned(),
                help: "How many, by \\ and so on".to_owned(),
                kind: FamilyKind::Counter,
                points: vec![point(labels(&[("x", "1"), ("y", "a\"b\\,} \n")]), 3.0), point(Vec::new(), 4.0)],
            }
        );
        assert_eq!((found[1].kind, found[1].points.as_slice()), (FamilyKind::Gauge, &[point(Vec::new(), -1.5)][..]));
        let value = Value::Histogram { bounds: vec![0.1, 1.0], counts: vec![2, 3, 1], sum: 7.5 };
        assert_eq!(found[2].points, [Point { labels: labels(&[("x", "1")]), value }]);
    }

    #[test]
    fn every_metric_of_the_text_is_gathered() {
        crate::telemetry::gate(crate::telemetry::Gate::Inbound, "gathered.{id}", "ok", std::time::Duration::ZERO);
        let text = render();
        let names: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
        let found = gathered();
        assert!(names.iter().all(|name| found.iter().any(|family| family.name == *name)));
        let times = found.iter().find(|family| family.name == "tidegate_gate_seconds").unwrap();
        assert!(times.points.iter().any(|point| point.labels.contains(&("channel".into(), "gathered.{id}".into()))));
    }
}
