//! `POST /v1/explain`

use std::sync::Arc;

use serde_json::{Value, json};
use tidegate_testkit::{FakePlugins, FakeProvider, Server, user};

use crate::{Site, post, refusal, server};

const VAULT: &str = "
feature: vault
channels:
  vault.{id}:
    scope: authenticated
    authorizer: members
    payload: { type: object, required: [n] }
    inbound: { relay: others, rate: 1/h }
";

async fn asked(site: &Site, question: Value) -> Value {
    let answer = post("/v1/explain").key("operate").body(question.to_string()).of(site).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.header("cache-control"), "no-store");
    answer.json()
}

fn checks(explanation: &Value) -> Vec<(&str, &str)> {
    let steps = explanation["steps"].as_array().unwrap();
    steps.iter().map(|step| (step["gate"].as_str().unwrap(), step["check"].as_str().unwrap())).collect()
}

#[tokio::test]
async fn each_gate_answers_with_its_rule_and_its_plugin() {
    let site = Site::of(&Server::declaring(VAULT).plugins(FakePlugins::silent()).start());
    let question = json!({ "user": { "id": "alice" }, "action": "send", "topic": "vault.v1", "payload": { "n": 1 } });
    let explanation = asked(&site, question).await;
    let expected = [
        ("connect", "connect"),
        ("subscribe", "topic"),
        ("subscribe", "scope"),
        ("subscribe", "authorizer"),
        ("inbound", "inbound"),
        ("inbound", "authorizer"),
        ("inbound", "rate"),
        ("inbound", "payload"),
        ("broadcast", "relay"),
    ];
    assert_eq!(checks(&explanation), expected);
    let authorizer = &explanation["steps"][3];
    assert_eq!((&authorizer["plugin"], authorizer["version"].as_str().map(str::len)), (&json!("members"), Some(12)));
    assert_eq!(authorizer["rule"], "`authorizer` of `vault.{id}`, channels/test.yaml:4");
    assert_eq!((&explanation["allowed"], &explanation["code"]), (&json!(true), &json!(null)));
}

#[tokio::test]
async fn a_no_tells_the_code_of_the_client_and_what_only_operators_learn() {
    let site = Site::of(&Server::declaring(VAULT).plugins(FakePlugins::denying()).start());
    let question = json!({ "user": { "id": "eve", "roles": ["reader"] }, "action": "subscribe", "topic": "vault.v1" });
    let explanation = asked(&site, question).await;
    assert_eq!((&explanation["allowed"], &explanation["code"]), (&json!(false), &json!("forbidden")));
    assert_eq!(explanation["steps"].as_array().unwrap().last().unwrap()["refused"], "forbidden");
    let anonymous = json!({ "anonymous": true, "action": "subscribe", "topic": "vault.v1" });
    assert_eq!(asked(&site, anonymous).await["code"], "unauthenticated");
    let unknown = asked(&site, json!({ "anonymous": true, "action": "subscribe", "topic": "valt.v1" })).await;
    assert_eq!(unknown["steps"][1]["detail"], "no channel declares `valt.v1`; the nearest is `vault.{id}`");
}

#[tokio::test]
async fn what_is_explained_counts_in_no_rate_and_reaches_nobody() {
    let server = Server::declaring(VAULT).plugins(FakePlugins::silent()).start();
    let site = Site::of(&server);
    let question = json!({ "user": { "id": "alice" }, "action": "send", "topic": "vault.v1", "payload": { "n": 1 } });
    for _ in 0..3 {
        assert_eq!(asked(&site, question.clone()).await["allowed"], true);
    }
    assert!(server.delivered().is_empty());
    let alice = server.client(user("alice"));
    alice.subscribe("vault.v1").await.unwrap();
    alice.send("vault.v1", json!({ "n": 1 })).await.unwrap();
    assert_eq!(server.delivered().len(), 1);
}

#[tokio::test]
async fn a_token_goes_through_gate_1_and_opens_no_session() {
    let provider = FakeProvider::knowing([("rita's", user("rita"))]);
    let server = server().provider(Arc::new(provider)).start();
    let site = Site::of(&server);
    let of_token = |token: &str| json!({ "token": token, "action": "subscribe", "topic": "news" });
    let explanation = asked(&site, of_token("rita's")).await;
    assert_eq!(
        (&explanation["allowed"], &explanation["steps"][0]["detail"]),
        (&json!(true), &json!("as user `rita`, without roles"))
    );
    let refused = asked(&site, of_token("guessed")).await;
    assert_eq!((&refused["code"], checks(&refused)), (&json!("unauthenticated"), vec![("connect", "connect")]));
    assert!(!refused.to_string().contains("guessed"));
    assert_eq!(site.realtime.connections_count(), 0);
}

#[tokio::test]
async fn what_is_no_question_is_refused() {
    let server = server().start();
    for body in [
        json!({ "action": "subscribe", "topic": "news" }),
        json!({ "anonymous": true, "token": "x", "action": "subscribe", "topic": "news" }),
        json!({ "anonymous": true, "action": "publish", "topic": "news" }),
        json!({ "anonymous": true, "action": "subscribe" }),
        json!({ "user": { "id": "a", "age": 7 }, "action": "subscribe", "topic": "news" }),
        json!([{ "id": "a" }, false, null, "subscribe", "news", null]),
        json!({ "anonymous": true, "token": null, "action": "subscribe", "topic": "news" }),
        json!({ "anonymous": false, "user": { "id": "a" }, "action": "subscribe", "topic": "news" }),
    ] {
        let answer = post("/v1/explain").key("operate").body(body.to_string()).to(&server).await;
        assert_eq!(answer.refused(), refusal(400, "invalid_payload"), "{body}");
    }
    let reader = post("/v1/explain").key("read").body("{}").to(&server).await;
    assert_eq!(reader.refused(), refusal(403, "forbidden"));
}
