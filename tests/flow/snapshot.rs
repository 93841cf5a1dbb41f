//! The state of a topic for who has just subscribed: asked after the join, judged like any publication.

use serde_json::json;
use tidegate_core::flow::ports::{Exceeded, FaultKind};
use tidegate_core::protocol::{Code, Payload, Snapshot, Topic};

use tidegate_testkit::{FakePlugins, Server, code, user};

const CHANNELS: &str = "
feature: test
channels:
  board.{id}:
    scope: authenticated
    authorizer: members
    snapshot: { plugin: answerer }
    payload: { type: object, required: [n], properties: { n: { type: integer } } }
    inbound: { relay: all }
  plain:
    scope: public
    payload: {}
";

fn server(plugins: FakePlugins) -> Server {
    Server::declaring(CHANNELS).plugins(plugins).start()
}

#[tokio::test]
async fn the_receipt_carries_the_state_in_the_order_the_plugin_gave_it() {
    let server = server(FakePlugins::providing(&[json!({ "n": 2 }), json!({ "n": 1 })]));
    let receipt = server.client(user("alice")).subscribe("board.b1").await.unwrap();
    let snapshot: Vec<Payload> = [json!({ "n": 2 }), json!({ "n": 1 })].iter().map(Payload::from).collect();
    assert_eq!(receipt.snapshot, Some(Snapshot::Payloads(snapshot)));
    let call = server.plugins.calls().pop().unwrap();
    assert_eq!((call.asked, call.plugin.as_str(), call.topic.as_str()), ("snapshot", "answerer", "board.b1"));
    assert_eq!(call.user.as_deref(), Some("alice"));
}

#[tokio::test]
async fn a_topic_without_state_has_an_empty_snapshot_and_a_channel_without_one_has_none() {
    let server = server(FakePlugins::silent());
    let client = server.client(user("alice"));
    assert_eq!(client.subscribe("board.b1").await.unwrap().snapshot, Some(Snapshot::Payloads(Vec::new())));
    assert_eq!(client.subscribe("plain").await.unwrap().snapshot, None);
}

#[tokio::test]
async fn whoever_may_not_join_costs_no_snapshot() {
    let server = server(FakePlugins::denying());
    assert_eq!(code(server.client(user("mallory")).subscribe("board.b1").await), Code::Forbidden);
    assert_eq!(server.plugins.asked(), ["subscribe"]);
}

#[tokio::test]
async fn a_payload_that_misses_the_schema_spoils_the_snapshot_and_nothing_is_held() {
    let server = server(FakePlugins::providing(&[json!({ "n": 1 }), json!({ "n": "one" })]));
    let client = server.client(user("alice"));
    assert_eq!(code(client.subscribe("board.b1").await), Code::HandlerFailed);
    assert!(!client.holds("board.b1"));
}

#[tokio::test]
async fn a_payload_over_the_limit_spoils_the_snapshot() {
    let plugins = FakePlugins::providing(&[json!({ "n": 1, "more": "x".repeat(100) })]);
    let server = Server::declaring(CHANNELS).plugins(plugins).limits(|limits| limits.payload_bytes_max = 100).start();
    let refusal = server.client(user("alice")).subscribe("board.b1").await.unwrap_err();
    let details = json!({ "bytes": 117, "bytes_max": 100 });
    assert_eq!((refusal.code, refusal.details), (Code::PayloadTooLarge, Some(details)));
}

#[tokio::test]
async fn a_state_that_is_too_large_is_refused_with_the_limit() {
    let exceeded = Exceeded { unit: "rows", found: None, max: 1000 };
    let server = server(FakePlugins::snapshot_faulting(FaultKind::TooLarge(exceeded)));
    let refusal = server.client(user("alice")).subscribe("board.b1").await.unwrap_err();
    assert_eq!((refusal.code, refusal.details), (Code::PayloadTooLarge, Some(json!({ "rows_max": 1000 }))));
}

#[tokio::test]
async fn every_fault_has_its_code_and_leaves_the_topic() {
    for (fault, expected) in [
        (FaultKind::Trap, Code::HandlerFailed),
        (FaultKind::Failed, Code::HandlerFailed),
        (FaultKind::Missing, Code::Unavailable),
        (FaultKind::Timeout, Code::HandlerTimeout),
        (FaultKind::Overloaded, Code::Unavailable),
        (FaultKind::Unanswered, Code::Unavailable),
    ] {
        let server = server(FakePlugins::snapshot_faulting(fault));
        let client = server.client(user("alice"));
        let refusal = client.subscribe("board.b1").await.unwrap_err();
        assert_eq!((refusal.code, refusal.details), (expected, None), "{fault:?}: the detail stays inside");
        assert!(!client.holds("board.b1") && !client.is_in_room("board.b1"), "{fault:?}");
    }
}

#[tokio::test]
async fn a_topic_that_was_held_before_stays_held_when_its_snapshot_fails() {
    let server = server(FakePlugins::silent());
    let client = server.client(user("alice"));
    client.subscribe("board.b1").await.unwrap();
    server.reload(CHANNELS, FakePlugins::snapshot_faulting(FaultKind::Trap));
    assert_eq!(code(client.subscribe("board.b1").await), Code::HandlerFailed);
    assert!(client.holds("board.b1") && client.is_in_room("board.b1"));
}

#[tokio::test]
async fn the_topic_is_held_before_its_state_is_asked_for() {
    let (plugins, latch) = FakePlugins::providing(&[json!({ "n": 1 })]).held();
    let server = server(plugins);
    let client = server.client(user("alice"));
    let (receipt, ()) = tokio::join!(client.subscribe("board.b1"), async {
        latch.call_arrived().await;
        assert!(!client.is_in_room("board.b1"), "the authorizer was not done");
        latch.release();
        latch.call_arrived().await;
        assert_eq!(server.plugins.asked(), ["subscribe", "snapshot"]);
        assert!(client.holds("board.b1"));
        assert!(client.is_in_room("board.b1"), "what is published from here on reaches the client");
        latch.release();
    });
    assert!(receipt.unwrap().snapshot.is_some());
}

#[tokio::test]
async fn a_topic_that_is_revoked_while_its_state_is_asked_for_is_not_subscribed() {
    let (plugins, latch) = FakePlugins::providing(&[json!({ "n": 1 })]).held();
    let server = server(plugins);
    let client = server.client(user("alice"));
    let (receipt, ()) = tokio::join!(client.subscribe("board.b1"), async {
        latch.call_arrived().await;
        latch.release();
        latch.call_arrived().await;
        assert!(server.gates.withdraw(&client, &Topic::parse("board.b1").unwrap()));
        assert!(!client.is_in_room("board.b1"));
        assert_eq!(client.told(), [("board.b1".to_owned(), Code::Forbidden)]);
        latch.release();
    });
    assert_eq!(code(receipt), Code::Unavailable);
}

#[tokio::test]
async fn the_generation_that_admitted_a_subscription_gives_its_state() {
    let (plugins, latch) = FakePlugins::providing(&[json!({ "n": 1 })]).held();
    let server = server(plugins);
    let client = server.client(user("alice"));
    let (receipt, ()) = tokio::join!(client.subscribe("board.b1"), async {
        latch.call_arrived().await;
        server.reload(CHANNELS, FakePlugins::providing(&[json!({ "n": 2 })]));
        latch.release();
        latch.release();
    });
    assert_eq!(receipt.unwrap().snapshot, Some(Snapshot::Payloads(vec![Payload::from(&json!({ "n": 1 }))])));
}
