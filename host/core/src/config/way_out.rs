//! The hint for a value of the wrong type: what to write instead. A type that knows it puts it behind its message.

use serde::de::Error;
use serde_json::Value;

use super::decode::quoted;
use super::{Node, Shape, mend, nearest_name, quoting};

/// Stands between the message of a type and its hint.
const HINT: &str = "\nhint: ";
/// Stands for the key of the value in a hint, with the colon.
pub(crate) const KEY: &str = "{key}: ";
/// The words that people write for a thing that they do not want.
pub(super) const NO: [&str; 6] = ["off", "no", "none", "never", "disabled", "false"];
/// The words that people write for a thing that they want.
const YES: [&str; 4] = ["on", "yes", "enabled", "true"];
/// How many keys of a mapping a hint shows.
const KEYS_SHOWN: usize = 3;

/// An error with the way out. [`KEY`] in the hint stands for the key of the value.
pub(crate) fn with_hint<E: Error>(mistake: impl std::fmt::Display, hint: &str) -> E {
    E::custom(format!("{mistake}{HINT}{hint}"))
}

/// A message and the hint behind it.
pub(super) fn split(text: &str) -> (&str, Option<&str>) {
    text.split_once(HINT).map_or((text, None), |(message, hint)| (message, Some(hint)))
}

/// A hint for the value of a key; an item of a list and a whole file have none.
pub(super) fn for_key(hint: &str, key: Option<&String>) -> String {
    let key = key.filter(|key| key.parse::<usize>().is_err());
    hint.replace(KEY, &key.map(|key| format!("{key}: ")).unwrap_or_default())
}

/// The hint for a value in place of a mapping with these keys.
pub(super) fn of_mapping(keys: &[&str], found: &Node, is_optional: bool) -> String {
    let shown: Vec<String> = keys.iter().take(KEYS_SHOWN).map(|key| format!("{key}: …")).collect();
    let more = if keys.len() > KEYS_SHOWN { ", …" } else { "" };
    let written = format!("write `{KEY}{{ {}{more} }}`", shown.join(", "));
    if is_optional && says(found, &NO) { format!("leave it out, or {written}") } else { written }
}

/// The names of which a value must be one, as serde writes them.
pub(super) fn one_of(names: &[&str]) -> String {
    let ticked: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match ticked.as_slice() {
        [one] => one.clone(),
        [one, other] => format!("{one} or {other}"),
        many => format!("one of {}", many.join(", ")),
    }
}

/// The hint for an unknown key below a key without a value: it is not indented enough. `known` are the keys beside it.
pub(super) fn of_indent(node: &Node, path: &[String], known: &[String]) -> Option<String> {
    let (key, above) = path.split_last()?;
    let entries = mend::at(node, above)?.entries();
    let at = entries.iter().position(|entry| entry.key == *key)?;
    let column = entries.get(at)?.key_place.column;
    let above = entries.get(..at)?.iter().rfind(|entry| known.contains(&entry.key))?;
    let is_meant = matches!(above.value.shape, Shape::Nothing) && above.key_place.column == column;
    is_meant.then(|| format!("to make it a part of `{0}`, indent it more than `{0}:`", above.key))
}

/// The hint for a name that is almost one of the expected names.
pub(super) fn of_names(told: &str) -> Option<String> {
    let (expected, found) = told.strip_prefix("expected ")?.rsplit_once(", found `")?;
    let names = quoted(expected);
    let nearest = nearest_name(found.trim_end_matches('`'), &names)?;
    expected.trim_start_matches("one of ").starts_with('`').then(|| format!("did you mean `{nearest}`?"))
}

/// The hint that the value itself gives; `told` is the error.
pub(super) fn of_value(value: &Node, told: &str) -> Option<String> {
    if told.starts_with("expected a boolean, ") {
        let meant = if says(value, &YES) { "true" } else { "false" };
        return (says(value, &YES) || says(value, &NO)).then(|| format!("write `{meant}`"));
    }
    if told.starts_with("expected a list, ") {
        return match &value.shape {
            Shape::Scalar(scalar) => Some(format!("write `{KEY}[{}]`", written(scalar))),
            Shape::Map(_) => Some(format!("begin an item of the list with `- `, or write `{KEY}[{{ … }}]`")),
            Shape::Nothing | Shape::List(_) => None,
        };
    }
    if told.starts_with("expected a whole number, ")
        && let Some(number) = whole_number(value)
    {
        return Some(format!("write `{KEY}{number}`"));
    }
    quoting::misread(value, told)
}

/// A scalar as an item of a list.
fn written(scalar: &Value) -> String {
    match scalar.as_str() {
        Some(text) if text.starts_with(|c: char| c.is_alphanumeric()) && !text.contains([',', ']', '#', ' ']) => {
            text.to_owned()
        }
        _ => scalar.to_string(),
    }
}

/// The number that people mean by `100_000`, `100'000` and `1e5`.
fn whole_number(value: &Node) -> Option<u64> {
    let Shape::Scalar(scalar) = &value.shape else { return None };
    match scalar {
        Value::String(text) => {
            let has_digits = text.starts_with(|c: char| c.is_ascii_digit());
            let digits = has_digits.then(|| text.replace(['_', ',', '\'', ' '], ""))?;
            digits.parse().ok()
        }
        Value::Number(number) => {
            let number = number.as_f64()?;
            let is_whole = number.fract() == 0.0 && (0.0..1e15).contains(&number);
            is_whole.then(|| format!("{number:.0}").parse().ok())?
        }
        _ => None,
    }
}

fn says(value: &Node, words: &[&str]) -> bool {
    match &value.shape {
        Shape::Scalar(Value::Bool(is)) => words.contains(&if *is { "true" } else { "false" }),
        Shape::Scalar(Value::String(text)) => words.contains(&text.to_lowercase().as_str()),
        _ => false,
    }
}
