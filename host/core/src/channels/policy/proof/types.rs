//! The types of JSON that payloads can have which meet schemas, as bits.

use serde_json::{Map, Value};

use super::list;

/// No payload at all.
pub(super) const NONE: u8 = 0;
pub(super) const OBJECT: u8 = 1;
const NULL: u8 = 1 << 1;
const BOOLEAN: u8 = 1 << 2;
const ARRAY: u8 = 1 << 3;
const STRING: u8 = 1 << 4;
const WHOLE: u8 = 1 << 5;
const FRACTION: u8 = 1 << 6;
const ANY: u8 = u8::MAX >> 1;

/// The types that a `type` allows.
pub(super) fn written(value: &Value) -> u8 {
    let one = |name: &str| match name {
        "object" => OBJECT,
        "null" => NULL,
        "boolean" => BOOLEAN,
        "array" => ARRAY,
        "string" => STRING,
        "integer" => WHOLE,
        "number" => WHOLE | FRACTION,
        _ => NONE,
    };
    match value {
        Value::String(name) => one(name),
        value => list(value).filter_map(Value::as_str).fold(NONE, |all, name| all | one(name)),
    }
}

/// The types that payloads can have which meet all of these.
pub(super) fn of(parts: &[&Map<String, Value>]) -> u8 {
    parts.iter().fold(ANY, |types, part| {
        let written = part.get("type").map_or(ANY, written);
        let listed = values(part).map_or(ANY, |values| values.iter().fold(NONE, |all, value| all | type_of(value)));
        types & written & listed
    })
}

fn type_of(value: &Value) -> u8 {
    match value {
        Value::Null => NULL,
        Value::Bool(_) => BOOLEAN,
        // `1.0` is whole for JSON Schema; whether `1e300` is, nobody has to decide here.
        Value::Number(number) if number.is_f64() => WHOLE | FRACTION,
        Value::Number(_) => WHOLE,
        Value::String(_) => STRING,
        Value::Array(_) => ARRAY,
        Value::Object(_) => OBJECT,
    }
}

/// Whether all of these types are among the others.
pub(super) const fn is_within(types: u8, others: u8) -> bool {
    types & !others == NONE
}

/// The types that a keyword judges; it says nothing of the others.
pub(super) fn judged_by(keyword: &str) -> u8 {
    match keyword {
        "multipleOf" | "maximum" | "exclusiveMaximum" | "minimum" | "exclusiveMinimum" => WHOLE | FRACTION,
        "maxLength" | "minLength" | "pattern" | "format" | "contentEncoding" | "contentMediaType" | "contentSchema" => {
            STRING
        }
        "maxItems" | "minItems" | "uniqueItems" | "contains" | "maxContains" | "minContains" | "items"
        | "prefixItems" | "unevaluatedItems" => ARRAY,
        "maxProperties"
        | "minProperties"
        | "required"
        | "dependentRequired"
        | "dependentSchemas"
        | "properties"
        | "patternProperties"
        | "additionalProperties"
        | "propertyNames"
        | "unevaluatedProperties" => OBJECT,
        _ => ANY,
    }
}

/// The values that a schema lists, if it does.
pub(super) fn values(part: &Map<String, Value>) -> Option<Vec<&Value>> {
    let one = part.get("const").map(|value| vec![value]);
    one.or_else(|| part.get("enum").map(|values| list(values).collect()))
}

/// Whether only values are possible that `enum` or `const` lists.
pub(super) fn is_one_of(parts: &[&Map<String, Value>], keyword: &str, value: &Value) -> bool {
    let listed: Vec<&Value> = if keyword == "const" { vec![value] } else { list(value).collect() };
    let is_listed = |value: &&Value| listed.contains(value);
    parts.iter().filter_map(|part| values(part)).any(|values| values.iter().all(is_listed))
}
