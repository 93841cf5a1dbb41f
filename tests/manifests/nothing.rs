//! No key means anything when nothing stands behind it: every key of every schema of these files.

use std::path::Path;

use serde_json::json;
use tidegate_core::channels::{self, PluginKind, Sources};
use tidegate_core::config::{Config, Diagnostic, Override};
use tidegate_core::protocol::{Generation, PluginName};

use crate::holes::{Kind, assert_takes_no_null, failures, source};

fn kinds() -> [Kind; 3] {
    [
        Kind { name: "tidegate.yaml", schema: tidegate_core::config::schema(), mistakes: config, base: json!({}) },
        Kind {
            name: "channel",
            schema: channels::manifest_schema(),
            mistakes: |text| compile(text, "rules: []"),
            base: json!({ "feature": "f", "channels": {} }),
        },
        Kind {
            name: "bridge",
            schema: channels::bridge_schema(),
            mistakes: |text| compile("feature: f\nchannels: { 'a.{b}': { scope: public, payload: true } }", text),
            base: json!({ "rules": [] }),
        },
    ]
}

fn config(text: &str) -> Vec<Diagnostic> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tidegate.yaml");
    std::fs::write(&file, text).unwrap();
    Config::load(Some(&file), [], &[]).err().unwrap_or_default()
}

fn compile(manifest: &str, bridge: &str) -> Vec<Diagnostic> {
    let sources = Sources {
        manifests: vec![source("a.yaml", manifest)],
        bridge: Some(source("bridge.yaml", bridge)),
        plugins: [(PluginName::new("p"), PluginKind::ALL.into_iter().collect())].into(),
        ..Sources::default()
    };
    channels::compile(&sources, Generation(1)).err().unwrap_or_default()
}

#[test]
fn a_key_with_nothing_behind_it_is_a_mistake_in_every_file() {
    let failures: String = kinds().iter().map(failures).collect();
    assert!(failures.is_empty(), "{failures}");
}

#[test]
fn no_schema_for_editors_takes_null_where_a_file_may_not_have_it() {
    kinds().iter().for_each(assert_takes_no_null);
}

#[test]
fn what_is_free_may_be_null_and_not_nothing() {
    let schema = |payload: &str| {
        compile(&format!("feature: f\nchannels:\n  a:\n    scope: public\n    payload: {payload}\n"), "rules: []")
    };
    for free in
        ["const: null", "default: null", "enum: [a, null]", "examples: [null]", "properties: { a: { const: ~ } }"]
    {
        assert!(schema(&format!("{{ {free} }}")).is_empty(), "{free}: {:#?}", schema(&format!("{{ {free} }}")));
    }
    for nothing in
        ["const:", "default:", "additionalProperties:", "properties: { a: }", "items: ~", "type: null", "enum:"]
    {
        let told = schema(&format!("{{ {nothing} }}"));
        assert_eq!(told.len(), 1, "{nothing}: {told:#?}");
        assert!(told[0].message.ends_with("has no value"), "{nothing}: {}", told[0].message);
    }
}

#[test]
fn an_environment_variable_of_nothing_is_a_mistake() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tidegate.yaml");
    std::fs::write(&file, "").unwrap();
    let load = |name: &str, value: &str| {
        Config::load(Some(Path::new(&file)), [(name.to_owned(), value.to_owned())], &[]).err().unwrap_or_default()
    };
    let (text, number) = ("TIDEGATE__NODE", "TIDEGATE__LIMITS__CONNECTIONS");
    assert!(load(text, "n1").is_empty() && load(number, "1 # of them").is_empty());
    for (name, nothing) in
        [(text, ""), (text, " "), (text, "~"), (text, "null"), (number, ""), (number, "# 1"), (number, "~")]
    {
        let told = load(name, nothing);
        assert_eq!(told.len(), 1, "{nothing:?}: {told:#?}");
        assert_eq!(told[0].message, format!("environment variable `{name}` has no value"));
        assert_eq!(told[0].hint.as_deref(), Some("unset it, or give it a value"));
    }
    let told = load(text, "# n1");
    assert!(told[0].message.contains("`node`: expected 1 to 63 letters"), "a text is taken as it is: {told:#?}");
}

#[test]
fn a_flag_of_nothing_and_an_empty_path_are_mistakes() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tidegate.yaml");
    let load = |text: &str, overrides: &[Override]| {
        std::fs::write(&file, text).unwrap();
        let told = Config::load(Some(&file), [], overrides).err().unwrap_or_default();
        told.into_iter().map(|told| told.message).collect::<Vec<_>>()
    };
    let bridge = Override { flag: "--bridge", path: &["bridge"], value: String::new() };
    assert_eq!(load("", &[bridge]), ["flag `--bridge` has no value"]);
    assert_eq!(load("plugins: ''\n", &[]), ["`plugins` is empty, expected a path"]);
}
