//! Channels with history: positions, what a client gets of what it missed, and what it is told when it cannot have it.

use std::time::Duration;

use futures_util::FutureExt as _;
use serde_json::{Value, json};
use tidegate_core::flow::ports::{History as _, Wanted};
use tidegate_core::flow::{Asked, MemoryHistory, Publication, PublishRequest};
use tidegate_core::protocol::{
    Code, Generation, Kept, Payload, Position, Recovery, Refusal, Snapshot, SubscribeReceipt, SubscribeRequest, Topic,
    Unrecovered,
};

use tidegate_testkit::{Client, FakePlugins, Server, catalog, code, user};

const CHANNELS: &str = r#"
feature: test
channels:
  feed.{id}: { scope: public, payload: true, history: { messages: 3, bytes: 100, ttl: 60s } }
  state.{id}: { scope: public, payload: true, snapshot: { plugin: answerer }, history: { messages: 3 } }
  chat.{id}: { scope: public, payload: true, history: { messages: 9 }, inbound: { relay: others } }
  plain: { scope: public, payload: true }
"#;
/// The same without the history of `feed.{id}`.
const WITHOUT: &str = r#"
feature: test
channels:
  feed.{id}: { scope: public, payload: true }
  chat.{id}: { scope: public, payload: true, history: { messages: 9 }, inbound: { relay: others } }
"#;

fn server() -> Server {
    Server::declaring(CHANNELS).start()
}

async fn publish(server: &Server, topic: &str, payload: Value) -> Position {
    try_publish(server, topic, payload).await.unwrap().unwrap()
}

async fn try_publish(server: &Server, topic: &str, payload: Value) -> Result<Option<Position>, Refusal> {
    let request = PublishRequest { topic: topic.to_owned(), payload: Payload::from(payload), key: None };
    server.gates.publish_for_backend(request).await.map(|receipt| receipt.position)
}

async fn subscribe(server: &Server, topic: &str, since: Option<&Position>) -> SubscribeReceipt {
    let client = server.client(None);
    match since {
        None => client.subscribe(topic).await.unwrap(),
        Some(since) => client.subscribe_since(topic, since.clone()).await.unwrap(),
    }
}

/// The payloads that a client gets of what it missed, or the reason.
async fn missed(server: &Server, topic: &str, since: &Position) -> Result<Vec<Value>, Unrecovered> {
    payloads(subscribe(server, topic, Some(since)).await.recovery)
}

fn payloads(recovery: Option<Recovery>) -> Result<Vec<Value>, Unrecovered> {
    let value = |kept: &Kept| kept.payload.value().unwrap().clone();
    match recovery.unwrap() {
        Recovery::Whole(publications) => Ok(publications.iter().map(value).collect()),
        Recovery::Not(reason) => Err(reason),
    }
}

fn before(position: &Position, by: u64) -> Position {
    Position { offset: position.offset - by, ..position.clone() }
}

#[tokio::test]
async fn publications_are_numbered_from_1_and_carry_their_positions_to_the_rooms() {
    let server = server();
    let first = publish(&server, "feed.a", json!(1)).await;
    let second = publish(&server, "feed.a", json!(2)).await;
    assert_eq!((first.offset, second.offset, &first.epoch), (1, 2, &second.epoch));
    assert_eq!(publish(&server, "feed.b", json!(3)).await.offset, 1, "each topic by itself");
    let delivered: Vec<Option<Position>> = server.rooms.publications().into_iter().map(|one| one.position).collect();
    assert_eq!(delivered[..2], [Some(first), Some(second)]);
    assert_eq!(try_publish(&server, "plain", json!(1)).await, Ok(None));
    assert_eq!(server.rooms.publications()[3].position, None);
}

