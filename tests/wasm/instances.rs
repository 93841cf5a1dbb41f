//! What calls share, and what they do not.

use tidegate_core::flow::ports::TransformCall;
use tidegate_core::protocol::{BusEvent, Payload, PluginName};
use tidegate_core::telemetry;
use tidegate_wasm::{HostSettings, Plugin, PluginHost, PluginSource};

use crate::kit::{BAD_MANIFEST, bad, load, order, reply, text, with_manifest};

fn with(instances: &str) -> String {
    format!("{BAD_MANIFEST}\ninstances: {instances}")
}

#[tokio::test]
async fn a_pooled_instance_serves_call_after_call() {
    let plugin = load(bad(BAD_MANIFEST)).await;
    for calls in ["1", "2", "3"] {
        assert_eq!(reply(order(&plugin, "count").await), calls);
    }
}

#[tokio::test]
async fn a_call_in_isolation_finds_nothing_of_the_one_before() {
    let plugin = load(bad(&with("{ isolation: per-call }"))).await;
    for _ in 0..3 {
        assert_eq!(reply(order(&plugin, "count").await), "1");
    }
}

#[tokio::test]
async fn an_instance_retires_after_its_calls() {
    let plugin = load(bad(&with("{ max_calls: 2 }"))).await;
    for calls in ["1", "2", "1", "2", "1"] {
        assert_eq!(reply(order(&plugin, "count").await), calls);
    }
}

#[tokio::test]
async fn resting_instances_make_room_for_another_plugin() {
    let host = PluginHost::new(HostSettings { instances_max: 1, ..HostSettings::default() }).unwrap();
    let first = host.load(bad(BAD_MANIFEST)).await.unwrap();
    assert_eq!(reply(order(&first, "count").await), "1");
    let second = host.load(bad(BAD_MANIFEST)).await.unwrap();
    assert_eq!(reply(order(&second, "count").await), "1");
    assert_eq!(reply(order(&first, "count").await), "1");
}

/// A host of its own, whose sweeps drop no instance of another test, and the bad plugin under this name.
async fn alone(name: &str, instances: &str) -> (PluginHost, std::sync::Arc<Plugin>) {
    let host = PluginHost::new(HostSettings { instances_max: 2, ..HostSettings::default() }).unwrap();
    let source = PluginSource { name: PluginName::new(name), ..bad(&with(instances)) };
    let plugin = host.load(source).await.unwrap();
    (host, plugin)
}

/// Whether `/metrics` has this line.
fn measured(line: &str) -> bool {
    telemetry::render().lines().any(|measured| measured == line)
}

#[tokio::test]
async fn an_instance_that_rests_too_long_goes_and_one_that_is_called_stays() {
    let (host, plugin) = alone("resting", "{ idle: 2s }").await;
    for calls in ["1", "2", "3", "4"] {
        assert_eq!(reply(order(&plugin, "count").await), calls);
        (0..2).for_each(|_| host.sweep());
    }
    assert!(measured("tidegate_plugin_instances{plugin=\"resting\",state=\"resting\"} 1"));
    host.sweep();
    assert_eq!(plugin.instances(), 0);
    assert!(measured("tidegate_plugin_instances{plugin=\"resting\",state=\"resting\"} 0"));
    assert!(measured("tidegate_plugin_instances_retired_total{plugin=\"resting\",reason=\"idle\"} 1"));
    assert_eq!(reply(order(&plugin, "count").await), "1");
}

#[tokio::test]
async fn an_instance_that_grew_too_large_serves_no_other_call() {
    let (_host, plugin) = alone("growing", "{ memory: 4MiB }").await;
    for calls in ["1", "1"] {
        assert_eq!(reply(order(&plugin, "hoard").await), calls);
    }
    assert!(measured("tidegate_plugin_instances_retired_total{plugin=\"growing\",reason=\"memory\"} 2"));
    // Three quarters of 16 MiB, where nothing else is said: room for one hoard.
    let (_host, plugin) = alone("grown", "{}").await;
    assert_eq!(reply(order(&plugin, "hoard").await), "1");
    assert_eq!(reply(order(&plugin, "count").await), "2");
}

#[tokio::test]
async fn every_instance_that_is_made_and_goes_is_counted_with_the_reason() {
    let (host, plugin) = alone("counted", "{ max_calls: 2 }").await;
    for deed in ["count", "count", "count", "forbidden"] {
        let _ = order(&plugin, deed).await.unwrap();
    }
    order(&plugin, "panic").await.unwrap_err();
    order(&plugin, "count").await.unwrap().unwrap();
    host.sweep();
    drop(plugin);
    for (reason, count) in [("calls", 2), ("failed", 1), ("replaced", 1)] {
        let line = format!("tidegate_plugin_instances_retired_total{{plugin=\"counted\",reason=\"{reason}\"}} {count}");
        assert!(measured(&line), "{line}");
    }
    // The one that was tried at load is among them.
    assert!(measured("tidegate_plugin_instances_created_total{plugin=\"counted\"} 5"));
    host.sweep();
    assert!(measured("tidegate_plugin_instances{plugin=\"counted\",state=\"working\"} 0"));
}

