//! A file that is valid but for one key with nothing behind it, for every key of a schema.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use tidegate_core::config::{Diagnostic, SourceFile};

/// Where nothing stands in a file: nothing, or a `null` that was written.
const HOLE: &str = "(nothing)";

/// What a key holds in a valid file, where its schema leaves more open than is true.
fn valid(key: &str) -> Option<Value> {
    Some(match key {
        "listen" => json!("127.0.0.1:0"),
        "algorithm" => json!("HS256"),
        "secret" | "key" => json!("a-secret-of-thirty-two-bytes-or-more"),
        "jwks" | "public_key" => json!("key.json"),
        "streams" => json!(["a"]),
        "claim_after" | "idle" | "absolute" | "cache" | "lifetime" | "kv_time" | "query_time" | "window" | "pause" => {
            json!("1s")
        }
        "store" => json!("sqlite::memory:"),
        "outbox" => json!("outbox"),
        "url" => json!("https://example.com/me"),
        "on" | "publish" => json!("a.b"),
        "to" | "revoke" | "topic" => json!("a.{b}"),
        "params" => json!({ "b": "event.data.b" }),
        "query" => json!("select user_id from s where token = $1"),
        "handler" | "authorizer" | "plugin" | "transform" => json!("p"),
        "roles" => json!(["r"]),
        "queries" => json!({ "q": "select 1" }),
        _ => return None,
    })
}

/// One file's schema, and how a file of it is read.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) schema: Value,
    pub(crate) mistakes: fn(&str) -> Vec<Diagnostic>,
    /// What the root holds besides the key in question.
    pub(crate) base: Value,
}

pub(crate) fn source(path: &str, text: &str) -> Arc<SourceFile> {
    Arc::new(SourceFile { path: path.to_owned(), text: text.to_owned() })
}

/// Walks a schema.
struct Walk<'a> {
    root: &'a Value,
}

impl Walk<'_> {
    fn resolved<'s>(&'s self, schema: &'s Value) -> &'s Value {
        match schema["$ref"].as_str() {
            Some(reference) => self.resolved(self.root.pointer(reference.trim_start_matches('#')).unwrap()),
            None => schema,
        }
    }

    /// The ways of an `anyOf` or `oneOf` that are schemas of their own.
    fn ways(schema: &Value) -> Vec<&Value> {
        let ways = ["anyOf", "oneOf"].into_iter().filter_map(|key| schema[key].as_array()).flatten();
        ways.filter(|way| way.get("required").is_none() || way.get("properties").is_some()).collect()
    }

    /// The smallest value of a schema.
    fn smallest(&self, key: &str, schema: &Value) -> Value {
        let schema = self.resolved(schema);
        if let Some(value) = valid(key) {
            return value;
        }
        if let Some(first) = schema["enum"].as_array().and_then(|values| values.first()) {
            return first.clone();
        }
        if let Some(value) = schema.get("const").or_else(|| schema.get("default")) {
            return value.clone();
        }
        if let Some(way) = Self::ways(schema).first() {
            return self.smallest(key, way);
        }
        match schema["type"].as_str() {
            Some("object") => self.object(schema, None),
            Some("array") => json!([]),
            Some("integer" | "number") => json!(1),
            Some("boolean") => json!(true),
            Some("string") => json!("x"),
            _ => json!(true),
        }
    }

    /// The smallest object, or the smallest around one key.
    fn object(&self, schema: &Value, with: Option<(&str, Value)>) -> Value {
        let required = |of: &Value| -> Vec<String> {
            let names = of["required"].as_array().into_iter().flatten();
            names.map(|name| name.as_str().unwrap().to_owned()).collect()
        };
        let mut names = required(schema);
        // One of several keys is needed: the one in question, or the first.
        let ways: Vec<Vec<String>> = schema["oneOf"].as_array().into_iter().flatten().map(required).collect();
        let is_one = |way: &&Vec<String>| with.as_ref().is_some_and(|(key, _)| way.iter().any(|name| name == key));
        names.extend(ways.iter().find(is_one).or(ways.first()).into_iter().flatten().cloned());
        let mut object = Map::new();
        for name in names {
            let of = &schema["properties"][&name];
            object.insert(name.clone(), self.smallest(&name, of));
        }
        if let Some((key, value)) = with {
            object.insert(key.to_owned(), value);
        }
        Value::Object(object)
    }

    /// Values of the schema behind a key, each with one hole, and the key that the hole is behind.
    fn holes(&self, key: &str, schema: &Value, found: &mut Vec<(String, Value)>, around: &dyn Fn(Value) -> Value) {
        let schema = self.resolved(schema);
        for way in Self::ways(schema) {
            self.holes(key, way, found, around);
        }
        for (key, of) in schema["properties"].as_object().into_iter().flatten() {
            let around = |value| around(completed(schema, key, self.object(schema, Some((key, value)))));
            found.push((key.clone(), around(json!(HOLE))));
            self.holes(key, of, found, &around);
        }
        if let Some(of) = schema.get("additionalProperties").filter(|of| of.is_object()) {
            let name = if key == "params" { "b" } else { "a.{b}" };
            let around = |value| around(json!({ name: value }));
            found.push((name.to_owned(), around(json!(HOLE))));
            self.holes(name, of, found, &around);
        }
        if let Some(of) = schema.get("items") {
            let around = |value| around(json!([value]));
            found.push(("item 1".to_owned(), around(json!(HOLE))));
            self.holes(key, of, found, &around);
        }
    }
}

