//! `cargo bench --bench catalog`: look-up, build, schema check, bridge rule, and what changes from one catalog to another.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use serde_json::json;
use tidegate_core::channels::{Catalog, Policy, Sources, compile, diff};
use tidegate_core::config::SourceFile;
use tidegate_core::protocol::{BusEvent, Generation};

/// Channels of one manifest: a feature rarely has more, and a file has a largest size.
const CHANNELS_PER_FILE: usize = 1000;

/// Half of the channels static, half with a param.
fn sources(channels: usize) -> Sources {
    let entry = |n: usize| match n % 2 {
        0 => format!("  feature{}.static.c{n}: {{ scope: public, payload: {{ type: object }} }}\n", n % 97),
        _ => format!("  feature{}.c{n}.{{id}}: {{ scope: public, payload: {{ type: object }} }}\n", n % 97),
    };
    let numbers: Vec<usize> = (0..channels).collect();
    let file = |(at, numbers): (usize, &[usize])| {
        let text = format!("feature: f{at}\nchannels:\n{}", numbers.iter().map(|&n| entry(n)).collect::<String>());
        Arc::new(SourceFile { path: format!("f{at}.yaml"), text })
    };
    Sources { manifests: numbers.chunks(CHANNELS_PER_FILE).enumerate().map(file).collect(), ..Sources::default() }
}

fn built(sources: &Sources) -> Catalog {
    compile(sources, Generation(1)).unwrap_or_else(|mistakes| panic!("{}", mistakes[0].render()))
}

fn look_up(c: &mut Criterion) {
    let mut group = c.benchmark_group("look_up");
    for channels in [10, 1000, 100_000] {
        let catalog = built(&sources(channels));
        let (even, odd) = (channels / 2 * 2 - 2, channels / 2 * 2 - 1);
        let fixed = format!("feature{}.static.c{even}", even % 97);
        let param = format!("feature{}.c{odd}.u42", odd % 97);
        let none = format!("feature{}.none.u42", odd % 97);
        assert!(
            catalog.resolve(&fixed).is_some() && catalog.resolve(&param).is_some() && catalog.resolve(&none).is_none()
        );
        for (name, topic) in [("static", fixed), ("param", param), ("undeclared", none)] {
            group.bench_with_input(BenchmarkId::new(name, channels), &topic, |b, topic| {
                b.iter(|| catalog.resolve(black_box(topic)));
            });
        }
    }
    group.finish();
}

fn build(c: &mut Criterion) {
    let sources = sources(1000);
    c.bench_function("build/1000", |b| b.iter(|| built(black_box(&sources))));
}

fn check(c: &mut Criterion) {
    let text = "feature: x\nchannels:\n  a:\n    scope: public\n    payload:\n      type: object\n      required: [id, title]\n      \
                additionalProperties: false\n      properties:\n        id: { type: string, maxLength: 64 }\n        \
                title: { type: string, maxLength: 300 }\n        n: { type: integer, minimum: 0 }\n        \
                tags: { type: array, items: { type: string, pattern: \"^[a-z]+$\" } }\n";
    let file = Arc::new(SourceFile { path: "a.yaml".to_owned(), text: text.to_owned() });
    let catalog = built(&Sources { manifests: vec![file], ..Sources::default() });
    let Some(resolved) = catalog.resolve("a") else { return };
    let payload =
        json!({ "id": "0123456789abcdef", "title": "t".repeat(100), "n": 7, "tags": ["one", "two", "three"] });
    assert!(payload.to_string().len() > 170 && resolved.channel.payload.check(&payload).is_ok());
    c.bench_function("schema/200_bytes", |b| b.iter(|| resolved.channel.payload.check(black_box(&payload))));
}

fn bridge(c: &mut Criterion) {
    let manifest = "feature: x\nchannels:\n  vault.{vaultId}: { scope: public, payload: true }\n";
    let table = "rules:\n  - on: vault.source.*\n    when: event.data.source.status != \"draft\"\n    to: vault.{vaultId}\n    \
                 params: { vaultId: event.data.vaultId }\n    \
                 payload: '{\"kind\": event.type, \"source\": event.data.source}'\n";
    let file = |path: &str, text: &str| Arc::new(SourceFile { path: path.to_owned(), text: text.to_owned() });
    let sources = Sources {
        manifests: vec![file("a.yaml", manifest)],
        bridge: Some(file("bridge.yaml", table)),
        ..Sources::default()
    };
    let catalog = built(&sources);
    let data = json!({ "vaultId": "v1", "source": { "id": "s1", "status": "active", "title": "A source" } });
    let event = BusEvent::new("1".to_owned(), "/cms".to_owned(), "vault.source.added".to_owned(), data);
    c.bench_function("bridge/rules_for_and_apply", |b| {
        b.iter(|| {
            catalog
                .bridge()
                .rules_for(black_box(&event.kind))
                .map(|rule| rule.apply(&event).is_ok())
                .filter(|ok| *ok)
                .count()
        });
    });
}

/// 1,000 channels whose schemas all differ: two in three become stricter, and the others looser for receivers, too.
fn changes(c: &mut Criterion) {
    let entry = |n: usize, is_new: bool| {
        let most = 100 + n + usize::from(is_new);
        let more = if is_new && n.is_multiple_of(3) { ", lost" } else { "" };
        format!(
            "  f{}.c{n}.{{id}}:\n    scope: authenticated\n    payload: {{ type: object, required: [id, at], \
             additionalProperties: false, properties: {{ id: {{ type: string, maxLength: {most} }}, at: {{ type: string, \
             format: date-time }}, state: {{ enum: [open, paid{more}] }}, who: {{ type: object, properties: {{ name: {{ type: \
             string }}, age: {{ type: integer, minimum: {} }} }} }} }} }}\n",
            n % 97,
            if is_new && !n.is_multiple_of(3) { 1 } else { 0 }
        )
    };
    let policy = |is_new: bool| {
        let text = format!("feature: x\nchannels:\n{}", (0..1000).map(|n| entry(n, is_new)).collect::<String>());
        let file = Arc::new(SourceFile { path: "x.yaml".to_owned(), text });
        let sources = Sources { manifests: vec![file], ..Sources::default() };
        Policy::of(&built(&sources), &sources, [])
    };
    let (old, new) = (policy(false), policy(true));
    c.bench_function("changes/1000", |b| b.iter(|| diff(black_box(&old), black_box(&new)).len()));
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2)).sample_size(20);
    targets = look_up, build, check, bridge, changes
}
criterion_main!(benches);
