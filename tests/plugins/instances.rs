//! What calls share, and what they do not.

use tidegate::plugins::{HostSettings, PluginHost};

use crate::kit::{BAD_MANIFEST, bad, load, order, reply};

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