/// What an object needs besides its required keys that no schema says, but for a key that would be in its way.
fn completed(schema: &Value, key: &str, mut object: Value) -> Value {
    let has = |key: &str| schema["properties"].get(key).is_some();
    let fields = object.as_object_mut().unwrap();
    let stream = if has("subjects") { "nats://localhost" } else { "redis://localhost" };
    for (of, url) in [("claim_after", stream), ("listen_url", "postgres://a:b@localhost/d")] {
        if has(of) && key != "url" {
            fields.insert("url".to_owned(), json!(url));
        }
    }
    let mut add = |instead: &[&str], name: &str, value: Value| {
        if !instead.contains(&key) {
            fields.entry(name).or_insert(value);
        }
    };
    if has("public_key") {
        add(&["secret", "public_key", "jwks"], "secret", json!("a-secret-of-thirty-two-bytes-or-more"));
    }
    if has("claim_after") {
        add(&["stream", "streams"], "stream", json!("s"));
    }
    if has("subject") {
        add(&["event"], "type", json!("a.b"));
    }
    if has("revoke") && key != "end_sessions" {
        add(&["params"], "params", json!({ "b": "event.data.b" }));
        add(&["to", "revoke", "user"], "to", json!("a.{b}"));
        if key == "user" {
            add(&[], "revoke", json!("a.{b}"));
        }
    }
    if has("relay") {
        add(&["handler", "relay"], "relay", json!("all"));
        if key == "handler" {
            add(&[], "payload", json!(true));
        }
    }
    if has("revoke") && key == "user" {
        object.as_object_mut().unwrap().shift_remove("to");
    }
    object
}

/// A value as YAML of one style, with its hole as it is.
fn written(value: &Value, hole: &str, indent: usize) -> String {
    let margin = " ".repeat(indent);
    match value {
        Value::String(text) if text == HOLE => format!(" {hole}"),
        Value::Object(fields) if !fields.is_empty() => {
            let line = |(key, value): (&String, &Value)| {
                format!("\n{margin}{}:{}", json!(key), written(value, hole, indent + 2))
            };
            fields.iter().map(line).collect()
        }
        Value::Array(items) if !items.is_empty() => {
            let line = |item: &Value| {
                let text = written(item, hole, indent + 2);
                format!("\n{margin}- {}", text.trim_start())
            };
            items.iter().map(line).collect()
        }
        other => format!(" {other}"),
    }
}

/// Every key of the schema that may have nothing behind it, or is told of in another way than it should be.
pub(crate) fn failures(kind: &Kind) -> String {
    let Kind { name, schema, mistakes, base } = kind;
    let mut failures = String::new();
    let mut found = Vec::new();
    let around = |value: Value| {
        let mut file = base.clone();
        file.as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
        file
    };
    Walk { root: schema }.holes("", schema, &mut found, &around);
    let keys: BTreeSet<&str> = found.iter().map(|(key, _)| key.as_str()).collect();
    assert!(keys.len() >= 2 && found.len() >= keys.len(), "{name}: {keys:?}");
    for (key, file) in &found {
        for hole in ["", "# x", "~", "null"] {
            let text = written(file, hole, 0).trim_start().to_owned() + "\n";
            let told = mistakes(&text);
            let expected = if key == "item 1" { "item 1 " } else { &format!("`{key}` has no value") };
            let is_at_it = |told: &Diagnostic| {
                let line = told.place.as_ref().map(|place| place.line_text().to_owned()).unwrap_or_default();
                told.message.starts_with(expected)
                    && told.message.ends_with("has no value")
                    && told.hint.is_some()
                    && (line.contains(&format!("{}:", json!(key))) || key == "item 1")
            };
            if told.len() != 1 || !is_at_it(&told[0]) {
                let told: Vec<_> = told.iter().map(Diagnostic::summary).collect();
                failures += &format!("{name} `{key}` with {hole:?}: {told:#?}\n{text}\n");
            }
        }
    }
    failures
}

/// Asserts that the schema takes `null` nowhere.
pub(crate) fn assert_takes_no_null(kind: &Kind) {
    let text = kind.schema.to_string();
    assert!(!text.contains("\"null\"") && !text.contains(":null"), "{}: {text}", kind.name);
}
