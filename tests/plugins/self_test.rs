//! Golden vectors that a plugin answers before it serves.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tidegate::reload::{self, Built, Paths};
use tidegate_core::config::{Diagnostic, SourceFile};
use tidegate_core::flow::ports::PluginState;
use tidegate_core::protocol::Generation;
use tidegate_core::telemetry;
use tidegate_wasm::{HostSettings, Plugin, PluginHost, PluginSource, Vector};

use crate::kit::{BAD_MANIFEST, bad, fetching, host, keys, order, reply, root};

fn vector(payload: &str, expect: &str) -> String {
    let context = r#"{ "topic": "realtime-ping", "user": { "id": "u1" } }"#;
    format!(
        "{{\n  \"kind\": \"handler\", \"context\": {context},\n  \"payload\": \"{payload}\",\n  \"expect\": {expect}\n}}\n"
    )
}

/// The bad plugin with these vectors.
fn with(vectors: &[(&str, &str)]) -> PluginSource {
    let file = |(index, (payload, expect)): (usize, &(&str, &str))| {
        Arc::new(SourceFile { path: format!("tests/{index}.json"), text: vector(payload, expect) })
    };
    PluginSource { vectors: vectors.iter().enumerate().map(file).collect(), ..bad(BAD_MANIFEST) }
}

fn vectors_of(plugin: &Plugin) -> usize {
    plugin.status(PluginState::Active).service.unwrap().vectors
}

fn told(mistakes: &[Diagnostic]) -> Vec<String> {
    let one = |mistake: &Diagnostic| {
        let place = mistake.place.as_ref().unwrap();
        format!("{}:{}: {}", place.source.path, place.line, mistake.message)
    };
    mistakes.iter().map(one).collect()
}

