//! A `pattern` judges as a browser does: every pattern of `tests/patterns/ecma262.json`, whose answers are Node's.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_core::channels::{self, Sources};
use tidegate_core::config::{Diagnostic, SourceFile};
use tidegate_core::protocol::Generation;

/// What `ask.mjs` writes.
#[derive(Deserialize)]
struct Asked {
    texts: Vec<String>,
    /// For each pattern the texts it finds something in; `None` where ECMA-262 refuses it.
    patterns: BTreeMap<String, Option<String>>,
}

/// What ECMA-262 takes and a time that grows with the text alone does not allow.
const NOT_SERVED: [&str; 8] =
    [r"(?<x>a)\k<x>", "(?=a)", "^(?=a)ab", "(?!a)b", "(?<=a)b", "(?<!a)b", r"(a)\1", r"^(a+)b\1$"];

fn asked() -> Asked {
    let text = std::fs::read_to_string(crate::root().join("tests/patterns/ecma262.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// A channel of this payload, judging.
pub(crate) fn schema(payload: &Value) -> Result<channels::Schema, Vec<Diagnostic>> {
    let manifest = json!({ "feature": "a", "channels": { "a": { "scope": "public", "payload": payload } } });
    let file = Arc::new(SourceFile { path: "a.yaml".to_owned(), text: manifest.to_string() });
    let sources = Sources { manifests: vec![file], ..Sources::default() };
    channels::compile(&sources, Generation(1)).map(|catalog| catalog.channels().next().unwrap().payload.clone())
}

#[test]
fn a_pattern_means_here_what_it_means_in_a_browser() {
    let Asked { texts, patterns } = asked();
    assert!(patterns.len() > 250 && texts.len() > 80);
    let mut wrong = Vec::new();
    for (pattern, row) in &patterns {
        let by_value = schema(&json!({ "pattern": pattern }));
        let by_name = schema(&json!({ "patternProperties": { pattern: false } }));
        let (Ok(by_value), Ok(by_name)) = (by_value, by_name) else {
            let is_refused = row.is_none() || NOT_SERVED.contains(&pattern.as_str());
            wrong.extend((!is_refused).then(|| format!("`{pattern}` is refused")));
            continue;
        };
        let Some(row) = row else {
            wrong.push(format!("`{pattern}` is taken, no browser takes it"));
            continue;
        };
        for (text, expected) in texts.iter().zip(row.chars().map(|c| c == '1')) {
            if by_value.check(&json!(text)).is_ok() != expected {
                wrong.push(format!("`{pattern}` of {text:?}: not {expected}"));
            }
            if by_name.check(&json!({ text: 1 })).is_err() != expected {
                wrong.push(format!("`{pattern}` of the key {text:?}: not {expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_violation_shows_the_pattern_as_its_author_wrote_it() {
    let schema = schema(&json!({ "properties": { "day": { "pattern": r"^\d{4}\b" } } })).unwrap();
    let violations = schema.check(&json!({ "day": "now" })).unwrap_err();
    assert_eq!(violations[0].message, r#"value does not match "^\d{4}\b""#);
}

#[test]
fn two_patterns_that_are_one_to_the_engine_both_judge() {
    let both = json!({ "patternProperties": { "^a": { "minimum": 1 }, r"^\u0061": { "maximum": 2 } } });
    let schema = schema(&both).unwrap();
    assert!(schema.check(&json!({ "a": 0 })).is_err() && schema.check(&json!({ "a": 3 })).is_err());
    assert!(schema.check(&json!({ "a": 2 })).is_ok());
}

#[test]
fn a_pattern_judges_wherever_a_reference_leads() {
    let payload = json!({ "$ref": "#/x-parts/day", "x-parts": { "day": { "pattern": r"^\w+$" } } });
    assert!(schema(&payload).unwrap().check(&json!("\u{e9}")).is_err());
    let broken = json!({ "$ref": "#/x-parts/day", "x-parts": { "day": { "pattern": r"\A" } } });
    assert!(schema(&broken).unwrap_err()[0].message.starts_with("the pattern does not compile: "));
}