#[tokio::test]
async fn a_subscriber_learns_the_position_that_live_publications_follow() {
    let server = server();
    let fresh = subscribe(&server, "feed.a", None).await;
    assert_eq!((fresh.position.as_ref().unwrap().offset, &fresh.recovery), (0, &None));
    let first = publish(&server, "feed.a", json!(1)).await;
    assert_eq!(subscribe(&server, "feed.a", None).await.position, Some(first));
    assert_eq!(missed(&server, "feed.a", &fresh.position.unwrap()).await, Ok(vec![json!(1)]));
    assert_eq!(subscribe(&server, "plain", None).await.position, None);
}

#[tokio::test]
async fn who_was_away_gets_all_that_it_missed_in_order_or_nothing_and_the_reason() {
    let server = server();
    let first = publish(&server, "feed.a", json!(1)).await;
    assert_eq!(missed(&server, "feed.a", &first).await, Ok(Vec::new()));
    publish(&server, "feed.a", json!(2)).await;
    publish(&server, "feed.a", json!(3)).await;
    let fourth = publish(&server, "feed.a", json!(4)).await;
    let receipt = subscribe(&server, "feed.a", Some(&first)).await;
    assert_eq!(receipt.position, Some(fourth.clone()));
    assert_eq!(payloads(receipt.recovery), Ok(vec![json!(2), json!(3), json!(4)]));
    assert_eq!(missed(&server, "feed.a", &before(&fourth, 4)).await, Err(Unrecovered::TooMany));
    let never_given = Position { offset: 5, ..fourth };
    assert_eq!(missed(&server, "feed.a", &never_given).await, Err(Unrecovered::EpochChanged));
    let elsewhere = Position::parse("other:1").unwrap();
    assert_eq!(missed(&server, "feed.a", &elsewhere).await, Err(Unrecovered::EpochChanged));
    assert_eq!(missed(&server, "feed.new", &elsewhere).await, Err(Unrecovered::EpochChanged));
}

#[tokio::test]
async fn more_bytes_than_the_history_keeps_are_too_many() {
    let server = server();
    let start = subscribe(&server, "feed.a", None).await.position.unwrap();
    publish(&server, "feed.a", json!("x".repeat(60))).await;
    let second = publish(&server, "feed.a", json!("y".repeat(60))).await;
    assert_eq!(missed(&server, "feed.a", &start).await, Err(Unrecovered::TooMany));
    assert_eq!(missed(&server, "feed.a", &before(&second, 1)).await, Ok(vec![json!("y".repeat(60))]));
}

#[tokio::test(start_paused = true)]
async fn what_time_took_is_expired_and_the_newest_position_is_good_however_old() {
    let server = server();
    let start = subscribe(&server, "feed.a", None).await.position.unwrap();
    let first = publish(&server, "feed.a", json!(1)).await;
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(missed(&server, "feed.a", &start).await, Err(Unrecovered::Expired));
    tokio::time::advance(Duration::from_secs(100_000)).await;
    server.gates.sweep();
    assert_eq!(missed(&server, "feed.a", &first).await, Ok(Vec::new()));
    publish(&server, "feed.a", json!(2)).await;
    assert_eq!(missed(&server, "feed.a", &first).await, Ok(vec![json!(2)]));
}

#[tokio::test]
async fn more_than_one_ack_holds_is_too_many() {
    let server = Server::declaring(CHANNELS).limits(|limits| limits.ack_bytes_max = 250).start();
    let start = subscribe(&server, "feed.a", None).await.position.unwrap();
    publish(&server, "feed.a", json!(1)).await;
    publish(&server, "feed.a", json!(2)).await;
    assert_eq!(missed(&server, "feed.a", &start).await, Ok(vec![json!(1), json!(2)]));
    publish(&server, "feed.a", json!(3)).await;
    assert_eq!(missed(&server, "feed.a", &start).await, Err(Unrecovered::TooMany));
    let asked = Asked { topic: "feed.a".to_owned(), since: Some(start), limit: None };
    let page = server.gates.history(asked).await.unwrap();
    assert_eq!(
        (payloads(Some(page.recovery)), page.position.offset, page.more),
        (Ok(vec![json!(1), json!(2)]), 2, true)
    );
}

