//! What does not load, and what it says.

use tidegate_wasm::{HostSettings, PluginHost, PluginSource, manifest_schema};

use crate::kit::{BAD_MANIFEST, bad, bytes, host, load, refused, root, shipped, text, with_manifest};

#[tokio::test]
async fn bytes_that_are_no_webassembly_are_refused() {
    let (message, line, hint) = refused(bytes(b"hello, world".to_vec())).await;
    assert_eq!((message.as_str(), line), ("component `x.wasm`: is not WebAssembly", 1));
    assert_eq!(hint, "build it with `tidegate plugin build x`");
    assert_eq!(refused(bytes(Vec::new())).await.0, "component `x.wasm`: is empty");
    assert_eq!(refused(bytes(vec![0; 1 << 20])).await.0, "component `x.wasm`: is not WebAssembly");
}

#[tokio::test]
async fn a_component_of_unreasonable_size_is_refused_unread() {
    let message = refused(bytes(vec![0; (64 << 20) + 1])).await.0;
    assert_eq!(message, "component `x.wasm`: has 67108865 bytes, at most 64MiB are allowed");
}

#[tokio::test]
async fn a_core_module_is_told_from_a_component() {
    let (message, _, hint) = refused(text("(module)")).await;
    assert_eq!(message, "component `x.wasm`: is a core module, not a component");
    assert_eq!(hint, "build it with `tidegate plugin build x`");
}

#[tokio::test]
async fn half_a_component_is_refused() {
    let mut source = shipped("ping");
    source.component.truncate(source.component.len() / 2);
    let (message, _, hint) = refused(source).await;
    assert!(message.starts_with("component `ping.wasm`: does not compile: "), "{message}");
    assert!(hint.contains("incomplete"), "{hint}");
}

#[tokio::test]
async fn a_component_without_a_kind_is_refused_with_what_it_exports() {
    let (message, ..) = refused(text("(component)")).await;
    assert_eq!(message, "component `x.wasm`: is not a plugin of any kind: it exports nothing");
    let source = text(r#"(component (instance $i) (export "acme:things/thing@1.0.0" (instance $i)))"#);
    let message = refused(source).await.0;
    assert!(message.ends_with("it exports `acme:things/thing@1.0.0`"), "{message}");
}

#[tokio::test]
async fn another_version_of_the_contract_is_named() {
    let source = text(r#"(component (instance $i) (export "tidegate:plugin/handler@0.4.0" (instance $i)))"#);
    let (message, _, hint) = refused(source).await;
    assert_eq!(
        message,
        "component `x.wasm`: exports `tidegate:plugin/handler@0.4.0`, but this server supports versions 0.1, 0.2 and 0.3 of \
         `tidegate:plugin`"
    );
    assert!(hint.contains("SDK"), "{hint}");
}

#[tokio::test]
async fn an_import_of_another_version_is_named() {
    let source = text(
        r#"(component
            (import "tidegate:host/log@0.2.0" (instance))
            (instance $i)
            (export "tidegate:plugin/handler@0.1.0" (instance $i)))"#,
    );
    let (message, _, hint) = refused(source).await;
    assert_eq!(
        message,
        "component `x.wasm`: imports `tidegate:host/log@0.2.0`, but this server supports version 0.1 of `tidegate:host`"
    );
    assert!(hint.contains("SDK"), "{hint}");
}

/// A component that exports `handle` without the contract's parameters and runs `start` when it is instantiated.
fn handler_with_start(start: &str) -> PluginSource {
    text(&format!(
        r#"(component
            (core module $m (func $start {start}) (start $start) (func (export "handle")))
            (core instance $c (instantiate $m))
            (func $handle (canon lift (core func $c "handle")))
            (instance $i (export "handle" (func $handle)))
            (export "tidegate:plugin/handler@0.1.0" (instance $i)))"#
    ))
}

#[tokio::test]
async fn an_export_of_another_shape_is_found_before_it_serves() {
    let message = refused(text(r#"(component (instance $i) (export "tidegate:plugin/handler@0.1.0" (instance $i)))"#));
    let message = message.await.0;
    assert!(message.starts_with("component `x.wasm`: does not fit the contract: "), "{message}");
    let message = refused(handler_with_start("")).await.0;
    assert!(message.starts_with("component `x.wasm`: does not fit the contract: "), "{message}");
}

#[tokio::test]
async fn a_start_that_never_ends_is_stopped() {
    let message = refused(handler_with_start("(loop $l (br $l))")).await.0;
    assert_eq!(message, "component `x.wasm`: does not start: used up `limits.cpu` (25 ms)");
    let message = refused(handler_with_start("unreachable")).await.0;
    assert!(message.starts_with("component `x.wasm`: does not start: wasm trap: "), "{message}");
}

#[tokio::test]
async fn an_import_nobody_grants_is_named() {
    let source = text(
        r#"(component
            (import "tidegate:kv/store@0.1.0" (instance (export "get" (func (param "key" string)))))
            (instance $i)
            (export "tidegate:plugin/handler@0.1.0" (instance $i)))"#,
    );
    let (message, line, hint) = refused(source).await;
    assert_eq!(message, "component `x.wasm`: imports `tidegate:kv/store@0.1.0`, but `grants.kv` grants nothing");
    assert_eq!((line, hint.as_str()), (1, "add to `grants:` in plugin.yaml: `kv: [bucket]`"));
}

/// A handler, as far as its exports tell, that imports an empty interface of this name.
fn importing(import: &str) -> PluginSource {
    text(&format!(
        r#"(component
            (import "{import}" (instance))
            (instance $i)
            (export "tidegate:plugin/handler@0.1.0" (instance $i)))"#
    ))
}

