//! The bulkheads of a plugin: which calls run, wait and are refused.

use std::time::Duration;

use tidegate_core::flow::ports::FaultKind;
use tidegate_wasm::{HostSettings, PluginHost};

use crate::kit::{BAD_MANIFEST, ask, bad, context, order, shipped, with_manifest};

/// The bad plugin with these limits, which hold for as long as a test takes.
fn patient(limits: &str) -> String {
    BAD_MANIFEST.replace("cpu: 100ms, wall: 1s", &format!("cpu: 20s, wall: 20s, {limits}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn authorizers_answer_while_looping_handlers_hold_every_place_they_may_have() {
    let host = PluginHost::new(HostSettings { instances_max: 4, ..HostSettings::default() }).unwrap();
    let looping = host.load(bad(&patient("concurrency: 64"))).await.unwrap();
    let other = host.load(bad(&BAD_MANIFEST.replace("wall: 1s", "wall: 200ms"))).await.unwrap();
    let members = shipped("vault-members");
    let manifest = members.manifest.text.clone() + "\nlimits: { wall: 5s, cpu: 1s }\n";
    let members = host.load(with_manifest(members, &manifest)).await.unwrap();
    let flood: Vec<_> = (0..32)
        .map(|_| {
            let looping = looping.clone();
            tokio::spawn(async move { order(&looping, "loop").await })
        })
        .collect();
    // Until no handler of another plugin gets a place.
    while order(&other, "count").await.map_or_else(|fault| fault.kind != FaultKind::Overloaded, |_| true) {}

    for _ in 0..20 {
        ask(&members, &context("vault.{vaultId}", "vault.v1", Some("alice"))).await.unwrap();
    }
    assert!(flood.iter().all(|call| !call.is_finished()), "the flood was over before the authorizer answered");
    assert_eq!(order(&other, "count").await.unwrap_err().kind, FaultKind::Overloaded);
    flood.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn a_call_beyond_the_queue_is_refused_at_once() {
    let plugin = crate::kit::load(bad(&patient("concurrency: 1, queue: 1"))).await;
    let started = tokio::time::Instant::now();
    // Polled in this order: the first takes the place, the second waits for it, the third finds the queue full.
    let fault = tokio::select! {
        biased;
        _ = order(&plugin, "sleep") => panic!("the sleeper woke"),
        _ = order(&plugin, "sleep") => panic!("the second sleeper woke"),
        refused = order(&plugin, "count") => refused.unwrap_err(),
    };
    assert_eq!(fault.kind, FaultKind::Overloaded);
    assert!(fault.detail.contains("`limits.queue`"), "{}", fault.detail);
    assert!(started.elapsed() < Duration::from_secs(10), "it waited");
}

#[tokio::test]
async fn a_call_that_waits_for_a_place_gets_that_of_a_call_that_ends() {
    let host = PluginHost::new(HostSettings { instances_max: 1, ..HostSettings::default() }).unwrap();
    let first = host.load(bad(&patient("concurrency: 4"))).await.unwrap();
    let second = host.load(bad(&patient("concurrency: 4"))).await.unwrap();
    let (ended, waited) = tokio::join!(biased; order(&first, "log"), order(&second, "count"));
    ended.unwrap().unwrap();
    waited.unwrap().unwrap();
}
