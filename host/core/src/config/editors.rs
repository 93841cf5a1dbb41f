//! The JSON Schemas for editors: the schemas of the types, without `null`, because every key must have a value.

use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema, generate::SchemaSettings};
use serde_json::Value;

/// The JSON Schema of a file.
#[must_use]
pub fn editor_schema<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with_transform(RecursiveTransform(without_null));
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

/// For an `Option` only the schema of the value: an optional key is left out.
fn without_null(schema: &mut Schema) {
    let Some(keywords) = schema.as_object_mut() else { return };
    if keywords.get("default").is_some_and(Value::is_null) {
        keywords.shift_remove("default");
    }
    if let Some(Value::Array(types)) = keywords.get_mut("type") {
        types.retain(|of| of != "null");
        if let [one] = types.as_slice() {
            keywords["type"] = one.clone();
        }
    }
    let Some(Value::Array(ways)) = keywords.get_mut("anyOf") else { return };
    ways.retain(|way| way.get("type").is_none_or(|of| of != "null"));
    if let [Value::Object(one)] = ways.as_slice() {
        let one = one.clone();
        keywords.shift_remove("anyOf");
        for (keyword, value) in one {
            keywords.entry(keyword).or_insert(value);
        }
    }
}
