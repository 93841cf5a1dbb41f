//! `GET /v1/plugins`, `DELETE /v1/plugins/quarantine/{what}`

use serde_json::json;
use tidegate_core::config::{ApiKey, ApiKeys, Permission, Secret};

use crate::{delete, get, refusal, server};

#[tokio::test]
async fn every_version_is_listed_with_what_it_did_and_why_it_was_rejected() {
    let answer = get("/v1/plugins").key("operate").to(&server().start()).await;
    assert_eq!(answer.status, 200);
    let plugins = &answer.json()["plugins"];
    assert_eq!(plugins[0]["state"], "active");
    let service = json!({
        "kinds": ["handler"], "cached": true, "vectors": 2, "instances": 3, "paused": [], "calls": 7, "faults": 1,
        "breaker": { "authorizer": "closed", "worker": "open" }, "memory_bytes": 65536,
        "last_fault": { "kind": "trap", "detail": "unreachable", "at_unix_s": 5 },
    });
    assert_eq!(plugins[0]["service"], service);
    assert_eq!(plugins[1]["state"], "rejected");
    assert_eq!(plugins[1]["reasons"], json!(["is empty"]));
    assert_eq!(plugins[1]["service"], json!(null));
}

#[tokio::test]
async fn the_last_faults_show_their_payloads_only_to_a_key_that_may_read() {
    let server = server().start();
    let fault = get("/v1/plugins").key("operate").to(&server).await.json()["plugins"][0]["last_faults"][0].clone();
    let expected = json!({
        "at_ms": 5000, "kind": "trap", "message": "panicked at src/lib.rs:7:9", "channel": "realtime-ping",
        "place": "src/lib.rs:7:9", "log": ["begins"],
    });
    assert_eq!(fault, expected);
    let shadow = get("/v1/plugins").key("operate").to(&server).await.json()["plugins"][0]["shadow"].clone();
    let difference = json!({ "at_ms": 5000, "of": "handler", "kind": "reply" });
    assert_eq!((&shadow["calls"], &shadow["last_differences"]), (&json!(2), &json!([difference])));
    let may = vec![Permission::Operate, Permission::Read];
    let keys = ApiKeys(vec![ApiKey { name: "ops".to_owned(), key: Secret::from("key-ops".to_owned()), may }]);
    let plugins = get("/v1/plugins").key("ops").with_keys(&server, keys).await.json()["plugins"].clone();
    assert_eq!(plugins[0]["last_faults"][0]["input"], r#"{"n":"secret"}"#);
    let shown = &plugins[0]["shadow"]["last_differences"][0]["shown"];
    assert_eq!(shown, &json!(["/reply/pong: expected 7, found 8"]));
}

#[tokio::test]
async fn only_a_key_that_may_operate_sees_the_plugins() {
    let server = server().start();
    assert_eq!(get("/v1/plugins").to(&server).await.refused(), refusal(401, "unauthenticated"));
    assert_eq!(get("/v1/plugins").key("publish").to(&server).await.refused(), refusal(403, "forbidden"));
}

#[tokio::test]
async fn an_operator_lets_versions_in_again() {
    let server = server().start();
    let answer = delete("/v1/plugins/quarantine/ping").key("operate").to(&server).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["cleared"][0]["state"], "quarantined");
    let none = delete("/v1/plugins/quarantine/other").key("operate").to(&server).await;
    assert_eq!(none.refused(), refusal(404, "not_found"));
    let full = delete("/v1/plugins/quarantine/full").key("operate").to(&server).await;
    assert_eq!(full.refused(), refusal(503, "unavailable"));
    let publisher = delete("/v1/plugins/quarantine/ping").key("publish").to(&server).await;
    assert_eq!(publisher.refused(), refusal(403, "forbidden"));
}
