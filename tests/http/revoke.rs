//! `POST /v1/revoke`

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tidegate_core::flow::revoke::Revocations;

use crate::{Answer, post, refusal, server};
use tidegate_testkit::{FakeClock, Server};

const NOW: u64 = FakeClock::START_UNIX_S;
const MONTH_S: u64 = 30 * 24 * 60 * 60;

async fn revoke(server: &Server, body: impl ToString) -> Answer {
    post("/v1/revoke").key("revoke").body(body.to_string()).to(server).await
}

#[tokio::test]
async fn what_was_decided_is_told_with_what_it_ended_here() {
    let server = server().start();
    let answer = revoke(&server, json!({ "user": "alice", "reason": "left" })).await;
    let mut told = answer.json();
    let id = told["revocation"].as_object_mut().unwrap().remove("id").unwrap();
    let expected = json!({
        "revocation": { "user": "alice", "reason": "left", "issued_before": NOW + 1, "at_unix_s": NOW,
            "until_unix_s": NOW + 1 + MONTH_S },
        "here": { "sessions": 1, "subscriptions": 0, "rechecked": 0 },
    });
    assert_eq!((answer.status.as_u16(), told), (202, expected));
    assert_eq!(Value::from(server.clients.revoked()[0].id.as_str()), id);
}

#[tokio::test]
async fn a_subscription_is_revoked_by_its_topic_of_one_user_or_of_all() {
    let server = server().start();
    for (body, user) in
        [(json!({ "topic": "news", "user": "alice" }), Some("alice")), (json!({ "topic": "news" }), None)]
    {
        let told = revoke(&server, &body).await.json();
        assert_eq!(told["revocation"]["topic"], "news", "{body}");
        assert_eq!(told["revocation"]["user"].as_str(), user, "{body}");
        assert_eq!(told["revocation"]["issued_before"], Value::Null, "{body}");
        assert_eq!(told["revocation"]["until_unix_s"], NOW + 3600, "{body}");
    }
}

#[tokio::test]
async fn what_is_no_revocation_is_400_with_the_words_to_mend_it() {
    let server = server().start();
    let cases = [
        ("", "not a valid revocation: EOF"),
        (r#"["a",null,null,null,null]"#, "not a valid revocation: invalid type: sequence, expected a map"),
        (r#"{"user":"a\u0000b"}"#, "`user` must be a text of 1 to 1024 bytes, without NUL"),
        (r#"{"user":null,"topic":"vault.v1"}"#, "`user` is null; leave it out if you do not need it"),
        (r#"{"user":"a","topic":null}"#, "`topic` is null; leave it out if you do not need it"),
        ("{}", "at least one of `user`, `token` and `topic` is needed"),
        (r#"{"reason":"left"}"#, "at least one of `user`, `token` and `topic` is needed"),
        (r#"{"user":7}"#, "not a valid revocation: invalid type: integer `7`, expected a string"),
        (r#"{"user":"a","users":["b"]}"#, "unknown field `users`"),
        (r#"{"user":"a","issued_before":-1}"#, "invalid value: integer `-1`"),
        (r#"{"user":"a","issued_before":"now"}"#, "invalid type: string"),
        (r#"{"user":"a","user":"b"}"#, "an object names a key twice"),
        (r#"{"topic":"a..b"}"#, "`topic` is not a valid topic: a segment is empty"),
    ];
    for (body, words) in cases {
        let answer = revoke(&server, body).await;
        assert_eq!(answer.refused(), refusal(400, "invalid_payload"), "{body}");
        let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.contains(words), "{body}: {message}");
    }
    assert_eq!(server.clients.revoked(), []);
}

#[tokio::test]
async fn a_topic_that_no_channel_has_is_404_and_nothing_is_revoked() {
    let server = server().start();
    let answer = revoke(&server, json!({ "topic": "newz", "user": "alice" })).await;
    assert_eq!(answer.refused(), refusal(404, "unknown_channel"));
    assert_eq!(server.clients.revoked(), []);
}

#[tokio::test]
async fn it_takes_a_key_that_may_revoke() {
    let server = server().start();
    let body = json!({ "user": "alice" }).to_string();
    let refused = post("/v1/revoke").body(body.clone()).to(&server).await;
    assert_eq!(refused.refused(), refusal(401, "unauthenticated"));
    for key in ["publish", "events", "operate"] {
        let refused = post("/v1/revoke").key(key).body(body.clone()).to(&server).await;
        assert_eq!(refused.refused(), refusal(403, "forbidden"), "{key}");
    }
    assert_eq!(server.clients.revoked(), []);
}

#[tokio::test]
async fn beyond_the_limit_it_is_503_and_nothing_is_revoked() {
    let server = server().revocations(Arc::new(Revocations::unkept(1, Duration::from_secs(60)))).start();
    assert_eq!(revoke(&server, json!({ "token": "a" })).await.status, 202);
    assert_eq!(revoke(&server, json!({ "token": "b" })).await.refused(), refusal(503, "unavailable"));
    assert_eq!(server.clients.revoked().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn in_force_and_not_kept_is_503_that_says_so() {
    // Nobody keeps what is to be kept.
    let revocations = Arc::new(Revocations::kept(1, Duration::from_secs(60)));
    let server = server().revocations(revocations).start();
    let answer = revoke(&server, json!({ "token": "a" })).await;
    assert_eq!(answer.refused(), refusal(503, "unavailable"));
    assert_eq!(answer.details()["here"]["sessions"], 1);
    assert_eq!(server.clients.revoked().len(), 1);
}

#[tokio::test]
async fn a_server_that_has_not_loaded_what_is_revoked_is_not_ready() {
    let server = server().revocations(Arc::new(Revocations::kept(1, Duration::from_secs(60)))).start();
    assert_eq!(crate::get("/readyz").to(&server).await.refused(), refusal(503, "unavailable"));
}