#[tokio::test]
async fn who_has_everything_gets_no_snapshot_and_who_has_not_gets_it() {
    let server = Server::declaring(CHANNELS).plugins(FakePlugins::providing(&[json!("state")])).start();
    let first = publish(&server, "state.a", json!(1)).await;
    publish(&server, "state.a", json!(2)).await;
    let whole = subscribe(&server, "state.a", Some(&first)).await;
    assert_eq!((whole.snapshot.is_none(), payloads(whole.recovery)), (true, Ok(vec![json!(2)])));
    for since in [None, Some(&Position::parse("other:1").unwrap())] {
        let receipt = subscribe(&server, "state.a", since).await;
        assert_eq!(receipt.snapshot, Some(Snapshot::Payloads(vec![json!("state").into()])));
        assert_eq!(receipt.position.unwrap().offset, 2);
    }
}

#[tokio::test]
async fn a_snapshot_larger_than_an_ack_refuses_the_subscription() {
    let plugins = FakePlugins::providing(&[json!("x".repeat(200))]);
    let server = Server::declaring(CHANNELS).plugins(plugins).limits(|limits| limits.ack_bytes_max = 100).start();
    let refusal = server.client(None).subscribe("state.a").await.unwrap_err();
    assert_eq!(
        (refusal.code, refusal.details),
        (Code::PayloadTooLarge, Some(json!({ "bytes": 203, "bytes_max": 100 })))
    );
}

#[tokio::test]
async fn a_sender_that_was_left_out_is_left_out_of_what_it_missed() {
    let server = server();
    let (alice, bob) = (server.client(user("alice")), server.client(user("bob")));
    let start = alice.subscribe("chat.a").await.unwrap().position.unwrap();
    bob.subscribe("chat.a").await.unwrap();
    alice.send("chat.a", json!("from alice")).await.unwrap();
    bob.send("chat.a", json!("from bob")).await.unwrap();
    let again =
        async |client: &Client| payloads(client.subscribe_since("chat.a", start.clone()).await.unwrap().recovery);
    assert_eq!(again(&alice).await, Ok(vec![json!("from bob")]));
    assert_eq!(again(&bob).await, Ok(vec![json!("from alice")]));
}

#[tokio::test]
async fn a_reload_that_drops_the_history_and_one_that_brings_it_back_begin_a_new_epoch() {
    let server = server();
    let client = server.client(None);
    let start = client.subscribe("feed.a").await.unwrap().position.unwrap();
    let kept = publish(&server, "chat.a", json!("kept")).await;
    publish(&server, "feed.a", json!(1)).await;
    server.reload(WITHOUT, FakePlugins::silent());
    assert_eq!(client.recheck(), []);
    assert_eq!(try_publish(&server, "feed.a", json!(2)).await, Ok(None));
    assert_eq!(missed(&server, "feed.a", &start).await, Err(Unrecovered::NoHistory));
    let asked = Asked { topic: "feed.a".to_owned(), since: None, limit: None };
    assert_eq!(code(server.gates.history(asked).await), Code::NoHistory);
    server.reload(CHANNELS, FakePlugins::silent());
    assert_eq!(missed(&server, "feed.a", &start).await, Err(Unrecovered::EpochChanged));
    assert_eq!(publish(&server, "feed.a", json!(3)).await.offset, 1);
    assert_eq!(missed(&server, "chat.a", &kept).await, Ok(Vec::new()), "another channel keeps its own");
}

#[tokio::test]
async fn without_the_history_nothing_is_published_and_nobody_subscribes() {
    let server = server();
    server.history.set_away(true);
    assert_eq!(code(try_publish(&server, "feed.a", json!(1)).await), Code::Unavailable);
    assert_eq!(server.delivered(), []);
    let client = server.client(None);
    assert_eq!(code(client.subscribe("feed.a").await), Code::Unavailable);
    assert!(!client.holds("feed.a") && !client.is_in_room("feed.a"));
    assert!(client.subscribe("plain").await.is_ok());
}

