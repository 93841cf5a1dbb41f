//! A schema for readers: as its author wrote it, with what its references lead to in their place.

use serde_json::{Map, Value};

use super::schema_document::pointer_of;
use super::schema_files::{INLINE, resolve};
use super::schema_keywords::map_below;

/// Most schemas in one that is written out; beyond them references stay as they are.
const SCHEMAS_MAX: usize = 2_000;
/// Most references that lead from one to the next.
const REFERENCES_MAX: usize = 32;

/// The schema of a manifest, written out; `file` finds a schema file by its path. A reference that leads back to where it
/// is stays as it is, and so does all beyond the limits.
pub(super) fn written<'f>(schema: &'f Value, file: &dyn Fn(&str) -> Option<&'f Value>) -> Value {
    let mut writer = Writer { root: schema, file, way: Vec::new(), left: SCHEMAS_MAX };
    writer.write(schema, INLINE)
}

struct Writer<'f, 'a> {
    root: &'f Value,
    file: &'a dyn Fn(&str) -> Option<&'f Value>,
    /// The targets on the way from the beginning to here.
    way: Vec<(String, String)>,
    left: usize,
}

impl Writer<'_, '_> {
    /// Writes a schema of the document with this path.
    fn write(&mut self, schema: &Value, path: &str) -> Value {
        let Value::Object(fields) = schema else { return schema.clone() };
        let Some(left) = self.left.checked_sub(1) else { return schema.clone() };
        self.left = left;
        let mut mapped = map_below(fields, |below| self.write(below, path));
        let Some(target) = fields.get("$ref").and_then(Value::as_str).and_then(|to| self.follow(to, path)) else {
            return mapped.into();
        };
        mapped.shift_remove("$ref");
        beside(target, mapped)
    }

    /// What a reference leads to, written out.
    fn follow(&mut self, reference: &str, from: &str) -> Option<Value> {
        let (file, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let path = if file.is_empty() { from.to_owned() } else { resolve(from, file)? };
        let document = if path == INLINE { self.root } else { (self.file)(&path)? };
        let pointer = pointer_of(fragment);
        // An anchor is no place that a pointer finds.
        if !fragment.is_empty() && pointer.is_empty() {
            return None;
        }
        let target = document.pointer(&pointer)?;
        let step = (path.clone(), pointer);
        if self.way.contains(&step) || self.way.len() >= REFERENCES_MAX {
            return None;
        }
        self.way.push(step);
        let written = self.write(target, &path);
        self.way.pop();
        Some(written)
    }
}

/// A schema and the keywords that stand beside the reference to it.
fn beside(target: Value, keywords: Map<String, Value>) -> Value {
    if keywords.is_empty() {
        return target;
    }
    match target {
        Value::Object(mut fields) if keywords.keys().all(|keyword| !fields.contains_key(keyword)) => {
            fields.extend(keywords);
            fields.into()
        }
        target => {
            let mut both = keywords;
            match both.get_mut("allOf") {
                Some(Value::Array(all)) => all.push(target),
                _ => drop(both.insert("allOf".to_owned(), Value::Array(vec![target]))),
            }
            both.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(schema: &Value) -> Value {
        let point = json!({ "type": "object", "properties": { "x": { "$ref": "#/$defs/n" } }, "$defs": { "n": { "type": "number" } } });
        let tree =
            json!({ "type": "object", "properties": { "left": { "$ref": "#" }, "at": { "$ref": "point.json" } } });
        written(schema, &|path| match path {
            "schemas/point.json" => Some(&point),
            "schemas/tree.json" => Some(&tree),
            _ => None,
        })
    }

    #[test]
    fn what_a_reference_leads_to_stands_in_its_place() {
        let written = of(&json!({ "type": "array", "items": { "$ref": "schemas/point.json" } }));
        assert_eq!(written["items"]["properties"]["x"], json!({ "type": "number" }));
        let deep = of(&json!({ "$ref": "schemas/point.json#/$defs/n", "description": "across" }));
        assert_eq!(deep, json!({ "type": "number", "description": "across" }));
        let both = of(
            &json!({ "$ref": "#/$defs/a", "type": "string", "$defs": { "a": { "type": "string", "minLength": 1 } } }),
        );
        assert_eq!(both["allOf"], json!([{ "type": "string", "minLength": 1 }]));
        assert_eq!(of(&json!(true)), json!(true));
        assert_eq!(
            of(&json!({ "const": { "$ref": "schemas/point.json" } })),
            json!({ "const": { "$ref": "schemas/point.json" } })
        );
    }

    #[test]
    fn a_schema_that_leads_back_to_itself_is_written_once() {
        let tree = of(&json!({ "$ref": "schemas/tree.json" }));
        assert_eq!(tree["properties"]["left"], json!({ "$ref": "#" }));
        assert_eq!(tree["properties"]["at"]["type"], "object");
    }

    #[test]
    fn a_schema_that_doubles_itself_again_and_again_stays_small() {
        let twice = |n: u32| json!({ "properties": { "a": { "$ref": format!("#/$defs/{n}") }, "b": { "$ref": format!("#/$defs/{n}") } } });
        let defs: Map<String, Value> = (0..30).map(|n| (n.to_string(), twice(n + 1))).collect();
        let mut schema = twice(0);
        schema["$defs"] = defs.into();
        let nodes = |text: String| text.matches("properties").count();
        assert!(nodes(of(&schema).to_string()) <= 2 * SCHEMAS_MAX);
    }
}
