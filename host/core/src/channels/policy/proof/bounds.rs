//! Keywords that are bounds: of numbers, lengths and counts.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::types::values;

/// Whether what is known implies a bound.
pub(super) fn implies(parts: &[&Map<String, Value>], keyword: &str, bound: &Value) -> bool {
    let known = |keyword: &str, good: &[Ordering]| {
        parts.iter().filter_map(|part| compared(part.get(keyword)?, bound)).any(|order| good.contains(&order))
    };
    let (less, same, more) = (Ordering::Less, Ordering::Equal, Ordering::Greater);
    match keyword {
        "minimum" => {
            known("minimum", &[same, more])
                || known("exclusiveMinimum", &[same, more])
                || listed(parts, bound, &[same, more])
        }
        "exclusiveMinimum" => {
            known("exclusiveMinimum", &[same, more]) || known("minimum", &[more]) || listed(parts, bound, &[more])
        }
        "maximum" => {
            known("maximum", &[same, less])
                || known("exclusiveMaximum", &[same, less])
                || listed(parts, bound, &[same, less])
        }
        "exclusiveMaximum" => {
            known("exclusiveMaximum", &[same, less]) || known("maximum", &[less]) || listed(parts, bound, &[less])
        }
        "minLength" | "minItems" => bound.as_u64() == Some(0) || known(keyword, &[same, more]),
        "minProperties" => {
            bound.as_u64() == Some(0)
                || known(keyword, &[same, more])
                || bound.as_u64().is_some_and(|least| needs(parts) >= least)
        }
        "maxLength" | "maxItems" | "maxProperties" => known(keyword, &[same, less]),
        "multipleOf" => parts.iter().filter_map(|part| part.get("multipleOf")).any(|of| is_multiple(of, bound)),
        "uniqueItems" => *bound == Value::Bool(false) || parts.iter().any(|part| at_most_one(part)),
        _ => false,
    }
}

/// How two numbers compare; `None` where a double could not tell them apart.
fn compared(one: &Value, other: &Value) -> Option<Ordering> {
    match (one.as_i64(), other.as_i64()) {
        (Some(one), Some(other)) => Some(one.cmp(&other)),
        _ if one == other => Some(Ordering::Equal),
        _ => exact(one)?.partial_cmp(&exact(other)?),
    }
}

/// A number as a double, if it is that number.
fn exact(value: &Value) -> Option<f64> {
    const DOUBLES_COUNT_TO: f64 = 9_007_199_254_740_992.0;
    let double = value.as_f64()?;
    (value.as_number()?.is_f64() || double.abs() < DOUBLES_COUNT_TO).then_some(double)
}

/// Whether only values are possible whose numbers compare well with a bound.
fn listed(parts: &[&Map<String, Value>], bound: &Value, good: &[Ordering]) -> bool {
    let is_good =
        |value: &&Value| !value.is_number() || compared(value, bound).is_some_and(|order| good.contains(&order));
    parts.iter().filter_map(|part| values(part)).any(|values| values.iter().all(is_good))
}

/// How many fields a payload has at least.
fn needs(parts: &[&Map<String, Value>]) -> u64 {
    let names = parts.iter().filter_map(|part| part.get("required")?.as_array());
    names.map(|names| names.len() as u64).max().unwrap_or(0)
}

fn is_multiple(of: &Value, bound: &Value) -> bool {
    of == bound || of.as_u64().zip(bound.as_u64()).is_some_and(|(of, bound)| bound != 0 && of % bound == 0)
}

fn at_most_one(part: &Map<String, Value>) -> bool {
    part.get("uniqueItems") == Some(&Value::Bool(true))
        || part.get("maxItems").and_then(Value::as_u64).is_some_and(|most| most <= 1)
}