#[tokio::test]
async fn every_grant_that_an_import_needs_is_named() {
    for (import, line) in [
        ("tidegate:host/secrets@0.1.0", "secrets: [NAME]"),
        ("tidegate:kv/store@0.1.0", "kv: [bucket]"),
        ("tidegate:sql/queries@0.1.0", "queries: { name: \"select … where id = $1\" }"),
        ("tidegate:http/client@0.1.0", "http: [\"https://api.example.com\"]"),
    ] {
        let (message, _, hint) = refused(importing(import)).await;
        assert!(message.contains(import), "{message}");
        assert_eq!(hint, format!("add to `grants:` in plugin.yaml: `{line}`"));
    }
}

#[tokio::test]
async fn an_import_nobody_offers_is_named() {
    let (message, _, hint) = refused(importing("acme:things/thing@1.0.0")).await;
    assert_eq!(message, "component `x.wasm`: imports `acme:things/thing@1.0.0`, which the server does not offer");
    assert!(hint.contains("tidegate:kv"), "{hint}");
}

#[tokio::test]
async fn a_memory_beyond_the_limit_is_refused_at_load() {
    let (message, line, _) = refused(with_manifest(shipped("ping"), "component: a\nlimits: { memory: 64KiB }")).await;
    assert_eq!(line, 1);
    assert!(message.contains("needed more than `limits.memory` (65536 bytes)"), "{message}");
}

/// A handler, as far as its exports tell, whose instances have so many memories.
fn with_memories(memories: usize) -> PluginSource {
    let memory = "(core instance (instantiate $memory))".repeat(memories);
    text(&format!(
        r#"(component (core module $memory (memory 1)) {memory}
            (instance $i) (export "tidegate:plugin/handler@0.1.0" (instance $i)))"#
    ))
}

#[tokio::test]
async fn a_component_that_takes_more_of_the_pool_than_there_is_says_what() {
    let settings = HostSettings { instances_max: 2, ..HostSettings::default() };
    let small = PluginHost::new(settings).unwrap();
    let mistakes = small.load(with_memories(9)).await.unwrap_err();
    assert_eq!(
        mistakes[0].message,
        "component `x.wasm`: one instance needs the places of 3 instances (9 memories, 0 tables), but there are only 1"
    );
    assert!(mistakes[0].hint.as_ref().unwrap().contains("`limits.plugin_instances`"));
    let (message, ..) = refused(with_memories(65)).await;
    assert!(message.starts_with("component `x.wasm`: needs too much for one instance: "), "{message}");
    assert!(message.contains("65 core module instances"), "{message}");
}

#[tokio::test]
async fn a_pin_holds_the_component_to_its_digest() {
    let source = bad(BAD_MANIFEST);
    let wrong = with_manifest(source.clone(), &format!("component: bad.wasm\nsha256: {}", "a".repeat(64)));
    let (message, line, _) = refused(wrong).await;
    assert_eq!(line, 2);
    let digest = message.rsplit(' ').next().unwrap().to_owned();
    let right = with_manifest(source, &format!("component: bad.wasm\nsha256: {digest}"));
    assert_eq!(load(right).await.digest().as_str(), digest);
}

#[tokio::test]
async fn every_mistake_of_a_manifest_is_told_in_one_run() {
    let text =
        "component: bad.wasm\ngrants:\n  secrets: [TIDEGATE_API_KEY]\n  emit: ['{']\n  publish: ['*']\nlimit: {}\n";
    let diagnostics = host().load(bad(text)).await.unwrap_err();
    let mut lines: Vec<_> = diagnostics.iter().map(|d| d.place.as_ref().unwrap().line).collect();
    lines.sort_unstable();
    assert_eq!(lines, [3, 4, 5, 6], "{diagnostics:#?}");
}

#[test]
fn the_schema_for_editors_is_current() {
    let path = root().join("plugins/plugin.schema.json");
    let current = format!("{:#}\n", manifest_schema());
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    if committed != current && std::env::var_os("TIDEGATE_UPDATE").is_some() {
        std::fs::write(&path, &current).unwrap();
    } else {
        assert_eq!(
            committed, current,
            "write it anew with TIDEGATE_UPDATE=1 cargo test --workspace --test wasm schema"
        );
    }
}
