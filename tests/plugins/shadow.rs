//! Shadows: a candidate is asked what the version that serves was asked, and nothing that it does happens.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tidegate_core::flow::MemoryKv;
use tidegate_core::flow::kv::{KeyValue as _, KvKey};
use tidegate_core::flow::ports::{PluginState, ShadowStatus, SystemClock};
use tidegate_wasm::{HostSettings, Plugin, PluginHost, PluginSource, Services};

use crate::kit::{self, reply, send, shipped, with_manifest};

/// A host whose plugins use these keys.
fn host(kv: &Arc<MemoryKv>) -> PluginHost {
    let services = Services { kv: kv.clone(), ..Services::in_memory() };
    PluginHost::with_services(HostSettings { instances_max: 8, ..HostSettings::default() }, services).unwrap()
}

fn keys() -> Arc<MemoryKv> {
    Arc::new(MemoryKv::new(Arc::new(SystemClock)))
}

/// The plugin, with a shadow of this component.
async fn shadowed(host: &PluginHost, source: PluginSource, share: &str, candidate: io::Result<Vec<u8>>) -> Arc<Plugin> {
    let manifest = format!("{}\nshadow: {{ version: next.wasm, share: {share} }}\n", source.manifest.text);
    let plugin = host.load(with_manifest(source, &manifest)).await.unwrap_or_else(|mistakes| panic!("{mistakes:#?}"));
    host.shadow(&plugin, |_| candidate).await;
    plugin
}

fn status(plugin: &Plugin) -> ShadowStatus {
    plugin.status(PluginState::Active).shadow.unwrap()
}

/// The status once the candidate was asked so often, or was not asked because it was busy.
async fn asked(plugin: &Plugin, calls: u64) -> ShadowStatus {
    let counted = async {
        loop {
            let status = status(plugin);
            if status.calls + status.dropped >= calls {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), counted).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_candidate_that_answers_alike_has_no_difference_and_one_that_does_not_changes_no_reply() {
    let host = host(&keys());
    let plugin = shadowed(&host, shipped("ping"), "100%", Ok(shipped("ping").component)).await;
    for n in 0..5 {
        assert_eq!(reply(send(&plugin, &format!("{{\"n\":{n}}}")).await), format!("{{\"pong\":{n}}}"));
    }
    let ShadowStatus { calls, same, differences, error, .. } = asked(&plugin, 5).await;
    assert_eq!((calls, same, differences.len(), error), (5, 5, 0, None));

    let other = kit::bad(kit::BAD_MANIFEST).component;
    host.shadow(&plugin, |_| Ok(other)).await;
    for n in 0..5 {
        assert_eq!(reply(send(&plugin, &format!("{{\"n\":{n}}}")).await), format!("{{\"pong\":{n}}}"));
    }
    let found = asked(&plugin, 5).await;
    assert_eq!(found.differences, [("effects", 5), ("reply", 5)].into(), "a new candidate begins anew");
    let shown = found.last_differences[0].shown.as_ref().unwrap();
    assert!(shown[0].starts_with("/effects: expected [{\"emit\""), "{shown:?}");
    let service = plugin.status(PluginState::Active).service.unwrap();
    assert_eq!((service.calls, service.faults), (10, 0), "its calls are in no statistics");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_candidate_that_loops_is_dropped_while_it_is_busy_and_the_plugin_answers_on() {
    let host = host(&keys());
    let plugin = shadowed(&host, shipped("ping"), "100%", Ok(kit::bad(kit::BAD_MANIFEST).component)).await;
    for _ in 0..200 {
        // To ping it is no message at all.
        send(&plugin, "\"loop\"").await.unwrap().unwrap_err();
    }
    let found = asked(&plugin, 100).await;
    assert!(found.dropped > 0, "{found:?}");
    let status = plugin.status(PluginState::Active);
    assert_eq!(status.service.unwrap().breaker.worker, "closed");
    assert!(status.last_faults.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_candidate_writes_lies_over_the_store_and_is_gone_after_the_call() {
    let kv = keys();
    let key = KvKey { bucket: "b", key: "n" };
    kv.put(key, b"40", None, None).await.unwrap();
    let host = host(&kv);
    let manifest = "component: bad.wasm\ngrants: { kv: [b] }\nlimits: { cpu: 100ms, wall: 1s }";
    let candidate = kit::keys("keys", "").component;
    let plugin = shadowed(&host, kit::bad(manifest), "100%", Ok(candidate)).await;
    for _ in 0..2 {
        send(&plugin, "\"increment b n 2 -\"").await.unwrap().unwrap();
    }
    let found = asked(&plugin, 2).await;
    assert_eq!(found.differences, [("import-missing", 2), ("reply", 2)].into());
    let shown: Vec<_> = found.last_differences.iter().flat_map(|it| it.shown.clone().unwrap()).collect();
    assert!(shown.iter().filter(|line| line.contains("Ok(42)")).count() == 2, "each call begins anew: {shown:?}");
    assert_eq!(kv.get(key).await.unwrap().unwrap().value, b"40");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_keys_are_written_once_whoever_listens() {
    let kv = keys();
    let host = host(&kv);
    let lines = "grants: { kv: [b] }\nlimits: { cpu: 5s, wall: 30s, kv_time: 10s }";
    let source = kit::keys("keys", lines);
    let plugin = shadowed(&host, source.clone(), "100%", Ok(source.component)).await;
    for sum in 1..=3 {
        assert_eq!(reply(send(&plugin, "\"increment b n 1 -\"").await), format!("\"Ok({sum})\""));
    }
    let found = asked(&plugin, 3).await;
    assert_eq!((found.same, found.differences.len()), (3, 0), "{found:?}");
    assert_eq!(kv.get(KvKey { bucket: "b", key: "n" }).await.unwrap().unwrap().value, b"3");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_of_the_calls_goes_to_the_candidate() {
    let host = host(&keys());
    let plugin = shadowed(&host, shipped("ping"), "20%", Ok(shipped("ping").component)).await;
    for _ in 0..50 {
        send(&plugin, r#"{"n":1}"#).await.unwrap().unwrap();
    }
    assert_eq!(asked(&plugin, 10).await.calls, 10);
    assert_eq!(status(&plugin).share, "20%");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_candidate_that_does_not_load_is_told_and_the_plugin_serves() {
    let host = host(&keys());
    for (candidate, why) in [
        (Ok(b"\0asm".to_vec()), "is not WebAssembly"),
        (Err(io::Error::other("no such file")), "`next.wasm`: no such file"),
    ] {
        let plugin = shadowed(&host, shipped("ping"), "100%", candidate).await;
        assert_eq!(status(&plugin).error.as_deref(), Some(why));
        assert_eq!(reply(send(&plugin, r#"{"n":1}"#).await), r#"{"pong":1}"#);
    }
}

#[tokio::test]
async fn a_shadow_that_cannot_be_is_a_mistake_of_the_file() {
    let told = async |shadow: &str| {
        let text = format!("{}\nshadow: {shadow}\n", shipped("ping").manifest.text);
        let refused = kit::host().load(with_manifest(shipped("ping"), &text)).await.unwrap_err();
        refused[0].message.clone()
    };
    assert!(told("{ version: ../next.wasm }").await.contains("`shadow.version`: expected a file name"));
    assert!(told("{ version: next.wasm, share: 5 }").await.contains("share"), "without its sign");
    assert!(told("{ version: next.wasm, share: 101% }").await.contains("0.01% to 100%"));
}
