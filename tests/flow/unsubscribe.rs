//! `unsubscribe`: the session lets go of a topic.

use tidegate_core::protocol::{Code, User};

use tidegate_testkit::{CHANNELS, FakeClock, Server, code, user};

#[tokio::test]
async fn a_topic_that_is_held_is_let_go_of_once() {
    let client = Server::declaring(CHANNELS).start().client(None);
    client.subscribe("news").await.unwrap();
    assert_eq!(client.unsubscribe("news").unwrap().as_str(), "news");
    assert!(!client.holds("news"));
    assert_eq!(code(client.unsubscribe("news")), Code::NotSubscribed);
}

#[tokio::test]
async fn what_is_not_held_is_not_subscribed_declared_or_not() {
    let client = Server::declaring(CHANNELS).start().client(None);
    for topic in ["news", "nothing", "inbox.alice", "", "a b", "subscribe"] {
        assert_eq!(code(client.unsubscribe(topic)), Code::NotSubscribed, "{topic}");
    }
}

#[tokio::test]
async fn other_topics_and_other_connections_keep_what_they_hold() {
    let server = Server::declaring(CHANNELS).start();
    let (one, other) = (server.client(None), server.client(None));
    for client in [&one, &other] {
        client.subscribe("chat.a").await.unwrap();
        client.subscribe("chat.b").await.unwrap();
    }
    one.unsubscribe("chat.a").unwrap();
    assert!(one.holds("chat.b") && other.holds("chat.a"));
}

#[tokio::test]
async fn a_topic_can_be_taken_again() {
    let client = Server::declaring(CHANNELS).start().client(None);
    for _ in 0..3 {
        client.subscribe("news").await.unwrap();
        client.unsubscribe("news").unwrap();
    }
    assert!(client.subscribe("news").await.is_ok());
}

#[tokio::test]
async fn leaving_needs_neither_a_credential_in_time_nor_the_channel() {
    let server = Server::declaring(CHANNELS).start();
    let client = server.client(User { expires_at: Some(FakeClock::START_UNIX_S + 5), ..user("alice") });
    client.subscribe("news").await.unwrap();
    client.subscribe("chat.a").await.unwrap();
    server.clock.advance(5);
    assert!(client.unsubscribe("news").is_ok());
    server.gates.drain();
    assert!(client.unsubscribe("chat.a").is_ok());
}
