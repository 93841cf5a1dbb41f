//! `POST`, `GET`, `DELETE /v1/recordings/{plugin}`

use serde_json::json;
use tidegate_core::config::{ApiKey, ApiKeys, Permission, Secret};
use tidegate_testkit::Server;

use crate::{Answer, Call, delete, get, post, refusal, server};

const PING: &str = "/v1/recordings/ping";

/// Asks with a key that may operate and read.
async fn asked(call: Call, server: &Server) -> Answer {
    let may = vec![Permission::Operate, Permission::Read];
    let key = ApiKey { name: "ops".to_owned(), key: Secret::from("key-ops".to_owned()), may };
    call.key("ops").with_keys(server, ApiKeys(vec![key])).await
}

#[tokio::test]
async fn an_operator_begins_reads_and_ends_a_recording() {
    let server = server().start();
    let begun = asked(post(PING).body(r#"{"calls":5,"redact":["/payload/email"]}"#), &server).await;
    assert_eq!(begun.status, 201);
    assert_eq!(begun.json(), json!({ "tidegate_recording": 1, "plugin": "ping", "by": "ops" }));
    let page = asked(get(PING), &server).await;
    assert_eq!(page.header("cache-control"), "no-store");
    let ended = json!({ "reason": "calls", "calls": 1, "skipped": 0, "bytes": 18 });
    assert_eq!(page.json(), json!({ "calls": [{ "kind": "handler" }], "next": 1, "ended": ended }));
    assert_eq!(asked(get(&format!("{PING}?after=1")), &server).await.json()["calls"], json!([]));
    let file = asked(get("/v1/recordings/ping/calls"), &server).await;
    assert_eq!(file.text, "{\"tidegate_recording\":1}\n{\"kind\":\"handler\"}\n");
    assert_eq!(file.header("content-disposition"), "attachment");
    assert_eq!(asked(delete(PING), &server).await.json(), json!({ "ended": ended }));
}

#[tokio::test]
async fn a_recording_that_cannot_begin_is_refused_with_the_reason() {
    let server = server().start();
    let begin = |plugin: &str| post(&format!("/v1/recordings/{plugin}")).body(r#"{"calls":5}"#);
    assert_eq!(asked(begin("other"), &server).await.refused(), refusal(404, "not_found"));
    assert_eq!(asked(begin("busy"), &server).await.refused(), refusal(409, "conflict"));
    let full = asked(begin("full"), &server).await;
    assert_eq!(full.refused(), refusal(503, "unavailable"));
    assert!(full.text.contains("`limits.recordings: 1`"), "nothing is recorded by default: {}", full.text);
    assert_eq!(asked(begin("pointers"), &server).await.refused(), refusal(400, "invalid_payload"));
    for (body, status) in [
        ("", 400),
        ("[]", 400),
        (r#"{"calls":5,"other":1}"#, 400),
        (r#"{"calls":5.5}"#, 400),
        (r#"{"calls":-1}"#, 400),
        (r#"{"calls":0}"#, 422),
        (r#"{"calls":10001}"#, 422),
        (r#"{"calls":10001.0}"#, 422),
    ] {
        assert_eq!(asked(post(PING).body(body), &server).await.refused(), refusal(status, "invalid_payload"), "{body}");
    }
    for call in [get("/v1/recordings/other"), delete("/v1/recordings/other")] {
        assert_eq!(asked(call, &server).await.refused(), refusal(404, "not_found"));
    }
    assert_eq!(asked(get(&format!("{PING}?after=x")), &server).await.refused(), refusal(400, "invalid_payload"));
}

#[tokio::test]
async fn only_a_key_that_may_operate_and_read_sees_payloads() {
    let server = server().start();
    for key in ["operate", "read"] {
        let begun = post(PING).key(key).body(r#"{"calls":5}"#).to(&server).await;
        assert_eq!(begun.refused(), refusal(403, "forbidden"), "{key}");
        let file = get("/v1/recordings/ping/calls").key(key).to(&server).await;
        assert_eq!(file.refused(), refusal(403, "forbidden"), "{key}");
        assert_eq!(get(PING).key(key).to(&server).await.refused(), refusal(403, "forbidden"), "{key}");
    }
    assert_eq!(get(PING).to(&server).await.refused(), refusal(401, "unauthenticated"));
    assert_eq!(delete(PING).key("operate").to(&server).await.status, 200, "to end one shows nothing");
}