#[tokio::test]
async fn a_version_that_answers_its_vectors_serves_and_nothing_of_the_test_is_left() {
    let counted = ("count", r#"{ "reply": 1 }"#);
    let plugin = host().load(with(&[counted, ("panic", r#"{ "fault": { "kind": "trap" } }"#)])).await.unwrap();
    assert_eq!(vectors_of(&plugin), 2);
    let service = plugin.status(PluginState::Active).service.unwrap();
    assert_eq!((service.calls, service.faults), (0, 0), "a test is no traffic");
    assert_eq!(reply(order(&plugin, "count").await), "1", "the instances that were tested serve nobody");
}

#[tokio::test]
async fn every_vector_that_is_answered_otherwise_is_told_with_its_file_and_both_answers() {
    let wrong =
        [("count", r#"{ "reply": 7 }"#), ("well", r#"{ "reply": "well" }"#), ("forbidden", r#"{ "reply": 1 }"#)];
    let mistakes = host().load(with(&wrong)).await.unwrap_err();
    assert_eq!(
        told(&mistakes),
        [
            "tests/0.json:4: is answered differently: /reply: expected 7, found 1",
            "tests/2.json:4: is answered differently: /reply: expected 1, found nothing; /effects: expected [], found \
             nothing; /refusal: expected nothing, found {\"code\":\"forbidden\"}; it says: not you",
        ]
    );
    assert!(mistakes[0].hint.as_ref().unwrap().contains("tidegate plugin test bad --update"));
}

#[tokio::test]
async fn a_file_that_is_no_vector_keeps_the_version_out() {
    let source = with(&[]);
    let file =
        SourceFile { path: "tests/0.json".to_owned(), text: "{ \"kind\": \"handler\",\n  \"x\": 1 }".to_owned() };
    let mistakes = host().load(PluginSource { vectors: vec![Arc::new(file)], ..source }).await.unwrap_err();
    assert!(told(&mistakes)[0].starts_with("tests/0.json:2: unknown field `x`"), "{mistakes:?}");
}

#[tokio::test]
async fn vectors_have_their_time_and_no_more() {
    let settings =
        HostSettings { instances_max: 2, self_test_max: Duration::from_millis(50), ..HostSettings::default() };
    let host = PluginHost::new(settings).unwrap();
    let mistakes = host.load(with(&[("loop", r#"{ "fault": { "kind": "cpu" } }"#)])).await.unwrap_err();
    assert_eq!(told(&mistakes), ["tests/0.json:1: `bad` did not answer its 1 vectors within 50ms"]);
    assert!(mistakes[0].hint.as_ref().unwrap().contains("limits.plugin_self_test"));
    // Without the test it serves, and the instance that was tested is gone.
    host.load(with(&[])).await.unwrap();
}

/// A directory with the bad plugin, this vector beside it, and a channel that it handles.
fn lay(root: &Path, expect: &str) -> Paths {
    let write = |path: &str, bytes: &[u8]| {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    };
    write(
        "channels/a.yaml",
        b"feature: a\nchannels:\n  a: { scope: public, payload: {}, inbound: { payload: {}, handler: bad } }\n",
    );
    write("plugins/bad/plugin.yaml", BAD_MANIFEST.as_bytes());
    write("plugins/bad/bad.wasm", &bad(BAD_MANIFEST).component);
    write("plugins/bad/tests/one.json", vector("well", expect).as_bytes());
    Paths {
        channels: root.join("channels"),
        plugins: root.join("plugins"),
        bridge: root.join("bridge.yaml"),
        ..Paths::default()
    }
}

async fn build(paths: &Paths, previous: &[Arc<Plugin>]) -> Result<Built, Vec<Diagnostic>> {
    reload::build(host(), reload::read(paths), Generation(1), previous).await
}

#[tokio::test]
async fn a_vector_that_changes_alone_is_put_to_the_version_that_serves() {
    let root = tempfile::tempdir().unwrap();
    let paths = lay(root.path(), r#"{ "reply": "well" }"#);
    let first = build(&paths, &[]).await.unwrap();
    assert_eq!(vectors_of(&first.plugins[0]), 1);

    lay(root.path(), r#"{ "reply": "better" }"#);
    assert_ne!(Some(reload::read(&paths).fingerprint()), first.fingerprint, "it is a reason to reload");
    let mistakes = build(&paths, &first.plugins).await.err().unwrap();
    assert!(mistakes[0].message.contains(r#"/reply: expected "better", found "well""#), "{mistakes:?}");

    lay(root.path(), r#"{ "reply": "well", "effects": [] }"#);
    let second = build(&paths, &first.plugins).await.unwrap();
    assert!(Arc::ptr_eq(&first.plugins[0], &second.plugins[0]), "it keeps its instances");
}

/// A guest that does what the payload says, with one vector.
fn asked(source: PluginSource, payload: &str, more: &str, expect: &str) -> PluginSource {
    let text = format!(
        "{{ \"kind\": \"handler\", \"context\": {{ \"topic\": \"t\" }}, \"payload\": \"{payload}\", {more} \"expect\": {expect} }}"
    );
    PluginSource { vectors: vec![Arc::new(SourceFile { path: "tests/0.json".to_owned(), text })], ..source }
}

#[tokio::test]
async fn what_a_vector_has_a_plugin_call_is_no_traffic() {
    let limits = "grants: { kv: [b] }\nlimits: { cpu: 5s, wall: 30s, kv_time: 10s }";
    let counted = || {
        let told = telemetry::render();
        told.lines().filter(|line| line.contains("host_calls_total{") && line.contains("\"unheard\"")).count()
    };
    let source = asked(keys("unheard", limits), "increment b n 1 -", "", r#"{ "reply": "Ok(1)" }"#);
    let plugin = host().load(source).await.unwrap_or_else(|mistakes| panic!("{mistakes:#?}"));
    assert_eq!((vectors_of(&plugin), counted()), (1, 0));
    reply(order(&plugin, "increment b n 1 -").await);
    assert_eq!(counted(), 1);
}

const FETCHES: &str = "grants: { http: ['https://api.test'] }\nlimits: { cpu: 5s, wall: 30s }";

/// What keeps the plugin out that is asked this with these HTTP answers, and owes this reply.
async fn with_answers(payload: &str, http: &str, reply: &str) -> Vec<String> {
    let expect = format!("{{ \"reply\": {} }}", serde_json::Value::from(reply));
    let source = asked(fetching(FETCHES), payload, &format!("\"http\": {http},"), &expect);
    host().load(source).await.err().map(|mistakes| told(&mistakes)).unwrap_or_default()
}

#[tokio::test]
async fn requests_are_answered_as_the_vector_says_and_no_other_way() {
    let me = r#"{ "request": { "url": "https://api.test/me", "headers": { "Authorization": "Bearer x" } },
        "answer": { "status": 200, "body": { "id": "u1" } } }"#;
    let json = "200\ncontent-type: application/json\n\n{\\\"id\\\":\\\"u1\\\"}";
    let asked = "GET https://api.test/me authorization:Bearer";
    let none: [&str; 0] = [];
    // A header of the guest holds no space.
    let me = me.replace("Bearer x", "Bearer");
    assert_eq!(with_answers(asked, &format!("[{me}]"), json).await, none);
    // One answer, two requests; without the header; to a path that no request stands for.
    for (payload, http) in [
        ("GET*2 https://api.test/me authorization:Bearer", format!("[{me}]")),
        ("GET https://api.test/me", format!("[{me}]")),
        ("GET https://api.test/you authorization:Bearer", format!("[{me}]")),
        (asked, "[]".to_owned()),
    ] {
        let told = with_answers(payload, &http, json).await;
        assert!(
            told[0].contains("Unreachable(") && told[0].contains("`http` has no (more) answers for `GET https"),
            "{told:?}"
        );
    }
}

#[tokio::test]
async fn canned_answers_may_be_errors_and_redirects_and_meet_the_limits() {
    let none: [&str; 0] = [];
    let answer = |url: &str, answer: &str| {
        format!(r#"{{ "request": {{ "method": "POST", "url": "{url}", "body": "xxx" }}, "answer": {answer} }}"#)
    };
    let post = "POST@3 https://api.test/a";
    for (said, told) in [
        (r#"{ "error": "timeout" }"#, "Error::Timeout"),
        (r#"{ "error": "too-large" }"#, "Error::TooLarge"),
        (r#"{ "status": 204 }"#, "204\n\n\n"),
        (r#"{ "status": 200, "headers": { "X-Y": "z" }, "body": "text" }"#, "200\nx-y: z\n\ntext"),
    ] {
        assert_eq!(
            with_answers(post, &format!("[{}]", answer("https://api.test/a", said)), told).await,
            none,
            "{said}"
        );
    }
    let moved = answer("https://api.test/a", r#"{ "status": 307, "headers": { "location": "/b" } }"#);
    let there = answer("https://api.test/b", r#"{ "status": 200, "body": "there" }"#);
    assert_eq!(with_answers(post, &format!("[{moved}, {there}]"), "200\n\n\nthere").await, none);
    let away = answer("https://api.test/a", r#"{ "status": 307, "headers": { "location": "https://other.test/" } }"#);
    let told = with_answers(post, &format!("[{away}]"), "").await;
    assert!(told[0].contains("which is not in `grants.http`"), "{told:?}");
}

#[tokio::test]
async fn an_http_section_that_says_nothing_clear_is_told() {
    for (exchange, why) in [
        (r#"{ "request": { "url": "/me" }, "answer": { "status": 200 } }"#, "`http/0/request/url`: it is not a valid"),
        (
            r#"{ "request": { "url": "https://a/" }, "answer": {} }"#,
            "`http/0/answer`: it needs either a `status` or an `error`",
        ),
        (r#"{ "request": { "url": "https://a/" }, "answer": { "status": 42 } }"#, "`status` must be 100 to 599"),
        (
            r#"{ "request": { "url": "https://a/" }, "answer": { "error": "timeout", "body": 1 } }"#,
            "may have no headers",
        ),
        (r#"{ "request": { "url": "https://a/", "query": 1 }, "answer": {} }"#, "unknown field `query`"),
    ] {
        let told = with_answers("GET https://api.test/", &format!("[{exchange}]"), "").await;
        assert!(told[0].contains(why), "{exchange}: {told:?}");
    }
}

#[test]
fn the_vectors_of_the_manual_are_vectors() {
    let manual = std::fs::read_to_string(root().join("plugins/TESTING.md")).unwrap();
    let blocks: Vec<&str> = manual.split("```json\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(blocks.len(), 3, "{blocks:?}");
    for block in blocks {
        let file = SourceFile { path: "plugins/TESTING.md".to_owned(), text: block.to_owned() };
        let read = Vector::read(&Arc::new(file));
        assert!(read.as_ref().is_ok_and(Vector::expects), "{read:?}");
    }
}
