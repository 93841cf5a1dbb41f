//! What the server tells of its plugins: faults and pauses, and no words of theirs.

use std::sync::Arc;

use serde_json::{Value, json};
use tidegate_core::flow::ports::TransformCall;
use tidegate_core::protocol::{BusEvent, Payload};
use tidegate_wasm::{HostSettings, Plugin, PluginHost, PluginSource, Services};

use crate::kit::{BAD_MANIFEST, KINDS_MANIFEST, bad, kinds, order};
use tidegate_testkit::FakeWatch;

/// A plugin, and what is told of it.
async fn watched(source: PluginSource) -> (Arc<Plugin>, Arc<FakeWatch>) {
    let watch = Arc::new(FakeWatch::default());
    let services = Services { watch: watch.clone(), ..Services::in_memory() };
    let host =
        PluginHost::with_services(HostSettings { instances_max: 4, ..HostSettings::default() }, services).unwrap();
    (host.load(source).await.unwrap(), watch)
}

#[tokio::test]
async fn a_fault_is_told_with_its_kind_and_a_pause_with_its_length() {
    let manifest = format!("{BAD_MANIFEST}\nbreaker: {{ faults: 1, window: 10s, pause: 2s }}");
    let (plugin, watch) = watched(bad(&manifest)).await;
    order(&plugin, "panic").await.unwrap_err();
    let seen = watch.seen();
    let paused = json!({ "plugin": plugin.name().as_str(), "class": "worker", "pause_ms": 2000 });
    assert_eq!(seen[0], ("tidegate.plugin.paused", paused));
    let (kind, fault) = &seen[1];
    assert_eq!(
        (*kind, &fault["kind"], &fault["version"]),
        ("tidegate.plugin.fault", &json!("trap"), &json!(plugin.version()))
    );
    assert!(!fault.to_string().contains("as it was told"), "{fault}");
}

#[tokio::test]
async fn a_transform_that_fails_on_an_event_of_the_server_makes_no_other_event() {
    let (plugin, watch) = watched(kinds("shaper", KINDS_MANIFEST)).await;
    for kind in ["tidegate.plugin.fault", "order.paid"] {
        let event = BusEvent::new("e1".to_owned(), "/a".to_owned(), kind.to_owned(), Value::Null);
        let payload = Payload::parse("\"error\"".to_owned()).unwrap();
        let call = TransformCall { channel: "orders.{id}", event: &event, topic: "orders.o1", payload: &payload };
        plugin.transform(call).await.unwrap_err();
        assert_eq!(watch.seen().len(), usize::from(kind == "order.paid"), "{kind}");
    }
}
