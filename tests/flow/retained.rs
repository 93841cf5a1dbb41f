//! Retained values and versions: the newest of every key for who subscribes, nothing stale for anybody, and what is taken
//! away is told.

use std::time::Duration;

use serde_json::{Value, json};
use tidegate_core::flow::ports::{PluginEffect, Retained as _};
use tidegate_core::flow::{Asked, MemoryHistory, MemoryRetained, Publication, PublishReceipt, PublishRequest};
use tidegate_core::protocol::{
    Code, Generation, Key, Payload, Position, Recovery, Refusal, Snapshot, SubscribeReceipt, Unrecovered,
};

use tidegate_testkit::{FakePlugins, Server, Told, catalog, code, emit, event, user};

const CHANNELS: &str = r#"
feature: test
channels:
  map.{id}: { scope: public, payload: true, delivery: { key: /id }, snapshot: { retain: latest, keys: 3 }, inbound: { relay: others } }
  one.{id}: { scope: public, payload: true, snapshot: { retain: latest, ttl: 60s } }
  small.{id}: { scope: public, payload: true, delivery: { key: /id }, snapshot: { retain: latest, bytes: 60 } }
  kept.{id}: { scope: public, payload: true, delivery: { key: /id }, snapshot: { retain: latest }, history: { messages: 3 } }
  rising.{id}:
    scope: public
    payload: { type: object }
    delivery: { key: /id, version: /seq }
    inbound: { relay: all }
  newest.{id}:
    scope: public
    payload: true
    delivery: { key: /id, version: /seq }
    snapshot: { retain: latest, plugin: answerer, ttl: 60s }
  beside.{id}: { scope: public, payload: true, delivery: { key: /id }, snapshot: { retain: latest, plugin: answerer } }
  board.{id}: { scope: public, payload: true, delivery: { key: /id }, snapshot: { retain: latest }, inbound: { payload: true, handler: answerer } }
  plain: { scope: public, payload: true }
"#;

fn server() -> Server {
    Server::declaring(CHANNELS).start()
}

async fn try_publish(server: &Server, topic: &str, payload: Value) -> Result<PublishReceipt, Refusal> {
    let request = PublishRequest { topic: topic.to_owned(), payload: Payload::from(payload), key: None };
    server.gates.publish_for_backend(request).await
}

async fn publish(server: &Server, topic: &str, payload: Value) -> PublishReceipt {
    try_publish(server, topic, payload).await.unwrap()
}

async fn subscribe(server: &Server, topic: &str) -> SubscribeReceipt {
    server.client(None).subscribe(topic).await.unwrap()
}

/// The snapshot of a new subscriber, as `(key, payload)`.
async fn snapshot(server: &Server, topic: &str) -> Vec<(String, Value)> {
    values(subscribe(server, topic).await)
}

fn values(receipt: SubscribeReceipt) -> Vec<(String, Value)> {
    let Some(Snapshot::Values(values)) = receipt.snapshot else { panic!("values: {:?}", receipt.snapshot) };
    values.into_iter().map(|one| (one.key.as_str().to_owned(), one.payload.value().unwrap().clone())).collect()
}

fn key(text: &str) -> Key {
    Key::new(&json!(text).to_string())
}

/// The numbers `n` of what was delivered.
fn delivered(server: &Server) -> Vec<Value> {
    server.delivered().into_iter().map(|(_, payload)| payload["n"].clone()).collect()
}

