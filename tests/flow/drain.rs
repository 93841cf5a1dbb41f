//! A server that is about to stop says so at every gate, before anything else.

use std::sync::Arc;

use serde_json::json;
use tidegate_core::flow::{Effect, Handshake};
use tidegate_core::protocol::{Code, Payload};

use tidegate_testkit::{CHANNELS, FakeProvider, Server, code, connection, event, user};

#[tokio::test]
async fn every_gate_answers_draining_whatever_it_would_have_said() {
    let provider = Arc::new(FakeProvider::knowing([("alice", user("alice"))]));
    let server = Server::declaring(CHANNELS).provider(provider.clone()).start();
    let client = server.client(user("alice"));
    client.subscribe("ping").await.unwrap();
    server.gates.drain();

    assert_eq!(code(server.gates.connect(&connection(), &Handshake::default()).await), Code::Draining);
    assert_eq!(code(client.authenticate("alice").await), Code::Draining);
    for topic in ["news", "desk", "nothing"] {
        assert_eq!(code(client.subscribe(topic).await), Code::Draining, "{topic}");
    }
    for topic in ["ping", "news", "nothing"] {
        assert_eq!(code(client.send(topic, json!({ "n": 1 })).await), Code::Draining, "{topic}");
    }
    assert_eq!(code(server.gates.broadcast("news", Payload::from(json!({ "title": "x" })))), Code::Draining);
    assert_eq!(code(server.gates.publish_events(vec![event("a.b", json!(null))])), Code::Draining);
    assert_eq!(provider.asked(), Vec::<String>::new());
    assert_eq!(server.plugins.asked(), Vec::<&str>::new());
}

#[tokio::test]
async fn what_was_accepted_before_is_still_delivered() {
    let server = Server::declaring(CHANNELS).start();
    let publication = server.gates.broadcast("news", Payload::from(json!({ "title": "x" }))).unwrap();
    server.gates.drain();
    server.gates.perform(vec![Effect::Deliver(publication)]).await.unwrap();
    assert_eq!(server.delivered(), [("news".to_owned(), json!({ "title": "x" }))]);
}
