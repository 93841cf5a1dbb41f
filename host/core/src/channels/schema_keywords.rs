//! The keywords of JSON Schema 2020-12, and which of them contain schemas.

use serde_json::{Map, Value};

/// The content of a keyword.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holds {
    /// A schema.
    Schema,
    /// A list of schemas.
    List,
    /// Schemas by names that the author chooses.
    Named,
    /// No schema.
    Data,
}

use Holds::{Data, List, Named, Schema};

/// Every keyword: those of the vocabularies of 2020-12, the older `definitions`, and `example`, which many authors
/// write for people.
const KEYWORDS: [(&str, Holds); 62] = [
    ("$schema", Data),
    ("$id", Data),
    ("$ref", Data),
    ("$anchor", Data),
    ("$dynamicRef", Data),
    ("$dynamicAnchor", Data),
    ("$vocabulary", Data),
    ("$comment", Data),
    ("$defs", Named),
    ("definitions", Named),
    ("allOf", List),
    ("anyOf", List),
    ("oneOf", List),
    ("not", Schema),
    ("if", Schema),
    ("then", Schema),
    ("else", Schema),
    ("dependentSchemas", Named),
    ("prefixItems", List),
    ("items", Schema),
    ("contains", Schema),
    ("properties", Named),
    ("patternProperties", Named),
    ("additionalProperties", Schema),
    ("propertyNames", Schema),
    ("unevaluatedItems", Schema),
    ("unevaluatedProperties", Schema),
    ("type", Data),
    ("enum", Data),
    ("const", Data),
    ("multipleOf", Data),
    ("maximum", Data),
    ("exclusiveMaximum", Data),
    ("minimum", Data),
    ("exclusiveMinimum", Data),
    ("maxLength", Data),
    ("minLength", Data),
    ("pattern", Data),
    ("maxItems", Data),
    ("minItems", Data),
    ("uniqueItems", Data),
    ("maxContains", Data),
    ("minContains", Data),
    ("maxProperties", Data),
    ("minProperties", Data),
    ("required", Data),
    ("dependentRequired", Data),
    ("title", Data),
    ("description", Data),
    ("default", Data),
    ("deprecated", Data),
    ("readOnly", Data),
    ("writeOnly", Data),
    ("examples", Data),
    ("example", Data),
    ("format", Data),
    ("contentEncoding", Data),
    ("contentMediaType", Data),
    ("contentSchema", Schema),
    ("$recursiveRef", Data),
    ("$recursiveAnchor", Data),
    ("dependencies", Data),
];

/// Those that judge nothing.
const ANNOTATIONS: [&str; 12] = [
    "$schema",
    "$vocabulary",
    "$comment",
    "title",
    "description",
    "default",
    "deprecated",
    "readOnly",
    "writeOnly",
    "examples",
    "example",
    "$id",
];

/// Known from earlier drafts, but not suggested.
const OF_BEFORE: [&str; 4] = ["definitions", "dependencies", "$recursiveRef", "$recursiveAnchor"];

/// Whether the keyword has a meaning here, or is marked as the author's own (`x-…`).
pub(super) fn is_known(keyword: &str) -> bool {
    keyword.starts_with("x-") || KEYWORDS.iter().any(|(known, _)| *known == keyword)
}

/// Whether the keyword is for people and tools only: it judges nothing.
pub(super) fn is_annotation(keyword: &str) -> bool {
    keyword.starts_with("x-") || ANNOTATIONS.contains(&keyword)
}

/// Whether a reference is anywhere in a schema. Data that looks like one counts, too.
pub(super) fn has_reference(schema: &Value) -> bool {
    match schema {
        Value::Object(fields) => {
            fields.contains_key("$ref") || fields.contains_key("$dynamicRef") || fields.values().any(has_reference)
        }
        Value::Array(items) => items.iter().any(has_reference),
        _ => false,
    }
}

/// The names of JSON's types.
const TYPES: [&str; 7] = ["null", "boolean", "object", "array", "number", "string", "integer"];

/// Whether a text names a type.
pub(super) fn is_type(text: &str) -> bool {
    TYPES.contains(&text)
}

/// Every keyword that an author may have meant.
pub(super) fn all() -> Vec<&'static str> {
    KEYWORDS.iter().map(|(keyword, _)| *keyword).filter(|keyword| !OF_BEFORE.contains(keyword)).collect()
}

/// The schemas directly below a schema: the JSON Pointer to each, and the schema.
pub(super) fn below(schema: &Map<String, Value>) -> Vec<(String, &Value)> {
    let mut found = Vec::new();
    for (keyword, value) in schema {
        let holds = KEYWORDS.iter().find(|(known, _)| known == keyword).map_or(Data, |(_, holds)| *holds);
        match (holds, value) {
            (Schema, value) => found.push((format!("/{}", escaped(keyword)), value)),
            (List, Value::Array(items)) => {
                found.extend(items.iter().enumerate().map(|(index, item)| (format!("/{keyword}/{index}"), item)));
            }
            (Named, Value::Object(fields)) => {
                found.extend(fields.iter().map(|(name, item)| (format!("/{keyword}/{}", escaped(name)), item)));
            }
            _ => {}
        }
    }
    found
}

/// A schema with other schemas in place of those directly below it.
pub(super) fn map_below(schema: &Map<String, Value>, mut of: impl FnMut(&Value) -> Value) -> Map<String, Value> {
    let mut mapped = Map::new();
    for (keyword, value) in schema {
        let holds = KEYWORDS.iter().find(|(known, _)| known == keyword).map_or(Data, |(_, holds)| *holds);
        let value = match (holds, value) {
            (Schema, value) => of(value),
            (List, Value::Array(items)) => items.iter().map(&mut of).collect(),
            (Named, Value::Object(fields)) => {
                fields.iter().map(|(name, value)| (name.clone(), of(value))).collect::<Map<_, _>>().into()
            }
            (_, data) => data.clone(),
        };
        mapped.insert(keyword.clone(), value);
    }
    mapped
}

/// Whether the keyword's value is no schema and holds none.
pub(super) fn is_data(keyword: &str) -> bool {
    KEYWORDS.iter().find(|(known, _)| *known == keyword).is_none_or(|(_, holds)| *holds == Data)
}

/// A key as a step of a JSON Pointer (RFC 6901, section 3).
pub(super) fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}
