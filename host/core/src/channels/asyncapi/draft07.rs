//! From JSON Schema 2020-12 to the schemas of AsyncAPI, which are of draft-07: with the same judgement of every payload,
//! or not at all.

use serde_json::{Map, Value, json};

use crate::channels::schema_keywords::map_below;

/// Keywords of 2020-12 with the same meaning in draft-07, beside those that are translated.
const SAME: [&str; 43] = [
    "$comment",
    "title",
    "description",
    "default",
    "examples",
    "readOnly",
    "writeOnly",
    "deprecated",
    "type",
    "enum",
    "const",
    "multipleOf",
    "maximum",
    "exclusiveMaximum",
    "minimum",
    "exclusiveMinimum",
    "maxLength",
    "minLength",
    "pattern",
    "format",
    "contentEncoding",
    "contentMediaType",
    "items",
    "additionalItems",
    "maxItems",
    "minItems",
    "uniqueItems",
    "contains",
    "maxProperties",
    "minProperties",
    "required",
    "properties",
    "patternProperties",
    "additionalProperties",
    "propertyNames",
    "dependencies",
    "if",
    "then",
    "else",
    "allOf",
    "anyOf",
    "oneOf",
    "not",
];

/// Keywords that judge the same value with another schema, and tell the outer one what they have seen.
const BESIDE: [&str; 8] = ["$ref", "allOf", "anyOf", "oneOf", "if", "then", "else", "dependentSchemas"];

/// What draft-07 cannot say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Untold(pub(super) String);

/// The schema in draft-07. `refer` says where a reference leads.
pub(super) fn translate(schema: &Value, refer: &mut impl FnMut(&str) -> String) -> Result<Value, Untold> {
    let fields = match schema {
        Value::Bool(true) => return Ok(json!({})),
        Value::Object(fields) => fields,
        _ => return Ok(json!({ "not": {} })),
    };
    let mut untold = None;
    let mut below = map_below(&without_definitions(fields), |schema| {
        translate(schema, refer).unwrap_or_else(|why| {
            untold.get_or_insert(why);
            Value::Null
        })
    });
    if let Some(why) = untold {
        return Err(why);
    }
    // Shorter than a schema that nothing matches, and the same.
    if fields.get("additionalProperties") == Some(&Value::Bool(false)) {
        below.insert("additionalProperties".to_owned(), Value::Bool(false));
    }
    unevaluated(fields, &mut below)?;
    lists(&mut below);
    contains(&mut below)?;
    dependencies(&mut below);
    let reference = below.shift_remove("$ref").and_then(|reference| Some(refer(reference.as_str()?)));
    let mut said = own_words(below);
    super::schemas::insert_reference(&mut said, reference);
    Ok(Value::Object(said))
}

/// Definitions judge nothing, and what refers to them leads to components.
pub(super) fn without_definitions(fields: &Map<String, Value>) -> Map<String, Value> {
    const DROPPED: [&str; 7] = ["$defs", "definitions", "$schema", "$id", "$anchor", "$dynamicAnchor", "$vocabulary"];
    fields.iter().filter(|(key, _)| !DROPPED.contains(&key.as_str())).map(|(k, v)| (k.clone(), v.clone())).collect()
}

/// Without another schema beside them they are the `additional…` of draft-07.
fn unevaluated(fields: &Map<String, Value>, below: &mut Map<String, Value>) -> Result<(), Untold> {
    let beside = BESIDE.iter().find(|keyword| fields.contains_key(**keyword));
    let alone = |keyword: &str, other: Option<&&str>| match other {
        Some(other) => Err(Untold(format!("`{keyword}` beside `{other}`"))),
        None => Ok(()),
    };
    if let Some(rest) = below.shift_remove("unevaluatedProperties") {
        alone("unevaluatedProperties", beside)?;
        below.entry("additionalProperties").or_insert(rest);
    }
    if let Some(rest) = below.shift_remove("unevaluatedItems") {
        alone("unevaluatedItems", beside.or(fields.contains_key("contains").then_some(&"contains")))?;
        below.entry("items").or_insert(rest);
    }
    Ok(())
}

/// `prefixItems` and the `items` after them are `items` and `additionalItems`.
fn lists(below: &mut Map<String, Value>) {
    let Some(first) = below.shift_remove("prefixItems") else { return };
    if let Some(rest) = below.insert("items".to_owned(), first) {
        below.insert("additionalItems".to_owned(), rest);
    }
}

