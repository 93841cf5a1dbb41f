//! Gate 4: no payload reaches a room unless it matches the channel's schema.

use serde_json::{Value, json};
use tidegate_core::flow::Publication;
use tidegate_core::protocol::{Code, Payload, Refusal};

use tidegate_testkit::{CHANNELS, Server, code};

fn broadcast(topic: &str, payload: &Value) -> Result<Publication, Refusal> {
    Server::declaring(CHANNELS).start().gates.broadcast(topic, Payload::from(payload.clone()))
}

#[test]
fn a_payload_that_meets_the_schema_is_a_publication_for_everyone_on_the_topic() {
    let publication = broadcast("chat.a", &json!({ "text": "hello" })).unwrap();
    assert_eq!((publication.topic.as_str(), publication.channel.template.as_str()), ("chat.a", "chat.{room}"));
    assert_eq!((publication.payload.as_str(), publication.except), (r#"{"text":"hello"}"#, None));
}

#[test]
fn nothing_is_delivered_by_deciding() {
    let server = Server::declaring(CHANNELS).start();
    server.gates.broadcast("news", Payload::from(json!({ "title": "x" }))).unwrap();
    assert_eq!(server.delivered(), []);
}

#[test]
fn an_undeclared_topic_is_unknown_channel() {
    for topic in ["nothing", "", "chat", "chat.a.b", "chat.{room}", "connect"] {
        assert_eq!(code(broadcast(topic, &json!({ "text": "x" }))), Code::UnknownChannel, "{topic}");
    }
}

#[test]
fn a_payload_that_fails_the_schema_is_invalid_with_the_place() {
    let refusal = broadcast("news", &json!({ "title": 7 })).unwrap_err();
    assert_eq!(refusal.code, Code::InvalidPayload);
    assert_eq!(refusal.details.unwrap()["violations"][0]["path"], "/title");
}

#[test]
fn a_payload_beyond_the_limit_is_too_large_with_the_bound() {
    let server = Server::declaring(CHANNELS).limits(|limits| limits.payload_bytes_max = 20).start();
    let send = |title: &str| server.gates.broadcast("news", Payload::from(json!({ "title": title })));
    assert!(send("12345678").is_ok(), "20 bytes are within");
    let refusal = send("123456789").unwrap_err();
    assert_eq!((refusal.code, refusal.details), (Code::PayloadTooLarge, Some(json!({ "bytes": 21, "bytes_max": 20 }))));
}

#[test]
fn the_size_is_judged_before_the_schema_and_the_channel_before_both() {
    let server = Server::declaring(CHANNELS).limits(|limits| limits.payload_bytes_max = 5).start();
    let send = |topic: &str| code(server.gates.broadcast(topic, Payload::from(json!({ "wrong": true }))));
    assert_eq!(send("news"), Code::PayloadTooLarge);
    assert_eq!(send("nothing"), Code::UnknownChannel);
}

#[test]
fn no_scope_stands_between_a_backend_and_a_topic() {
    for topic in ["desk", "inbox.alice", "vault.v1", "members-only"] {
        assert!(broadcast(topic, &json!({})).is_ok(), "{topic}");
    }
}

#[test]
fn a_payload_that_nests_too_deep_is_invalid_and_not_a_panic() {
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    assert!(Payload::read(deep).unwrap_err().to_string().contains("recursion limit"));
}
