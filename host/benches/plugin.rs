//! What a plugin call costs in the host: `cargo bench --bench plugin`. The guests are built from source first.

#![allow(missing_docs, clippy::unwrap_used, reason = "criterion makes undocumented items; a benchmark may panic")]

#[path = "../../tests/plugins/kit.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod kit;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use tidegate::flow::ports::{Action, AuthorizerCall, HandlerCall};
use tidegate::plugins::Plugin;
use tidegate::protocol::Payload;
use tokio::runtime::Runtime;

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

criterion_group!(benches, calls);
criterion_main!(benches);
