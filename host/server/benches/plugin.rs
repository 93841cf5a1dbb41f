//! What a plugin call costs in the host: `cargo bench --bench plugin`. The guests are built from source first.

#![allow(missing_docs, clippy::unwrap_used, reason = "criterion makes undocumented items; a benchmark may panic")]

#[path = "../../../tests/plugins/kit.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod kit;

use std::sync::Arc;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use tidegate_backends::store::SqliteStore;
use tidegate_core::flow::ports::{Action, AuthorizerCall, HandlerCall, SystemClock};
use tidegate_core::protocol::Payload;
use tidegate_wasm::{HostSettings, Plugin, PluginHost, Services};
use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;

/// A payload of 200 bytes that ping reads; it ignores the padding.
fn payload() -> Payload {
    let text = format!(r#"{{"n":7,"padding":"{}"}}"#, "x".repeat(180));
    assert_eq!(text.len(), 200);
    Payload::parse(text).unwrap()
}

fn calls(c: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let load = |source| runtime.block_on(kit::load(source));
    let ping = load(kit::shipped("ping"));
    let fresh = format!("{}\ninstances: {{ isolation: per-call }}", kit::shipped("ping").manifest.text);
    let fresh = load(kit::with_manifest(kit::shipped("ping"), &fresh));
    let allow = load(kit::bad(kit::BAD_MANIFEST));
    let context = kit::context("realtime-ping", "realtime-ping", Some("u1"));
    let payload = payload();
    let handle = |plugin: &Plugin, payload: &Payload| {
        let call = HandlerCall { context: &context, payload };
        runtime.block_on(plugin.handle(call)).unwrap().unwrap()
    };
    let empty = Payload::parse("0".to_owned()).unwrap();
    c.bench_function("plugin/handle_200_bytes_warm", |b| b.iter(|| handle(&ping, &payload)));
    c.bench_function("plugin/handle_200_bytes_fresh", |b| b.iter(|| handle(&fresh, &payload)));
    c.bench_function("plugin/handle_empty_boundary", |b| b.iter(|| handle(&allow, &empty)));
    let members = load(kit::shipped("vault-members"));
    let vault = kit::context("vault.{vaultId}", "vault.v1", Some("alice"));
    c.bench_function("plugin/authorize_member_warm", |b| {
        b.iter(|| {
            let call = AuthorizerCall { context: &vault, action: Action::Subscribe, payload: None };
            runtime.block_on(members.authorize(call)).unwrap()
        });
    });
    let source = kit::shipped("ping");
    c.bench_function("plugin/load", |b| b.iter_batched(|| source.clone(), load, BatchSize::PerIteration));
}

/// Calls of one plugin from as many threads as there are cores, and from fewer: `time` is that of a call by the clock on the wall,
/// so that twice the threads should halve it.
fn cores(c: &mut Criterion) {
    let context = Arc::new(kit::context("realtime-ping", "realtime-ping", Some("u1")));
    let payload = Arc::new(payload());
    let cores = std::thread::available_parallelism().unwrap().get();
    let doubled = std::iter::successors(Some(1), |threads| Some(threads * 2)).take_while(|threads| *threads < cores);
    for threads in doubled.chain([cores]) {
        let runtime = Builder::new_multi_thread().worker_threads(threads).enable_all().build().unwrap();
        let ping = Arc::new(runtime.block_on(kit::load(kit::shipped("ping"))));
        let calls = |count: u64| {
            let (ping, context, payload) = (Arc::clone(&ping), Arc::clone(&context), Arc::clone(&payload));
            async move {
                for _ in 0..count {
                    let call = HandlerCall { context: &context, payload: &payload };
                    ping.handle(call).await.unwrap().unwrap();
                }
            }
        };
        c.bench_function(&format!("plugin/handle_200_bytes_threads_{threads}"), |b| {
            b.iter_custom(|count| {
                let share = count.div_ceil(threads as u64);
                let began = Instant::now();
                let tasks: Vec<_> = (0..threads).map(|_| runtime.spawn(calls(share))).collect();
                for task in tasks {
                    runtime.block_on(task).unwrap();
                }
                began.elapsed()
            });
        });
    }
}

/// Calls that reach for a store: what a key and a query cost on the way through a component.
fn reaches(c: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(SqliteStore::new(directory.path().join("t.db"), Arc::new(SystemClock)));
    let memory = Services::in_memory();
    let sqlite = Services { kv: store.clone(), queries: store, ..Services::in_memory() };
    // The rates are for plugins, not for benchmarks.
    let ample = "kv: 1000000, queries: 1000000, cpu: 10s, wall: 30s, kv_time: 10s, query_time: 10s";
    let context = kit::context("realtime-ping", "realtime-ping", Some("u1"));
    let mut measure = |name: &str, plugin: &Plugin, payload: &str| {
        let payload = Payload::parse(payload.to_owned()).unwrap();
        c.bench_function(name, |b| {
            b.iter(|| runtime.block_on(plugin.handle(HandlerCall { context: &context, payload: &payload })).unwrap());
        });
    };
    for (place, services) in [("memory", memory), ("sqlite", sqlite.clone())] {
        let host = PluginHost::with_services(HostSettings { instances_max: 4, ..HostSettings::default() }, services);
        let source = kit::keys("keys", &format!("grants: {{ kv: [b] }}\nlimits: {{ {ample} }}"));
        let keys = runtime.block_on(host.unwrap().load(source)).unwrap();
        measure(&format!("plugin/kv_put_{place}"), &keys, "\"put b k value - -\"");
        measure(&format!("plugin/kv_get_{place}"), &keys, "\"get b k\"");
        measure(&format!("plugin/kv_increment_{place}"), &keys, "\"increment b n 1 -\"");
    }
    let host = PluginHost::with_services(HostSettings { instances_max: 4, ..HostSettings::default() }, sqlite).unwrap();
    let lines = format!("grants: {{ queries: {{ one: 'select $1 as one' }} }}\nlimits: {{ {ample} }}");
    let asks = runtime.block_on(host.load(kit::asks(&lines))).unwrap();
    measure("plugin/query_sqlite", &asks, r#"{ "query": "one", "params": [1] }"#);
}

criterion_group!(benches, calls, cores, reaches);
criterion_main!(benches);