fn contains(below: &mut Map<String, Value>) -> Result<(), Untold> {
    let (least, most) = (below.shift_remove("minContains"), below.shift_remove("maxContains"));
    if !below.contains_key("contains") {
        return Ok(());
    }
    if most.is_some() {
        return Err(Untold("`maxContains`".to_owned()));
    }
    let least = least.as_ref().and_then(Value::as_f64).unwrap_or(1.0);
    if least > 1.5 {
        return Err(Untold("`minContains`".to_owned()));
    }
    if least < 0.5 {
        below.shift_remove("contains");
    }
    Ok(())
}

/// Both are `dependencies`: a list of names, or a schema.
fn dependencies(below: &mut Map<String, Value>) {
    let mut dependencies = Map::new();
    if let Some(Value::Object(required)) = below.shift_remove("dependentRequired") {
        dependencies.extend(required);
    }
    if let Some(Value::Object(schemas)) = below.shift_remove("dependentSchemas") {
        for (name, schema) in schemas {
            let whole = match dependencies.shift_remove(&name) {
                Some(required) => json!({ "required": required, "allOf": [schema] }),
                None => schema,
            };
            dependencies.insert(name, whole);
        }
    }
    if !dependencies.is_empty() {
        below.insert("dependencies".to_owned(), dependencies.into());
    }
}

/// A keyword that judges nothing here might judge there: it becomes one of the author's own.
fn own_words(below: Map<String, Value>) -> Map<String, Value> {
    let mut said = Map::new();
    for (key, value) in below {
        if key.starts_with("x-") || SAME.contains(&key.as_str()) {
            said.insert(key, value);
            continue;
        }
        let word: String = key.chars().filter(|c| c.is_ascii_alphanumeric() || "._-".contains(*c)).collect();
        if !word.is_empty() {
            said.entry(format!("x-{word}")).or_insert(value);
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(schema: Value) -> Value {
        translate(&schema, &mut |reference| format!("to {reference}")).unwrap()
    }

    #[test]
    fn what_draft_07_says_with_other_words_is_translated() {
        for (schema, expected) in [
            (json!(true), json!({})),
            (json!(false), json!({ "not": {} })),
            (
                json!({ "prefixItems": [{ "type": "string" }, true], "items": false }),
                json!({ "items": [{ "type": "string" }, {}], "additionalItems": { "not": {} } }),
            ),
            (json!({ "contains": true, "minContains": 0 }), json!({})),
            (json!({ "contains": true, "minContains": 1 }), json!({ "contains": {} })),
            (
                json!({ "dependentRequired": { "a": ["b"], "c": ["d"] }, "dependentSchemas": { "a": { "minProperties": 3 } } }),
                json!({ "dependencies": { "c": ["d"], "a": { "required": ["b"], "allOf": [{ "minProperties": 3 }] } } }),
            ),
            (
                json!({ "properties": { "a": true }, "unevaluatedProperties": { "type": "null" } }),
                json!({ "properties": { "a": {} }, "additionalProperties": { "type": "null" } }),
            ),
            (
                json!({ "additionalProperties": true, "unevaluatedProperties": false }),
                json!({ "additionalProperties": {} }),
            ),
            (
                json!({ "prefixItems": [true], "unevaluatedItems": false }),
                json!({ "items": [{}] , "additionalItems": { "not": {} } }),
            ),
            (json!({ "$ref": "a.json" }), json!({ "$ref": "to a.json" })),
            (
                json!({ "$ref": "#/$defs/a", "required": ["b"], "$defs": { "a": true } }),
                json!({ "required": ["b"], "allOf": [{ "$ref": "to #/$defs/a" }] }),
            ),
            (
                json!({ "nullable": true, "discriminator": { "a": 1 } }),
                json!({ "x-nullable": true, "x-discriminator": { "a": 1 } }),
            ),
        ] {
            assert_eq!(told(schema.clone()), expected, "{schema}");
        }
    }

    #[test]
    fn what_draft_07_cannot_say_is_not_translated() {
        for (schema, why) in [
            (json!({ "allOf": [true], "unevaluatedProperties": false }), "`unevaluatedProperties` beside `allOf`"),
            (json!({ "contains": true, "unevaluatedItems": false }), "`unevaluatedItems` beside `contains`"),
            (json!({ "items": { "contains": true, "maxContains": 2 } }), "`maxContains`"),
            (json!({ "contains": true, "minContains": 2 }), "`minContains`"),
        ] {
            let untold = translate(&schema, &mut str::to_owned).unwrap_err();
            assert_eq!(untold.0, why);
        }
    }
}