#[tokio::test]
async fn publishers_at_once_reach_the_rooms_in_the_order_of_positions() {
    let server = server();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..200 {
                    publish(&server, "feed.a", json!(1)).now_or_never().unwrap();
                }
            });
        }
    });
    let offsets: Vec<u64> =
        server.rooms.publications().iter().map(|one| one.position.as_ref().unwrap().offset).collect();
    assert_eq!(offsets, (1..=800).collect::<Vec<_>>());
}

fn publication(topic: &str, payload: &str) -> Publication {
    let resolved = catalog(CHANNELS, None, Generation(1)).resolve(topic).unwrap();
    Publication::new(&resolved, Payload::parse(payload.to_owned()).unwrap())
}

#[tokio::test]
async fn a_node_keeps_so_many_bytes_and_the_topics_published_on_longest_ago_lose_first() {
    let history = MemoryHistory::new(100_000);
    let payload = json!("x".repeat(80)).to_string();
    for number in 0..1000 {
        let publication = publication(&format!("feed.{number}"), &payload);
        let policy = publication.channel.history.unwrap();
        history.append(&publication, policy, &mut |_| {});
        assert!(history.bytes() <= 100_000, "{}", history.bytes());
    }
    let read = async |topic: &str| {
        let policy = publication(topic, &payload).channel.history.unwrap();
        let wanted = Wanted { since: None, entries_max: 9, bytes_max: 1 << 20 };
        history.read(&Topic::parse(topic).unwrap(), policy, wanted).await.unwrap().entries.unwrap().len()
    };
    assert_eq!((read("feed.0").await, read("feed.999").await), (0, 1));
    assert!(history.bytes() > 90_000, "{}", history.bytes());
}

#[tokio::test]
async fn who_takes_what_it_missed_part_by_part_gets_all_of_it_however_much_it_is() {
    let server = Server::declaring(&CHANNELS.replace("messages: 3, bytes: 100,", "messages: 100, bytes: 10MiB,"))
        .limits(|limits| limits.ack_bytes_max = 100_000)
        .start();
    let filling = "x".repeat(20_000);
    let first = publish(&server, "feed.a", json!(0)).await;
    for number in 1..=20 {
        publish(&server, "feed.a", json!([number, filling])).await;
    }
    assert_eq!(missed(&server, "feed.a", &first).await, Err(Unrecovered::TooMany), "more than an ack holds");
    let client = server.client(None);
    let request = SubscribeRequest { since: Some(first), reads_on: true, ..SubscribeRequest::to("feed.a") };
    let receipt = client.join(request).await.unwrap();
    let mut position = receipt.position.unwrap();
    let mut part = payloads(receipt.recovery).unwrap();
    let (mut found, mut parts) = (Vec::new(), 0);
    while !part.is_empty() {
        (found, parts) = ([found, part].concat(), parts + 1);
        if parts == 2 {
            publish(&server, "feed.a", json!([21, filling])).await;
        }
        let next = server.gates.read_on(&client.session, &receipt.topic, &position).await.unwrap();
        if let Recovery::Whole(publications) = &next
            && let Some(last) = publications.last()
        {
            position = last.position.clone();
        }
        part = payloads(Some(next)).unwrap();
    }
    assert_eq!(
        found.iter().map(|payload| payload[0].as_u64().unwrap()).collect::<Vec<_>>(),
        (1..=21).collect::<Vec<_>>()
    );
    assert!(parts > 3, "{parts}");
    client.unsubscribe("feed.a").unwrap();
    let left = server.gates.read_on(&client.session, &receipt.topic, &position).await;
    assert_eq!(code(left), Code::NotSubscribed);
}
