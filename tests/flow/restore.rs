//! A client that comes back: which of its topics it holds again, and what it gets of what it missed.

use serde_json::{Value, json};
use tidegate_core::flow::{Left, PublishRequest, Restored, Unrestored};
use tidegate_core::protocol::{Code, Payload, Position, Topic, Unrecovered};

use tidegate_testkit::{Client, FakePlugins, Server, user};

const CHANNELS: &str = r#"
feature: test
channels:
  feed.{id}: { scope: public, payload: true, history: { messages: 3 } }
  vault.{id}: { scope: authenticated, authorizer: answerer, payload: true, history: { messages: 3 } }
  own.{id}: { scope: { user: id }, payload: true }
  plain.{id}: { scope: public, payload: true, presence: { info: { type: object } } }
  map.{id}: { scope: public, payload: true, delivery: { key: /id }, snapshot: { retain: latest } }
"#;
/// The same without the history of `feed.{id}`.
const WITHOUT: &str = r#"
feature: test
channels:
  feed.{id}: { scope: public, payload: true }
"#;

fn server() -> Server {
    Server::declaring(CHANNELS).start()
}

async fn publish(server: &Server, topic: &str, payload: Value) -> Position {
    let request = PublishRequest { topic: topic.to_owned(), payload: Payload::from(payload), key: None };
    server.gates.publish_for_backend(request).await.unwrap().position.unwrap()
}

fn left(topic: &str, position: Option<Position>) -> Left {
    Left { topic: Topic::parse(topic).unwrap(), position, info: None }
}

/// The position of a topic at which nothing was published.
async fn start_of(server: &Server, topic: &str) -> Position {
    server.client(user("reader")).subscribe(topic).await.unwrap().position.unwrap()
}

async fn restore(server: &Server, client: &Client, left: &[Left]) -> Result<Vec<Restored>, Unrestored> {
    server.gates.restore(client, left).await
}

fn missed(restored: &Restored) -> Vec<Value> {
    let Restored::Whole { missed, .. } = restored else { panic!("not whole: {restored:?}") };
    missed.iter().map(|kept| kept.payload.value().unwrap().clone()).collect()
}

#[tokio::test]
async fn a_client_that_comes_back_holds_its_topics_and_gets_all_that_it_missed_of_each() {
    let server = server();
    let start = start_of(&server, "feed.b").await;
    let first = publish(&server, "feed.a", json!(1)).await;
    publish(&server, "feed.a", json!(2)).await;
    let newest = publish(&server, "feed.a", json!(3)).await;
    publish(&server, "feed.b", json!("b")).await;
    let client = server.client(None);
    let restored =
        restore(&server, &client, &[left("feed.a", Some(first)), left("feed.b", Some(start))]).await.unwrap();
    assert_eq!((missed(&restored[0]), missed(&restored[1])), (vec![json!(2), json!(3)], vec![json!("b")]));
    assert!(matches!(&restored[0], Restored::Whole { newest: position, .. } if *position == newest));
    assert!(client.holds("feed.a") && client.is_in_room("feed.a") && client.is_in_room("feed.b"));
}

#[tokio::test]
async fn a_topic_that_gate_2_refuses_now_drops_out_and_the_others_are_restored() {
    let server = Server::declaring(CHANNELS).plugins(FakePlugins::denying()).start();
    let start = start_of(&server, "feed.a").await;
    let client = server.client(user("u1"));
    let topics = [
        left("vault.a", Some(start.clone())),
        left("own.u2", None),
        left("gone", None),
        left("own.u1", None),
        left("feed.a", Some(start)),
    ];
    let restored = restore(&server, &client, &topics).await.unwrap();
    let lost = |code| Restored::Lost(code);
    assert_eq!(restored[..3], [lost(Code::Forbidden), lost(Code::Forbidden), lost(Code::UnknownChannel)]);
    assert_eq!((&restored[3], missed(&restored[4])), (&Restored::Gap { newest: None, values: None }, Vec::new()));
    assert!(["vault.a", "own.u2"].iter().all(|topic| !client.holds(topic) && !client.is_in_room(topic)));
    assert!(client.is_in_room("own.u1") && client.is_in_room("feed.a"));
}