/// A transform that counts its calls in a global, in its memory and in a table, and answers the three numbers.
const COUNTING: &str = r#"(component
  (core module $m
    (memory (export "memory") 1)
    (global $calls (mut i32) (i32.const 0))
    (global $heap (mut i32) (i32.const 1024))
    (table $seen 9 funcref)
    (elem declare func $mark)
    (func $mark)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and
        (i32.add (global.get $heap) (i32.sub (local.get 2) (i32.const 1)))
        (i32.sub (i32.const 0) (local.get 2))))
      (global.set $heap (i32.add (local.get $at) (local.get 3)))
      (local.get $at))
    (func $marked (result i32)
      (local $n i32)
      (block $end (loop $next
        (br_if $end (ref.is_null (table.get $seen (local.get $n))))
        (local.set $n (i32.add (local.get $n) (i32.const 1)))
        (br $next)))
      (local.get $n))
    (func (export "apply") (param i32) (result i32)
      (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
      (i32.store8 (i32.const 16) (i32.add (i32.load8_u (i32.const 16)) (i32.const 1)))
      (table.set $seen (call $marked) (ref.func $mark))
      (i32.store8 (i32.const 32) (i32.add (i32.const 48) (global.get $calls)))
      (i32.store8 (i32.const 33) (i32.add (i32.const 48) (i32.load8_u (i32.const 16))))
      (i32.store8 (i32.const 34) (i32.add (i32.const 48) (call $marked)))
      (i32.store (i32.const 64) (i32.const 0))
      (i32.store (i32.const 68) (i32.const 1))
      (i32.store (i32.const 72) (i32.const 32))
      (i32.store (i32.const 76) (i32.const 3))
      (i32.const 64)))
  (core instance $c (instantiate $m))
  (type $event (record (field "kind" string) (field "source" string) (field "id" string)
    (field "subject" (option string)) (field "time" (option string)) (field "data" string)))
  (type $crossing (record (field "event" $event) (field "topic" string) (field "payload" string)
    (field "deadline-ms" u32)))
  (type $apply (func (param "crossing" $crossing) (result (result (option string) (error string)))))
  (func $f (type $apply) (canon lift (core func $c "apply") (memory (core memory $c "memory")) (realloc (core func $c "realloc"))))
  (component $named
    (type $e (record (field "kind" string) (field "source" string) (field "id" string)
      (field "subject" (option string)) (field "time" (option string)) (field "data" string)))
    (import "event" (type $event (eq $e)))
    (type $c (record (field "event" $event) (field "topic" string) (field "payload" string) (field "deadline-ms" u32)))
    (import "crossing" (type $crossing (eq $c)))
    (import "apply" (func $f (param "crossing" $crossing) (result (result (option string) (error string)))))
    (export $event2 "event" (type $e))
    (type $c2 (record (field "event" $event2) (field "topic" string) (field "payload" string) (field "deadline-ms" u32)))
    (export $crossing2 "crossing" (type $c2))
    (export "apply" (func $f) (func (param "crossing" $crossing2) (result (result (option string) (error string))))))
  (instance $i (instantiate $named
    (with "event" (type $event)) (with "crossing" (type $crossing)) (with "apply" (func $f))))
  (export "tidegate:plugin/transform@0.1.0" (instance $i)))"#;

/// What the counting transform answers to three calls.
async fn counts(manifest: &str) -> Vec<String> {
    let plugin = load(with_manifest(text(COUNTING), &format!("component: x.wasm\n{manifest}"))).await;
    let event = BusEvent::new("e1".to_owned(), "/a".to_owned(), "a".to_owned(), serde_json::json!({}));
    let mut counts = Vec::new();
    for _ in 0..3 {
        let payload = Payload::parse("1".to_owned()).unwrap();
        let call = TransformCall { channel: "a", event: &event, topic: "a", payload: &payload };
        counts.push(plugin.transform(call).await.unwrap().unwrap().as_str().to_owned());
    }
    counts
}

#[tokio::test]
async fn globals_memory_and_tables_of_a_call_are_the_next_ones_only_where_instances_are_shared() {
    assert_eq!(counts("instances: { isolation: per-call }").await, ["111", "111", "111"]);
    assert_eq!(counts("").await, ["111", "222", "333"]);
}
