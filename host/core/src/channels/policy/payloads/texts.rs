//! Texts at the edges of a schema.

use serde_json::{Map, Value};

use super::make::Pair;
use super::pattern;

/// Longest text that is made, in characters.
const CHARS_MAX: usize = 20_000;

/// A right text of each format, and one that is often none.
const OF_FORMATS: [(&str, &str); 18] = [
    ("date-time", "2026-01-31T12:00:00Z"),
    ("date", "2026-01-31"),
    ("time", "12:00:00Z"),
    ("duration", "PT10M"),
    ("email", "a@example.com"),
    ("idn-email", "ä@example.com"),
    ("hostname", "example.com"),
    ("idn-hostname", "bücher.example"),
    ("ipv4", "192.0.2.1"),
    ("ipv6", "2001:db8::1"),
    ("uri", "https://example.com/a"),
    ("uri-reference", "/a"),
    ("iri", "https://bücher.example/ä"),
    ("iri-reference", "/ä"),
    ("uuid", "9b2f6a10-5c1e-4f0a-8d3b-2f7c1e5a9d40"),
    ("uri-template", "/a/{b}"),
    ("json-pointer", "/a/b"),
    ("regex", "^a+$"),
];

/// Texts around the bounds of both schemas; the first one meets its own, if that is easy.
pub(super) fn texts(pair: Pair<'_>) -> Vec<Value> {
    let Pair { own, other } = pair;
    let mut texts: Vec<String> = Vec::new();
    for fields in [own, other] {
        let format = fields.get("format").and_then(Value::as_str);
        texts.extend(format.and_then(of_format).map(str::to_owned));
        texts.extend(fields.get("pattern").and_then(Value::as_str).map(of_pattern).unwrap_or_default());
    }
    let mut lengths: Vec<u64> = count(own, "minLength").into_iter().collect();
    for fields in [other, own] {
        let bounds = ["minLength", "maxLength"].iter().filter_map(|key| count(fields, key));
        lengths.extend(bounds.flat_map(|bound| [bound, bound.saturating_sub(1), bound + 1]));
    }
    let lengths: Vec<usize> = lengths
        .into_iter()
        .filter_map(|length| usize::try_from(length).ok().filter(|length| *length <= CHARS_MAX))
        .collect();
    let made = texts.clone();
    for length in lengths {
        texts.extend(made.iter().map(|text| of_length(text, length)));
        texts.push("a".repeat(length));
    }
    texts.extend(["a", "", "A", "0", "a b", "é", "1", "-"].map(str::to_owned));
    let is_long_enough = |text: &String| {
        let chars = text.chars().count() as u64;
        count(own, "minLength").is_none_or(|least| chars >= least)
            && count(own, "maxLength").is_none_or(|most| chars <= most)
    };
    // A stable sort: those with a length that is right first.
    texts.sort_by_key(|text| !is_long_enough(text));
    let mut unique: Vec<Value> = Vec::new();
    for text in texts.into_iter().map(Value::String) {
        if !unique.contains(&text) {
            unique.push(text);
        }
    }
    unique
}

fn count(fields: &Map<String, Value>, key: &str) -> Option<u64> {
    fields.get(key).and_then(Value::as_u64)
}

fn of_format(format: &str) -> Option<&'static str> {
    OF_FORMATS.iter().find(|(name, _)| *name == format).map(|(_, text)| *text)
}

/// Texts that meet a pattern, as far as it is one that is easy to meet.
pub(super) fn of_pattern(pattern: &str) -> Vec<String> {
    pattern::texts(pattern)
}

/// A text cut or lengthened: its last character again and again.
fn of_length(text: &str, length: usize) -> String {
    let last = text.chars().next_back().unwrap_or('a');
    text.chars().chain(std::iter::repeat(last)).take(length).collect()
}
