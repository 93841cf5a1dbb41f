//! `relay`: a message is published on its own topic with no plugin at all.

use serde_json::json;
use tidegate_core::protocol::Code;

use tidegate_testkit::{CHANNELS, Client, Server, code, user};

async fn joined(server: &Server, topic: &str) -> Client {
    let client = server.client(user("alice"));
    client.subscribe(topic).await.unwrap();
    client
}

#[tokio::test]
async fn relay_all_reaches_the_sender_too() {
    let server = Server::declaring(CHANNELS).start();
    assert_eq!(joined(&server, "echo").await.send("echo", json!({ "n": 1 })).await, Ok(None));
    let publications = server.rooms.publications();
    assert_eq!((publications[0].topic.as_str(), publications[0].except.is_none()), ("echo", true));
}

#[tokio::test]
async fn relay_others_leaves_the_sender_out() {
    let server = Server::declaring(CHANNELS).start();
    let client = joined(&server, "chat.a").await;
    client.send("chat.a", json!({ "text": "hello" })).await.unwrap();
    let publications = server.rooms.publications();
    assert_eq!(publications[0].except.as_ref(), Some(client.session.connection()));
    assert_eq!((publications[0].topic.as_str(), publications[0].channel.template.as_str()), ("chat.a", "chat.{room}"));
    assert_eq!(server.plugins.asked(), Vec::<&str>::new());
}

#[tokio::test]
async fn a_relay_without_a_schema_of_its_own_meets_the_channels() {
    let server = Server::declaring(CHANNELS).start();
    let client = joined(&server, "chat.a").await;
    assert_eq!(code(client.send("chat.a", json!({ "text": 7 })).await), Code::InvalidPayload);
    assert_eq!(server.delivered(), []);
}

#[tokio::test]
async fn a_relay_with_a_schema_of_its_own_meets_both() {
    let server = Server::declaring(CHANNELS).start();
    let client = joined(&server, "echo").await;
    assert_eq!(code(client.send("echo", json!({ "n": "x" })).await), Code::InvalidPayload);
    assert_eq!(code(client.send("echo", json!({ "n": 101 })).await), Code::InvalidPayload);
    assert!(client.send("echo", json!({ "n": 100 })).await.is_ok());
    assert_eq!(server.delivered().len(), 1);
}

#[tokio::test]
async fn a_relayed_payload_goes_out_as_the_client_wrote_it() {
    let server = Server::declaring(CHANNELS).start();
    let client = joined(&server, "chat.a").await;
    client.send_text("chat.a", "{ \"text\" : \"a\\u00e9\" }").await.unwrap();
    assert_eq!(server.rooms.publications()[0].payload.as_str(), "{ \"text\" : \"a\\u00e9\" }");
}

#[tokio::test]
async fn one_topic_of_a_channel_hears_nothing_of_another() {
    let server = Server::declaring(CHANNELS).start();
    let client = joined(&server, "chat.a").await;
    assert_eq!(code(client.send("chat.b", json!({ "text": "hello" })).await), Code::NotSubscribed);
    client.send("chat.a", json!({ "text": "hello" })).await.unwrap();
    let topics: Vec<String> = server.delivered().into_iter().map(|(topic, _)| topic).collect();
    assert_eq!(topics, ["chat.a"]);
}
