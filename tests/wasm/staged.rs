//! What a plugin finds where it asks the host while a golden vector is asked: the answers that stand in the vector.

use std::sync::Arc;

use tidegate_core::config::SourceFile;
use tidegate_wasm::{HostSettings, PluginHost, PluginSource, Services};

use crate::kit::{asks, host, keys, reaching};

const LIMITS: &str = "limits: { cpu: 5s, wall: 30s, kv_time: 10s }";

async fn told(source: PluginSource, payload: &str, beside: &str, reply: &str) -> Vec<String> {
    told_by(host(), source, payload, beside, reply).await
}

/// Why this plugin does not serve which is asked this, with this beside it in the vector, and owes this reply.
async fn told_by(host: &PluginHost, source: PluginSource, payload: &str, beside: &str, reply: &str) -> Vec<String> {
    let text = format!(
        "{{ \"kind\": \"handler\", \"context\": {{ \"topic\": \"t\" }}, \"payload\": {payload}, {beside} \
         \"expect\": {{ \"reply\": {reply} }} }}"
    );
    let vector = Arc::new(SourceFile { path: "tests/0.json".to_owned(), text });
    let loaded = host.load(PluginSource { vectors: vec![vector], ..source }).await;
    loaded.err().unwrap_or_default().into_iter().map(|mistake| mistake.message).collect()
}

fn asking() -> PluginSource {
    asks(&format!(
        "grants: {{ queries: {{ role: 'select role from members where vault = $1 and id = $2' }} }}\n{LIMITS}"
    ))
}

const ASK: &str = r#"{ "query": "role", "params": ["v1", "u1"] }"#;
const NOTHING: [&str; 0] = [];

#[tokio::test]
async fn a_query_is_answered_as_the_vector_says() {
    for (answer, reply) in [
        (r#"[{ "role": "editor" }]"#, r#"[{ "role": "editor" }]"#),
        ("[]", "[]"),
        (r#"{ "error": "timeout" }"#, r#""Timeout""#),
        (r#"{ "error": "too-large" }"#, r#""TooLarge""#),
    ] {
        let of = |params: &str| format!(r#""queries": [{{ "query": "role", {params} "answer": {answer} }}],"#);
        assert_eq!(told(asking(), ASK, &of(r#""params": ["v1", "u1"],"#), reply).await, NOTHING, "{answer}");
        assert_eq!(told(asking(), ASK, &of(""), reply).await, NOTHING, "whatever it is asked with");
    }
}

#[tokio::test]
async fn a_query_without_an_answer_is_the_reason_that_is_shown() {
    let other = r#""queries": [{ "query": "role", "params": ["v2", "u1"], "answer": [] }],"#;
    for (beside, why) in [
        (other, r#"the vector's `queries` has no (more) answers for `role` with ["v1","u1"]"#),
        ("", r#"query `role` with ["v1","u1"]: there is no database; give an answer in the vector's `queries`"#),
    ] {
        let told = told(asking(), ASK, beside, "[]").await;
        assert!(told[0].contains("/reply: expected [], found") && told[0].ends_with(why), "{told:?}");
    }
}

#[tokio::test]
async fn the_keys_of_a_vector_are_there_and_each_vector_has_its_own() {
    let plugin = || keys("staged", &format!("grants: {{ kv: [b] }}\n{LIMITS}"));
    let laid = r#""kv": { "b": { "n": 41, "word": "text" } },"#;
    for _ in 0..2 {
        assert_eq!(told(plugin(), "\"increment b n 1 -\"", laid, "\"Ok(42)\"").await, NOTHING);
    }
    assert_eq!(told(plugin(), "\"keys b - - 9\"", laid, r#""Ok([])""#).await, NOTHING, "none begins with `-`");
    let found = told(plugin(), "\"get b word\"", laid, "\"other\"").await;
    assert!(found[0].contains("116, 101, 120, 116"), "{found:?}");
}

#[tokio::test]
async fn the_secrets_of_a_vector_are_those_that_are_granted() {
    let services = Services { may_lack_secrets: true, ..Services::in_memory() };
    let lacking = PluginHost::with_services(HostSettings { instances_max: 4, ..HostSettings::default() }, services);
    let lacking = lacking.unwrap();
    let given = r#""secrets": { "API_TOKEN": "s3cret", "UNGRANTED": "x" },"#;
    for (name, reply) in
        [("API_TOKEN", r#"Ok("s3cret")"#), ("OTHER_TOKEN", "Err(Error::Missing)"), ("UNGRANTED", "Err(Error::Denied)")]
    {
        let source = reaching(&format!("grants: {{ secrets: [API_TOKEN, OTHER_TOKEN] }}\n{LIMITS}"));
        let reply = serde_json::Value::from(reply).to_string();
        let told = told_by(&lacking, source, &format!("\"secret {name}\""), given, &reply).await;
        assert_eq!(told, NOTHING, "{name}");
    }
}

#[tokio::test]
async fn a_stage_that_says_nothing_clear_is_told() {
    for (beside, why) in [
        (r#""queries": [{ "query": "role", "answer": 7 }],"#, "`queries/0/answer`: expected a list of rows"),
        (
            r#""queries": [{ "query": "role", "answer": { "error": "oops" } }],"#,
            "`queries/0/answer`: expected a list of rows",
        ),
        (r#""queries": [{ "name": "role", "answer": [] }],"#, "unknown field `name`"),
        (r#""kv": { "b": 7 },"#, "invalid type"),
    ] {
        let told = told(asking(), ASK, beside, "[]").await;
        assert!(told[0].contains(why), "{beside}: {told:?}");
    }
}