#[tokio::test]
async fn a_subscriber_gets_the_newest_value_of_every_key_the_oldest_first() {
    let server = server();
    assert_eq!(snapshot(&server, "map.a").await, []);
    for (id, n) in [("x", 1), ("y", 2), ("x", 3)] {
        publish(&server, "map.a", json!({ "id": id, "n": n })).await;
    }
    let (x, y) = (json!({ "id": "x", "n": 3 }), json!({ "id": "y", "n": 2 }));
    assert_eq!(snapshot(&server, "map.a").await, [(r#""y""#.to_owned(), y), (r#""x""#.to_owned(), x)]);
    assert_eq!(snapshot(&server, "map.b").await, []);
    assert_eq!(delivered(&server), [1, 2, 3], "everybody who is there has all of them");
}

#[tokio::test]
async fn without_a_key_there_is_one_value_and_its_key_is_null() {
    let server = server();
    publish(&server, "one.a", json!(1)).await;
    publish(&server, "one.a", json!({ "id": 2 })).await;
    assert_eq!(snapshot(&server, "one.a").await, [("null".to_owned(), json!({ "id": 2 }))]);
    publish(&server, "map.a", json!({ "n": 1 })).await;
    publish(&server, "map.a", json!({ "id": null, "n": 2 })).await;
    assert_eq!(snapshot(&server, "map.a").await, [("null".to_owned(), json!({ "id": null, "n": 2 }))]);
}

#[tokio::test]
async fn a_position_is_told_where_the_channel_has_a_history_and_nowhere_else() {
    let server = server();
    assert_eq!(publish(&server, "map.a", json!({ "id": 1 })).await, PublishReceipt::default());
    assert_eq!(server.rooms.publications()[0].position_shown(), None);
    let ack =
        |receipt: SubscribeReceipt| serde_json::to_value(tidegate_core::protocol::Ack::Subscribed(receipt)).unwrap();
    let answer = ack(subscribe(&server, "map.a").await);
    assert_eq!(answer["snapshot"], json!([{ "key": 1, "payload": { "id": 1 }, "meta": {} }]));
    assert!(answer.get("position").is_none() && answer.get("past").is_none(), "{answer}");
    let position = publish(&server, "kept.a", json!({ "id": 1 })).await.position.unwrap();
    let answer = ack(subscribe(&server, "kept.a").await);
    assert_eq!(answer["snapshot"], json!([{ "key": 1, "payload": { "id": 1 }, "meta": position }]));
    assert_eq!(answer["position"], json!(position));
}

#[tokio::test]
async fn who_left_off_before_values_were_taken_away_does_not_recover_and_gets_the_values_that_are_left() {
    let server = server();
    let mut at = Vec::new();
    for id in ["x", "y"] {
        at.push(publish(&server, "kept.a", json!({ "id": id })).await.position.unwrap());
    }
    let since =
        async |position: &Position| server.client(None).subscribe_since("kept.a", position.clone()).await.unwrap();
    assert!(matches!(since(&at[0]).await.recovery, Some(Recovery::Whole(missed)) if missed.len() == 1));
    assert_eq!(server.gates.remove_retained("kept.a", Some(key("z"))).await, Ok(0));
    assert_eq!(since(&at[1]).await.recovery, Some(Recovery::Whole(vec![])), "nothing was taken away");
    assert_eq!(server.gates.remove_retained("kept.a", Some(key("x"))).await, Ok(1));
    for position in &at {
        let receipt = since(position).await;
        assert_eq!(receipt.recovery, Some(Recovery::Not(Unrecovered::TooMany)));
        assert_eq!(values(receipt), [(r#""y""#.to_owned(), json!({ "id": "y" }))]);
    }
    let after = publish(&server, "kept.a", json!({ "id": "x" })).await.position.unwrap();
    assert_eq!(
        since(&at[1]).await.recovery,
        Some(Recovery::Not(Unrecovered::TooMany)),
        "x came and is there, but differs"
    );
    assert_eq!(since(&after).await.recovery, Some(Recovery::Whole(vec![])));
    let asked = Asked { topic: "kept.a".to_owned(), since: Some(at[0].clone()), limit: None };
    assert_eq!(server.gates.history(asked).await.unwrap().recovery, Recovery::Not(Unrecovered::TooMany));
}

#[tokio::test]
async fn beyond_keys_and_beyond_bytes_the_value_goes_that_was_published_longest_ago() {
    let server = server();
    for (id, n) in [("x", 1), ("y", 2), ("z", 3), ("x", 4), ("w", 5)] {
        publish(&server, "map.a", json!({ "id": id, "n": n })).await;
    }
    let ids: Vec<Value> =
        snapshot(&server, "map.a").await.into_iter().map(|(_, payload)| payload["id"].clone()).collect();
    assert_eq!(ids, ["z", "x", "w"]);
    for id in ["x", "y", "z"] {
        publish(&server, "small.a", json!({ "id": id, "n": "0123456" })).await;
    }
    assert_eq!(snapshot(&server, "small.a").await.len(), 2);
    publish(&server, "small.a", json!({ "id": "w", "n": "x".repeat(60) })).await;
    assert_eq!(
        snapshot(&server, "small.a").await,
        [],
        "a value that is too large takes the place of all, and is not kept"
    );
}

#[tokio::test(start_paused = true)]
async fn a_value_is_kept_for_its_time() {
    let server = server();
    publish(&server, "one.a", json!(1)).await;
    tokio::time::advance(Duration::from_secs(59)).await;
    assert_eq!(snapshot(&server, "one.a").await.len(), 1);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(snapshot(&server, "one.a").await, []);
    publish(&server, "one.b", json!(1)).await;
    tokio::time::advance(Duration::from_secs(60)).await;
    server.gates.sweep();
    assert_eq!(server.retained.size(), (0, 0), "nothing is left of it");
}

#[tokio::test]
async fn a_node_keeps_so_many_bytes_and_the_topics_published_on_longest_ago_lose_first() {
    let history = std::sync::Arc::new(MemoryHistory::new(1 << 20));
    let retained = MemoryRetained::new(50_000, history);
    let catalog = catalog(CHANNELS, None, Generation(1));
    let of = |number: usize| catalog.resolve(&format!("map.{number}")).unwrap();
    for number in 0..200 {
        let payload = json!({ "id": 1, "n": "x".repeat(80) });
        let publication = Publication::new(&of(number), payload.into());
        retained.publish(&publication, publication.channel.keeping().unwrap(), &mut |_| {});
        assert!(retained.size().1 <= 50_000, "{:?}", retained.size());
    }
    let read = async |number| {
        let of = of(number);
        retained.read(&of, of.channel.retain.unwrap(), 1 << 20).await.unwrap().values.len()
    };
    assert_eq!((read(0).await, read(199).await), (0, 1));
    assert!(retained.size().1 > 45_000, "{:?}", retained.size());
}

#[tokio::test]
async fn what_is_taken_away_is_told_at_its_place_and_its_version_is_forgotten() {
    let server = server();
    for (id, n) in [("x", 1), ("y", 2)] {
        publish(&server, "newest.a", json!({ "id": id, "n": n, "seq": 9 })).await;
    }
    assert!(publish(&server, "newest.a", json!({ "id": "x", "n": 3, "seq": 9 })).await.stale);
    assert_eq!(server.gates.remove_retained("newest.a", Some(key("x"))).await, Ok(1));
    assert_eq!(server.gates.remove_retained("newest.a", Some(key("x"))).await, Ok(0));
    assert_eq!(snapshot(&server, "newest.a").await.len(), 1);
    assert!(!publish(&server, "newest.a", json!({ "id": "x", "n": 4, "seq": 1 })).await.stale);
    let told: Vec<String> = server
        .rooms
        .told()
        .into_iter()
        .map(|told| match told {
            Told::Published(_, payload, position) => {
                format!("{} at {}", payload.value().unwrap()["n"], position.unwrap().offset)
            }
            Told::Removed(_, key, after) => format!("removed {} after {}", key.as_str(), after.offset),
        })
        .collect();
    assert_eq!(told, ["1 at 1", "2 at 2", "removed \"x\" after 2", "4 at 3"]);
    assert_eq!(server.gates.remove_retained("newest.a", None).await, Ok(2));
    assert_eq!(server.rooms.removed().len(), 3);
    assert_eq!(snapshot(&server, "newest.a").await, []);
}

#[tokio::test]
async fn a_handler_takes_values_away_in_the_order_of_its_effects() {
    let remove = |key: Option<&str>| PluginEffect::Remove { topic: "board.a".to_owned(), key: key.map(self::key) };
    let effects = vec![
        emit("board.a", &json!({ "id": "x" })),
        emit("board.a", &json!({ "id": "y" })),
        remove(Some("x")),
        emit("board.a", &json!({ "id": "z" })),
    ];
    let server = Server::declaring(CHANNELS).plugins(FakePlugins::emitting(effects)).start();
    let client = server.client(None);
    client.subscribe("board.a").await.unwrap();
    client.send("board.a", json!(1)).await.unwrap();
    assert_eq!(server.rooms.removed(), [("board.a".to_owned(), r#""x""#.to_owned())]);
    assert_eq!(snapshot(&server, "board.a").await.len(), 2);
    assert_eq!(server.gates.remove_retained("board.a", None).await, Ok(2));
}

#[tokio::test]
async fn only_a_channel_that_retains_has_something_to_take_away() {
    let server = server();
    for topic in ["plain", "rising.a"] {
        assert_eq!(code(server.gates.remove_retained(topic, None).await), Code::NoRetained, "{topic}");
    }
    assert_eq!(code(server.gates.remove_retained("nowhere", None).await), Code::UnknownChannel);
    assert_eq!(server.gates.remove_retained("map.a", None).await, Ok(0));
    assert_eq!(server.rooms.removed(), []);
    server.gates.drain();
    assert_eq!(code(server.gates.remove_retained("map.a", None).await), Code::Draining);
}

#[tokio::test]
async fn what_is_not_newer_than_the_last_of_its_key_goes_to_nobody() {
    let server = server();
    let said = async |id: &str, n: u32, seq: &str| {
        let text = format!(r#"{{"id":"{id}","n":{n},"seq":{seq}}}"#);
        let request = PublishRequest { topic: "rising.a".to_owned(), payload: Payload::read(text).unwrap(), key: None };
        server.gates.publish_for_backend(request).await.unwrap().stale
    };
    for (id, n, seq, is_stale) in [
        ("x", 1, "9007199254740992", false),
        ("x", 2, "9007199254740993", false),
        ("x", 3, "9007199254740993.0", true),
        ("x", 4, "9007199254740992.5", true),
        ("y", 5, "1", false),
        ("x", 6, "123456789012345678901234567890", false),
        ("x", 7, "123456789012345678901234567889", true),
        ("x", 8, r#""2026-06-01T12:00:00+02:00""#, false),
        ("x", 9, r#""2026-06-01T10:00:00Z""#, true),
        ("x", 10, r#""2026-06-01T10:00:00.001Z""#, false),
        ("y", 11, "-1e300", true),
    ] {
        assert_eq!(said(id, n, seq).await, is_stale, "{n}");
    }
    assert_eq!(delivered(&server), [1, 2, 5, 6, 8, 10]);
}

#[tokio::test]
async fn a_payload_without_a_version_is_invalid_from_everybody() {
    let server = server();
    for payload in [json!({ "id": 1 }), json!({ "id": 1, "seq": "7" }), json!({ "id": 1, "seq": null })] {
        let refusal = try_publish(&server, "rising.a", payload.clone()).await.unwrap_err();
        assert_eq!(refusal.code, Code::InvalidPayload);
        assert_eq!(refusal.details.unwrap()["violations"][0]["path"], "/seq");
        let client = server.client(user("alice"));
        client.subscribe("rising.a").await.unwrap();
        assert_eq!(client.send("rising.a", payload).await.unwrap_err().code, Code::InvalidPayload);
    }
    assert_eq!(server.delivered(), []);
}

#[tokio::test]
async fn a_stale_message_of_a_client_is_accepted_and_goes_to_nobody_and_a_list_says_which_is_stale() {
    let server = server();
    let client = server.client(user("alice"));
    client.subscribe("rising.a").await.unwrap();
    for (n, seq) in [(1, 5), (2, 4)] {
        client.send("rising.a", json!({ "id": 1, "n": n, "seq": seq })).await.unwrap();
    }
    let request = |n: u32, seq: u32| {
        let payload = json!({ "id": 1, "n": n, "seq": seq }).into();
        Ok(PublishRequest { topic: "rising.a".to_owned(), payload, key: None })
    };
    let answers = server.gates.publish_list(vec![request(3, 6), request(4, 6), request(5, 7)]).await;
    assert_eq!(answers.iter().map(|one| one.as_ref().unwrap().stale).collect::<Vec<_>>(), [false, true, false]);
    assert_eq!(delivered(&server), [1, 3, 5]);
}

#[tokio::test(start_paused = true)]
async fn a_version_without_a_retained_value_is_remembered_for_a_day() {
    let server = server();
    let stale = async || publish(&server, "rising.a", json!({ "id": 1, "seq": 7 })).await.stale;
    assert!(!stale().await);
    tokio::time::advance(Duration::from_secs(24 * 3600 - 1)).await;
    assert!(stale().await);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(!stale().await);
}

#[tokio::test]
async fn who_has_everything_by_the_history_gets_no_snapshot_and_who_has_not_gets_it() {
    let server = server();
    let first = publish(&server, "kept.a", json!({ "id": 1 })).await.position.unwrap();
    let second = publish(&server, "kept.a", json!({ "id": 2 })).await.position.unwrap();
    let whole = server.client(None).subscribe_since("kept.a", first.clone()).await.unwrap();
    assert_eq!((whole.snapshot, whole.past), (None, Some(second)));
    for _ in 0..5 {
        publish(&server, "kept.a", json!({ "id": 3 })).await;
    }
    let receipt = server.client(None).subscribe_since("kept.a", first).await.unwrap();
    assert_eq!(receipt.position.as_ref().unwrap().offset, 7);
    assert_eq!(values(receipt).len(), 3);
}

#[tokio::test]
async fn what_a_plugin_returns_stands_where_nothing_newer_was_published() {
    let state = [json!({ "id": "x", "seq": 5 }), json!({ "id": "y", "seq": 5 }), json!({ "id": "z", "seq": 5 })];
    let server = Server::declaring(CHANNELS).plugins(FakePlugins::providing(&state)).start();
    for (id, seq) in [("x", 4), ("y", 6)] {
        for topic in ["newest.a", "beside.a"] {
            publish(&server, topic, json!({ "id": id, "seq": seq })).await;
        }
    }
    let seqs = async |topic: &str| {
        let mut found = snapshot(&server, topic).await;
        found.sort_by(|a, b| a.0.cmp(&b.0));
        found.into_iter().map(|(key, payload)| (key, payload["seq"].as_u64().unwrap())).collect::<Vec<_>>()
    };
    let of = |seqs: [u64; 3]| ["x", "y", "z"].map(|id| format!("\"{id}\"")).into_iter().zip(seqs).collect::<Vec<_>>();
    assert_eq!(seqs("newest.a").await, of([5, 6, 5]), "by the version");
    assert_eq!(seqs("beside.a").await, of([4, 6, 5]), "what was published wins where there are no versions");
}

#[tokio::test]
async fn values_larger_than_an_ack_refuse_the_subscription() {
    let server = Server::declaring(CHANNELS).limits(|limits| limits.ack_bytes_max = 300).start();
    for id in 0..2 {
        publish(&server, "map.a", json!({ "id": id })).await;
    }
    assert_eq!(snapshot(&server, "map.a").await.len(), 2);
    publish(&server, "map.a", json!({ "id": 3 })).await;
    let client = server.client(None);
    let refusal = client.subscribe("map.a").await.unwrap_err();
    assert_eq!(refusal.code, Code::PayloadTooLarge);
    assert_eq!(refusal.details, Some(json!({ "bytes": 327, "bytes_max": 300 })));
    assert!(!client.holds("map.a") && !client.is_in_room("map.a"));
}

#[tokio::test]
async fn without_the_values_nothing_is_published_nobody_subscribes_and_nothing_is_taken_away() {
    let server = server();
    server.retained.set_away(true);
    assert_eq!(code(try_publish(&server, "map.a", json!({ "id": 1 })).await), Code::Unavailable);
    assert_eq!(code(server.client(None).subscribe("map.a").await), Code::Unavailable);
    assert_eq!(code(server.gates.remove_retained("map.a", None).await), Code::Unavailable);
    assert_eq!((server.delivered(), server.rooms.removed()), (vec![], vec![]));
    assert!(server.client(None).subscribe("plain").await.is_ok());
}

#[tokio::test]
async fn a_reload_that_stops_retaining_forgets_the_values() {
    let server = server();
    publish(&server, "one.a", json!(1)).await;
    publish(&server, "map.a", json!({ "id": 1 })).await;
    let without = CHANNELS.replace(", snapshot: { retain: latest, ttl: 60s }", "");
    server.reload(&without, FakePlugins::silent());
    assert_eq!(subscribe(&server, "one.a").await.snapshot, None);
    publish(&server, "one.a", json!(2)).await;
    server.reload(CHANNELS, FakePlugins::silent());
    assert_eq!(snapshot(&server, "one.a").await, []);
    assert_eq!(snapshot(&server, "map.a").await.len(), 1, "another channel keeps its own");
}

#[tokio::test]
async fn a_reload_that_finds_keys_or_versions_elsewhere_forgets_those_of_before() {
    let server = server();
    let new = json!({ "id": "x", "seq": 9, "rev": 1 });
    publish(&server, "rising.a", new.clone()).await;
    publish(&server, "map.a", new.clone()).await;
    assert!(publish(&server, "rising.a", new.clone()).await.stale);
    server.reload(
        &CHANNELS.replace("version: /seq }\n    inbound", "version: /rev }\n    inbound"),
        FakePlugins::silent(),
    );
    assert!(!publish(&server, "rising.a", new.clone()).await.stale);
    assert!(publish(&server, "rising.a", new.clone()).await.stale);
    assert_eq!(snapshot(&server, "map.a").await.len(), 1, "another channel keeps its own");
    server.reload(
        &CHANNELS.replace(
            "map.{id}: { scope: public, payload: true, delivery: { key: /id }",
            "map.{id}: { scope: public, payload: true, delivery: { key: /rev }",
        ),
        FakePlugins::silent(),
    );
    assert_eq!(snapshot(&server, "map.a").await, []);
}

#[tokio::test]
async fn a_bridge_rule_takes_a_value_away_and_publishes_nothing() {
    let rules = r#"
rules:
  - { on: device.moved, to: "map.{id}", params: { id: event.data.map }, payload: event.data.device }
  - { on: device.gone, to: "map.{id}", params: { id: event.data.map }, remove: event.data.device.id }
"#;
    let server = Server::declaring(CHANNELS).bridge(rules).start();
    let data = |id: Value| json!({ "map": "a", "device": { "id": id } });
    for id in [json!("x"), json!(7)] {
        server.bridge(&event("device.moved", data(id))).await;
    }
    server.bridge(&event("device.gone", data(json!(7)))).await;
    assert_eq!(server.rooms.removed(), [("map.a".to_owned(), "7".to_owned())]);
    assert_eq!(snapshot(&server, "map.a").await.len(), 1);
    assert_eq!(server.delivered().len(), 2);
    server.bridge(&event("device.gone", json!({ "map": "a" }))).await;
    let letters = server.dead_letters.list();
    assert!(letters[0].reason.starts_with("`remove`: ") && letters[0].rule.removes, "{letters:?}");
    server.bridge(&event("device.gone", json!({ "map": "a.b", "device": { "id": 1 } }))).await;
    assert_eq!(server.dead_letters.list().len(), 2);
}
