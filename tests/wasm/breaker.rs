//! A plugin that keeps failing is not called for a while.

use std::time::Duration;

use tidegate_core::flow::ports::{FaultKind, PluginState};
use tidegate_wasm::Plugin;
use tokio::time::advance;

use crate::kit::{BAD_MANIFEST, bad, load, order, reply};

async fn fails_with(plugin: &Plugin, deed: &str) -> FaultKind {
    order(plugin, deed).await.unwrap_err().kind
}

fn paused(plugin: &Plugin) -> Vec<&'static str> {
    plugin.status(PluginState::Active).service.unwrap().paused
}

#[tokio::test(start_paused = true)]
async fn a_plugin_that_keeps_failing_is_not_called_until_a_call_that_is_tried_goes_well() {
    let manifest = format!("{BAD_MANIFEST}\nbreaker: {{ faults: 3, window: 10s, pause: 2s }}");
    let plugin = load(bad(&manifest)).await;
    for deed in ["panic", "garbage", "not-granted-emit"] {
        assert_ne!(fails_with(&plugin, deed).await, FaultKind::Paused);
    }
    assert_eq!(fails_with(&plugin, "count").await, FaultKind::Paused);
    assert_eq!(paused(&plugin), ["worker"], "authorizers are counted apart");

    advance(Duration::from_secs(2)).await;
    assert_eq!(fails_with(&plugin, "panic").await, FaultKind::Trap);
    advance(Duration::from_secs(3)).await;
    assert_eq!(fails_with(&plugin, "count").await, FaultKind::Paused, "the pause is twice as long");

    advance(Duration::from_secs(1)).await;
    reply(order(&plugin, "count").await);
    assert!(paused(&plugin).is_empty());
    let service = plugin.status(PluginState::Active).service.unwrap();
    assert_eq!((service.calls, service.faults), (5, 4), "calls that were kept from it are none of its own");
}

#[tokio::test(start_paused = true)]
async fn refusals_are_no_faults() {
    let plugin = load(bad(&format!("{BAD_MANIFEST}\nbreaker: {{ faults: 1 }}"))).await;
    for _ in 0..5 {
        order(&plugin, "forbidden").await.unwrap().unwrap_err();
    }
    assert!(paused(&plugin).is_empty());
}
