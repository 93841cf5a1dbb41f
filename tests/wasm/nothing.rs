//! No key of `plugin.yaml` means anything when nothing stands behind it.

use serde_json::json;
use tidegate_wasm::{manifest_schema, read_manifest};

use crate::holes::{Kind, assert_takes_no_null, failures, source};

fn kind() -> Kind {
    Kind {
        name: "plugin.yaml",
        schema: manifest_schema(),
        mistakes: |text| read_manifest(&source("plugin.yaml", text)).err().unwrap_or_default(),
        base: json!({ "component": "a.wasm" }),
    }
}

#[test]
fn a_key_of_plugin_yaml_with_nothing_behind_it_is_a_mistake() {
    let failures = failures(&kind());
    assert!(failures.is_empty(), "{failures}");
}

#[test]
fn the_schema_of_plugin_yaml_for_editors_takes_no_null() {
    assert_takes_no_null(&kind());
}

#[test]
fn a_plugins_own_configuration_may_hold_null_and_not_nothing() {
    let plugin = |config: &str| {
        let text = format!("component: a.wasm\nconfig:\n  greeting: {config}\n");
        read_manifest(&source("plugin.yaml", &text)).err().unwrap_or_default()
    };
    assert!(plugin("null").is_empty() && plugin("[a, null, { b: ~ }]").is_empty());
    let told = plugin("# hello");
    assert_eq!(told.len(), 1, "{told:#?}");
    assert_eq!(told[0].summary(), "plugin.yaml:3:3: `greeting` has no value");
    assert_eq!(told[0].hint.as_deref(), Some("remove it, or write `null`, or quote a value that begins with `#`"));
}
