//! Environment variables that set a key of the configuration: `TIDEGATE__LIMITS__PAYLOAD=1MiB`.

use std::cell::LazyCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::{Diagnostic, Node, Shape, SourceFile, load::start_of, redact, server, yaml::parse_value};

/// The prefix of the variables.
const PREFIX: &str = "TIDEGATE__";

/// Sets the keys that variables name. Returns possible secrets in variables that could not be read.
pub(super) fn set(root: &mut Node, env: &BTreeMap<String, String>, diagnostics: &mut Vec<Diagnostic>) -> Vec<String> {
    let mut secrets = Vec::new();
    let schema = LazyCell::new(server::schema);
    for (name, text) in env {
        let Some(keys) = name.strip_prefix(PREFIX) else { continue };
        let source = Arc::new(SourceFile { path: format!("environment variable `{name}`"), text: text.clone() });
        let keys = keys.to_lowercase();
        let path: Vec<&str> = keys.split("__").collect();
        if path.iter().any(|key| key.is_empty()) {
            let mistake = Diagnostic::at(start_of(&source), format!("`{name}` does not name a key"));
            diagnostics.push(mistake.hint("join keys with two underscores: `TIDEGATE__LIMITS__PAYLOAD`"));
        } else if let Some(list) = list_on_the_way(root, &path) {
            let mistake = Diagnostic::at(start_of(&source), format!("`{list}` is a list, so it has no keys to set"));
            diagnostics.push(mistake.hint("set the whole list, like `[a, b]`"));
        } else if let Some(value) = value(&source, wants_text(&schema, &path), diagnostics) {
            if value.is_null() {
                let mistake = Diagnostic::at(value.place, format!("environment variable `{name}` has no value"));
                diagnostics.push(mistake.hint("unset it, or give it a value"));
            } else {
                root.set(&path, value);
            }
        } else {
            secrets.extend(redact::secrets_of_text(text));
        }
    }
    secrets
}

/// The value of a variable: YAML, or where the key wants a text the text as it is, because a shell has quotes of its
/// own. A text that has YAML's quotes is read without them.
fn value(source: &Arc<SourceFile>, wants_text: bool, diagnostics: &mut Vec<Diagnostic>) -> Option<Node> {
    if !wants_text {
        return parse_value(source, diagnostics);
    }
    let text = source.text.trim();
    let read = parse_value(source, &mut Vec::new());
    match read {
        Some(read) if text.starts_with(['"', '\'']) && read.as_str().is_some() => Some(read),
        Some(read) if text.is_empty() || matches!(read.shape, Shape::Scalar(Value::Null)) => Some(read),
        _ => Some(Node::text(start_of(source), text)),
    }
}

/// Whether a key of the configuration has a text as its only form.
fn wants_text(schema: &Value, path: &[&str]) -> bool {
    let found = path.iter().try_fold(schema, |at, key| target(schema, at).get("properties")?.get(key));
    found.is_some_and(|found| target(schema, found).get("type").is_some_and(|of| of == "string"))
}

/// The schema that another one stands for.
fn target<'a>(schema: &'a Value, at: &'a Value) -> &'a Value {
    let pointer = at.get("$ref").and_then(Value::as_str).and_then(|of| of.strip_prefix('#'));
    pointer.and_then(|pointer| schema.pointer(pointer)).unwrap_or(at)
}

fn list_on_the_way(root: &Node, path: &[&str]) -> Option<String> {
    let mut at = root;
    for (depth, key) in path.iter().enumerate() {
        if matches!(at.shape, Shape::List(_)) {
            return Some(path[..depth].join("."));
        }
        at = at.get(key)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_wants_a_text_takes_what_the_variable_has() {
        let schema = server::schema();
        for text in ["store", "node", "broker", "plugin_cache", "auth__cookie", "log__filter", "transport__path"] {
            assert!(wants_text(&schema, &text.split("__").collect::<Vec<_>>()), "{text}");
        }
        for other in ["auth", "auth__origins", "limits__payload", "limits__connections", "bus", "nothing", "store__x"] {
            assert!(!wants_text(&schema, &other.split("__").collect::<Vec<_>>()), "{other}");
        }
        for (given, taken) in [
            ("sqlite::memory:", "sqlite::memory:"),
            ("\"sqlite::memory:\"", "sqlite::memory:"),
            ("'it''s'", "it's"),
            ("7", "7"),
            ("true", "true"),
            ("a #b: c", "a #b: c"),
            ("{a", "{a"),
            ("&a *b", "&a *b"),
            ("\"a\" b", "\"a\" b"),
        ] {
            let source = Arc::new(SourceFile { path: "a variable".to_owned(), text: given.to_owned() });
            let mut told = Vec::new();
            assert_eq!(value(&source, true, &mut told).unwrap().as_str(), Some(taken), "{given}");
            assert!(told.is_empty(), "{given}: {told:?}");
        }
        for nothing in ["", " ", "~", "null"] {
            let source = Arc::new(SourceFile { path: "a variable".to_owned(), text: nothing.to_owned() });
            assert!(value(&source, true, &mut Vec::new()).unwrap().is_null(), "{nothing}");
        }
    }
}
