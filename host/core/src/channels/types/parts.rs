//! The parts of one schema: which of them define the type of a value, and which only describe it.

use std::sync::Arc;

use serde_json::Value;

use super::names::pascal;

/// Keywords that define the type of a value.
const TYPING: [&str; 13] = [
    "type",
    "properties",
    "required",
    "additionalProperties",
    "patternProperties",
    "unevaluatedProperties",
    "items",
    "prefixItems",
    "enum",
    "const",
    "oneOf",
    "anyOf",
    "$dynamicRef",
];

/// A whole schema: a file's, or one inside a manifest.
#[derive(Debug)]
pub(super) struct Document {
    /// Its path below the channels directory.
    pub(super) path: String,
    /// The prefix of the names of its parts.
    pub(super) name: String,
    pub(super) root: Value,
}

/// A schema and the document that its references start from.
#[derive(Debug, Clone)]
pub(super) struct Placed {
    pub(super) schema: Value,
    pub(super) document: Arc<Document>,
}

impl Placed {
    /// Another schema of the same document.
    pub(super) fn with(&self, schema: Value) -> Self {
        Self { schema, document: self.document.clone() }
    }
}

/// The schemas that must all match and define the type: the keywords next to `$ref` and `allOf`, and those.
pub(super) fn parts(schema: &Value) -> Vec<Value> {
    let Value::Object(keys) = schema else { return vec![schema.clone()] };
    let mut own = keys.clone();
    let (reference, all) = (own.shift_remove("$ref"), own.shift_remove("allOf"));
    let mut parts = Vec::new();
    if says_type(&Value::Object(own.clone())) {
        parts.push(Value::Object(own));
    }
    parts.extend(reference.map(|reference| serde_json::json!({ "$ref": reference })));
    if let Some(Value::Array(all)) = all {
        parts.extend(all.iter().flat_map(self::parts));
    }
    parts
}

fn says_type(schema: &Value) -> bool {
    let Value::Object(keys) = schema else { return false };
    let says = keys.keys().any(|key| TYPING.contains(&key.as_str()) && key != "oneOf" && key != "anyOf");
    says || alternatives(schema).is_some()
}

/// Whether a part says more about the type than its `type` keyword.
pub(super) fn says_more_than_its_type(part: &Value) -> bool {
    part.as_object()
        .is_none_or(|keys| keys.keys().any(|key| key == "$ref" || key != "type" && TYPING.contains(&&**key)))
}

/// The alternatives of `oneOf` or `anyOf`; `None` if they are only conditions on one type.
pub(super) fn alternatives(schema: &Value) -> Option<Vec<Value>> {
    let all = schema.get("oneOf").or_else(|| schema.get("anyOf"))?.as_array()?;
    let is_condition = |alternative: &Value| {
        let keys = alternative.as_object();
        keys.is_some_and(|keys| keys.keys().all(|key| ["required", "not", "title", "description"].contains(&&**key)))
    };
    (!all.is_empty() && !all.iter().all(is_condition)).then(|| all.clone())
}

/// The values of `const` and `enum`.
pub(super) fn literals(schema: &Value) -> Option<Vec<Value>> {
    if let Some(value) = schema.get("const") {
        return Some(vec![value.clone()]);
    }
    schema.get("enum")?.as_array().cloned()
}

/// The name of an alternative: its title, or the only value of a key such as `kind`.
pub(super) fn label(alternative: &Value) -> Option<String> {
    if let Some(title) = alternative.get("title").and_then(Value::as_str) {
        return Some(pascal(title));
    }
    let mut properties = alternative.get("properties")?.as_object()?.values();
    properties.find_map(|property| Some(pascal(property.get("const")?.as_str()?)))
}

/// A schema's description, line by line, without characters that a comment cannot contain.
pub(super) fn description(schema: &Value) -> Vec<String> {
    let text = schema.get("description").and_then(Value::as_str).unwrap_or_default();
    lines(text)
}

/// A text for people, line by line: without control characters, and without characters that end a line elsewhere.
pub(super) fn lines(text: &str) -> Vec<String> {
    let plain = |c: char| if c.is_control() || c == '\u{2028}' || c == '\u{2029}' { ' ' } else { c };
    let lines = text.trim().lines().map(|line| line.chars().map(plain).collect::<String>().trim_end().to_owned());
    lines.collect()
}
