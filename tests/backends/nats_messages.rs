//! What a message of NATS says: CloudEvents in their binding, messages of other makes, and what is no event.

use tidegate_core::flow::DeadLetter;

use crate::nats_streams::{acknowledged, add, bus, connect, consumer, create, publish};
use crate::sources::{Node, told};
use tidegate_testkit::NatsServer;

fn letters(server: &tidegate_testkit::Server) -> Vec<DeadLetter> {
    let mut letters = server.dead_letters.list();
    letters.reverse();
    letters
}

#[tokio::test]
async fn what_is_no_event_is_a_dead_letter_and_stops_nothing() {
    let nats = NatsServer::start();
    let producer = connect(&nats).await;
    create(&producer, "s").await;
    let node = Node::start("a", &bus(&nats, ""));
    consumer(&producer, "tidegate@a").await;
    add(&producer, [1]).await;
    let batch = [("Content-Type", "application/cloudevents-batch+json")];
    let structured = [("content-type", "application/cloudevents+json; charset=UTF-8")];
    let own = told(7).replace(r#""told""#, r#""tidegate.member.joined""#);
    let large = "x".repeat(100_000);
    let wrong = told(8).replace(r#"{"n":8}"#, "{}");
    for (headers, body) in [
        (&[][..], "plain text"),
        (&batch, "[]"),
        (&structured, "{"),
        (&[("ce-type", "told")], "{}"),
        (&[], large.as_str()),
        (&[], own.as_str()),
        (&[], wrong.as_str()),
    ] {
        publish(&producer, "s.told", headers, body).await;
    }
    add(&producer, [2]).await;
    assert_eq!(node.numbers(2).await, [1, 2]);
    acknowledged(&producer, "tidegate@a").await;
    let server = node.end().await;
    let letters = letters(&server);
    let reasons: Vec<&str> = letters.iter().map(|letter| letter.reason.as_str()).collect();
    let parts = [
        "neither headers `ce-…` nor",
        "a batch of CloudEvents",
        "the body is not JSON",
        "`specversion` is missing",
        "limits.payload",
        "the server's own",
        "invalid_payload",
    ];
    assert_eq!(reasons.len(), parts.len(), "{reasons:#?}");
    for (reason, part) in reasons.iter().zip(parts) {
        assert!(reason.contains(part), "{reason}");
    }
    let shown = letters[0].event.data.value().unwrap();
    assert_eq!(*shown, serde_json::json!({ "subject": "s.told", "body": "plain text" }));
    assert!(letters[4].event.data.as_str().len() < 2000);
}

#[tokio::test]
async fn both_modes_of_the_binding_and_bare_events_are_understood() {
    let nats = NatsServer::start();
    let producer = connect(&nats).await;
    create(&producer, "s").await;
    let node = Node::start("a", &bus(&nats, ""));
    consumer(&producer, "tidegate@a").await;
    let binary = [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "/test"), ("CE-Type", "told")];
    publish(&producer, "s.told", &binary, r#"{"n":1}"#).await;
    publish(&producer, "s.told", &[("Content-Type", "application/cloudevents+json")], &told(2)).await;
    publish(&producer, "s.told", &[], &told(3)).await;
    assert_eq!(node.numbers(3).await, [1, 2, 3]);
    node.end().await;
}

#[tokio::test]
async fn producers_that_do_not_speak_cloudevents_are_understood_by_their_fields() {
    let nats = NatsServer::start();
    let producer = connect(&nats).await;
    create(&producer, "s").await;
    let node = Node::start("a", &bus(&nats, ", fields: { type: told, subject: $subject.2, id: $header.Nats-Msg-Id }"));
    consumer(&producer, "tidegate@a").await;
    for number in 1..=3 {
        let id = number.to_string();
        publish(&producer, "s.d1", &[("Nats-Msg-Id", &id)], &format!(r#"{{"n":{number}}}"#)).await;
    }
    assert_eq!(node.numbers(3).await, [1, 2, 3]);
    node.end().await;
}
