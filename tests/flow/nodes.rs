//! Other nodes: what goes out to them, and what a publish is answered that they did not get.

use serde_json::json;
use tidegate_core::flow::Audience;
use tidegate_core::flow::broker::{Broker as _, HearsNodes as _};
use tidegate_core::protocol::{Code, ConnectionId, Payload, Topic};

use tidegate_testkit::{CHANNELS, FakeBroker, FakeNode, FakePlugins, Server, code, emit, event, user};

const RULES: &str = "rules:\n  - { on: article.published, to: news }\n";

fn server() -> Server {
    Server::declaring(CHANNELS).bridge(RULES).start()
}

#[tokio::test]
async fn what_is_delivered_here_goes_out_to_the_other_nodes_in_order() {
    let server = Server::declaring(CHANNELS)
        .plugins(FakePlugins::emitting(vec![emit("news", &json!({ "title": "2" }))]))
        .start();
    let client = server.client(user("alice"));
    client.subscribe("ping").await.unwrap();
    client.subscribe("echo").await.unwrap();
    client.send("echo", json!({ "n": 1 })).await.unwrap();
    client.send("ping", json!({ "n": 1 })).await.unwrap();
    assert_eq!(server.broker.published(), server.delivered());
    assert_eq!(server.delivered().len(), 2);
}

#[tokio::test]
async fn a_message_that_the_broker_does_not_take_is_delivered_here_and_answered_unavailable() {
    let server = server();
    let client = server.client(user("alice"));
    client.subscribe("echo").await.unwrap();
    server.broker.set_away(true);
    let refusal = client.send("echo", json!({ "n": 1 })).await.unwrap_err();
    assert_eq!((refusal.code, refusal.code.retry()), (Code::Unavailable, true));
    assert!(refusal.message.starts_with("delivered on this node only"), "{}", refusal.message);
    assert_eq!(server.delivered(), [("echo".to_owned(), json!({ "n": 1 }))]);
    server.broker.set_away(false);
    assert!(client.send("echo", json!({ "n": 2 })).await.is_ok());
}

#[tokio::test]
async fn what_another_node_published_is_delivered_here_by_the_catalog_in_force_and_goes_no_further() {
    let server = server();
    let hear = |topic: &str, payload: serde_json::Value| {
        let except = Some(ConnectionId::new("there"));
        server.gates.hear_publication(&Topic::parse(topic).unwrap(), Payload::from(payload), except, None, None);
    };
    hear("chat.a", json!({ "text": "hi" }));
    hear("nothing.declared", json!({}));
    let publications = server.rooms.publications();
    assert_eq!(server.delivered(), [("chat.a".to_owned(), json!({ "text": "hi" }))]);
    assert_eq!(publications[0].channel.template.as_str(), "chat.{room}");
    assert_eq!(publications[0].except, Some(ConnectionId::new("there")));
    assert_eq!(server.broker.published(), []);
}

#[tokio::test]
async fn what_every_node_reads_for_itself_goes_to_no_other() {
    let server = server();
    let event = event("article.published", json!({ "title": "x" }));
    let pending = server.gates.carry(&event, Audience::ThisNode).await.unwrap();
    assert!(pending.is_over());
    assert_eq!((server.delivered().len(), server.broker.published().len()), (1, 0));
}

#[tokio::test]
async fn a_user_has_one_rate_on_all_nodes_and_who_has_no_user_one_on_its_own() {
    let server = server();
    let (alice, nobody) = (server.client(user("alice")), server.client(None));
    for client in [&alice, &nobody] {
        client.subscribe("rated").await.unwrap();
        client.send("rated", json!({})).await.unwrap();
    }
    assert_eq!(server.broker.asked(), [("rated".to_owned(), "alice".to_owned())]);
    server.broker.empty_windows();
    assert_eq!(code(alice.send("rated", json!({})).await), Code::RateLimited);
    assert!(nobody.send("rated", json!({})).await.is_ok());
    assert!(nobody.send("rated", json!({})).await.is_ok());
    assert_eq!(code(nobody.send("rated", json!({})).await), Code::RateLimited, "the window of this node holds");
}

#[tokio::test]
async fn a_new_subscription_ends_when_the_broker_is_away_and_one_that_was_held_stays() {
    let server = server();
    let client = server.client(user("alice"));
    client.subscribe("echo").await.unwrap();
    server.broker.set_away(true);
    for (topic, stays) in [("echo", true), ("news", false)] {
        assert_eq!(code(client.subscribe(topic).await), Code::Unavailable, "{topic}");
        assert_eq!(client.holds(topic), stays, "{topic}");
    }
}

#[tokio::test]
async fn nodes_hear_what_was_told_in_order() {
    let (broker, node) = (FakeBroker::default(), FakeNode::default());
    for word in ["one", "two"] {
        broker.tell(word.as_bytes().to_vec()).unwrap().await.unwrap();
    }
    broker.play_to(&node);
    assert_eq!(node.heard(), [b"one".to_vec(), b"two".to_vec()]);
}

#[tokio::test]
async fn a_publish_of_a_backend_is_cleared_before_it_goes_anywhere() {
    let server = server();
    assert_eq!(code(server.gates.broadcast("news", Payload::from(json!({})))), Code::InvalidPayload);
    assert_eq!(server.broker.published(), []);
}

#[tokio::test]
async fn what_a_source_lost_is_told_on_every_node_and_on_this_one_where_the_others_cannot_be_told() {
    let (server, other) = (server(), server());
    server.gates.tell_gap_of("redis:s", Audience::EveryNode).await;
    assert!(server.rooms.gaps().is_empty(), "it hears it as the others do");
    for node in [&server, &other] {
        server.broker.play_to(&*node.gates);
        assert_eq!(node.rooms.gaps(), ["news"]);
    }
    server.broker.set_away(true);
    server.gates.tell_gap_of("redis:s", Audience::EveryNode).await;
    assert_eq!(server.rooms.gaps(), ["news", "news"]);
    server.broker.set_away(false);
    let told = server.broker.told();
    server.gates.tell_gap_of("redis:s", Audience::ThisNode).await;
    assert_eq!((server.rooms.gaps().len(), server.broker.told()), (3, told), "every node finds out by itself");
}