#[tokio::test]
async fn a_topic_whose_channel_keeps_no_history_is_restored_with_a_gap() {
    let server = server();
    let position = publish(&server, "feed.a", json!(1)).await;
    server.reload(WITHOUT, FakePlugins::silent());
    let client = server.client(None);
    let restored = restore(&server, &client, &[left("feed.a", Some(position))]).await.unwrap();
    assert_eq!(restored, [Restored::Gap { newest: None, values: None }]);
    server.reload(CHANNELS, FakePlugins::silent());
    let restored = restore(&server, &server.client(None), &[left("feed.a", None)]).await.unwrap();
    assert!(matches!(&restored[..], [Restored::Gap { newest: Some(_), values: None }]), "{restored:?}");
}

#[tokio::test]
async fn where_one_history_no_longer_has_what_was_missed_nothing_is_restored() {
    let server = server();
    let first = publish(&server, "feed.a", json!(1)).await;
    let start = start_of(&server, "feed.b").await;
    for n in 2..6 {
        publish(&server, "feed.a", json!(n)).await;
    }
    for (position, reason) in
        [(first, Unrecovered::TooMany), (Position::parse("other:1").unwrap(), Unrecovered::EpochChanged)]
    {
        let topics = [left("feed.b", Some(start.clone())), left("feed.a", Some(position))];
        let restored = restore(&server, &server.client(None), &topics).await;
        assert_eq!(restored, Err(Unrestored::Missed(reason)));
    }
}

#[tokio::test]
async fn all_topics_together_are_no_more_than_one_ack_holds() {
    let server = Server::declaring(CHANNELS).limits(|limits| limits.ack_bytes_max = 250).start();
    let (a, b) = (start_of(&server, "feed.a").await, start_of(&server, "feed.b").await);
    let payload = json!("x".repeat(100));
    publish(&server, "feed.a", payload.clone()).await;
    publish(&server, "feed.b", payload.clone()).await;
    let both = [left("feed.a", Some(a)), left("feed.b", Some(b))];
    assert_eq!(
        missed(&restore(&server, &server.client(None), &both).await.unwrap()[1]),
        std::slice::from_ref(&payload)
    );
    publish(&server, "feed.b", payload).await;
    let restored = restore(&server, &server.client(None), &both).await;
    assert_eq!(restored, Err(Unrestored::Missed(Unrecovered::TooMany)));
}

#[tokio::test]
async fn while_the_history_cannot_be_reached_the_client_may_try_again() {
    let server = server();
    let position = publish(&server, "feed.a", json!(1)).await;
    server.history.set_away(true);
    let topics = [left("feed.a", Some(position))];
    assert_eq!(restore(&server, &server.client(None), &topics).await, Err(Unrestored::Away));
    server.history.set_away(false);
    assert!(restore(&server, &server.client(None), &topics).await.is_ok());
    server.gates.drain();
    assert_eq!(restore(&server, &server.client(None), &topics).await, Err(Unrestored::Away));
}

#[tokio::test]
async fn a_member_that_comes_back_has_told_about_itself_already() {
    let server = server();
    let client = server.client(user("u1"));
    let info = Some(Payload::from(json!({ "mood": "fine" })));
    restore(&server, &client, &[Left { info: info.clone(), ..left("plain.a", None) }]).await.unwrap();
    let there = server.gates.present("plain.a").await.unwrap();
    assert_eq!(serde_json::to_value(there).unwrap()["members"][0]["info"], json!({ "mood": "fine" }));
    assert_eq!(
        client.session.info(&Topic::parse("plain.a").unwrap()).map(|info| info.as_str().to_owned()),
        info.map(|info| info.as_str().to_owned())
    );
}

#[tokio::test]
async fn a_topic_with_retained_values_is_restored_with_them() {
    let server = server();
    for n in [1, 2] {
        let payload = Payload::from(json!({ "id": "a", "n": n }));
        let request = PublishRequest { topic: "map.a".to_owned(), payload, key: None };
        server.gates.publish_for_backend(request).await.unwrap();
    }
    let client = server.client(None);
    let restored = restore(&server, &client, &[left("map.a", None)]).await.unwrap();
    let Restored::Gap { newest: None, values: Some(values) } = &restored[0] else { panic!("{restored:?}") };
    assert_eq!(values.values.len(), 1);
    assert_eq!(values.values[0].payload.value().unwrap(), &json!({ "id": "a", "n": 2 }));
    assert!(client.is_in_room("map.a"));
    server.retained.set_away(true);
    let client = server.client(None);
    assert_eq!(restore(&server, &client, &[left("map.a", None)]).await, Err(Unrestored::Away));
}
