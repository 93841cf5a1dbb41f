//! `GET /v1/channels`, `GET /v1/topics`, `GET /v1/topics/{topic}`, `GET /v1/clients`: what operators look at.

use std::sync::Arc;

use axum::body::BodyDataStream;
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tidegate_core::config::{ApiKey, ApiKeys, Permission, Secret};
use tidegate_testkit::{FakeProvider, Server, user};

use crate::{Site, get, post, refusal, server};

const DECLARED: &str = r##"
feature: fleet
channels:
  fleet.{id}:
    description: Where the lorries are.
    scope: { role: dispatcher }
    authorizer: members
    payload: { type: object, required: [at], properties: { at: { $ref: "#/$defs/n" } }, $defs: { n: { type: number } } }
    inbound: { payload: { type: object }, handler: answerer, rate: 5/s }
    presence: { members: 10 }
    snapshot: { retain: latest }
    delivery: { mode: latest, key: /id, version: /at, at_most: 2/s }
  news:
    scope: public
    payload: true
    history: { messages: 7, ttl: 1m }
"##;

/// A client of a site, for as long as it lives.
struct Reader(#[expect(dead_code, reason = "it is open while it lives")] BodyDataStream);

async fn reads(site: &Site, topic: &str, token: Option<&str>) -> Reader {
    let mut call = get(&format!("/v1/channels/{topic}/history")).header("accept", "text/event-stream");
    if let Some(token) = token {
        call = call.header("authorization", &format!("Bearer {token}"));
    }
    let response = site.answer(call).await;
    assert_eq!(response.status(), 200);
    let mut body = response.into_body().into_data_stream();
    body.next().await.unwrap().unwrap();
    Reader(body)
}

async fn look(site: &Site, path: &str) -> Value {
    let answer = get(path).key("operate").of(site).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.header("cache-control"), "no-store");
    answer.json()
}

/// The values of a key in a list.
fn each<'a>(list: &'a Value, key: &str) -> Vec<&'a str> {
    list.as_array().unwrap().iter().map(|entry| entry[key].as_str().unwrap()).collect()
}

fn knowing_two() -> Server {
    let provider = FakeProvider::knowing([("rita's", user("rita")), ("omar's", user("omar"))]);
    server().provider(Arc::new(provider)).start()
}

#[tokio::test]
async fn every_channel_is_described_as_it_is_declared() {
    let channels = look(&Site::of(&Server::declaring(DECLARED).start()), "/v1/channels").await["channels"].clone();
    assert_eq!(each(&channels, "channel"), ["fleet.{id}", "news"]);
    let expected = json!({
        "channel": "fleet.{id}", "feature": "fleet", "description": "Where the lorries are.",
        "scope": { "roles": ["dispatcher"] }, "authorizer": "members",
        "retain": { "keys": 10000, "bytes": 1 << 20, "ttl": channels[0]["retain"]["ttl"] },
        "schema": {
            "type": "object", "required": ["at"],
            "properties": { "at": { "type": "number" } }, "$defs": { "n": { "type": "number" } },
        },
        "inbound": { "payload": { "type": "object" } }, "handler": "answerer", "rate": "5/s",
        "presence": { "debounce": "3s", "members": 10 },
        "delivery": { "mode": "latest", "key": "/id", "version": "/at", "at_most": "2/s" },
        "manifest": "channels/test.yaml", "line": 4, "topics": 0, "subscriptions": 0,
    });
    assert_eq!(channels[0], expected);
    assert_eq!(channels[1]["history"], json!({ "messages": 7, "bytes": 1 << 20, "ttl": "1m" }));
}

#[tokio::test]
async fn channels_are_found_by_their_name_their_feature_and_their_description() {
    let site = Site::of(&Server::declaring(DECLARED).start());
    let found = async |search: &str| look(&site, &format!("/v1/channels?search={search}")).await["channels"].clone();
    assert_eq!(each(&found("new").await, "channel"), ["news"]);
    assert_eq!(each(&found("lorries").await, "channel"), ["fleet.{id}"]);
    assert_eq!(found("nothing").await, json!([]));
    let first = look(&site, "/v1/channels?limit=1").await;
    assert_eq!((each(&first["channels"], "channel"), &first["next"]), (vec!["fleet.{id}"], &json!("fleet.{id}")));
    let rest = look(&site, "/v1/channels?limit=1&after=fleet.%7Bid%7D").await;
    assert_eq!((each(&rest["channels"], "channel"), &rest["next"]), (vec!["news"], &json!(null)));
}

#[tokio::test]
async fn topics_with_subscribers_are_listed_page_by_page() {
    let server = server().start();
    let site = Site::of(&server);
    assert_eq!(look(&site, "/v1/topics").await, json!({ "topics": [] }));
    let mut readers = Vec::new();
    for topic in ["feed.c", "chat.a", "feed.a", "feed.b", "feed.b"] {
        readers.push(reads(&site, topic, None).await);
    }
    let first = look(&site, "/v1/topics?limit=2").await;
    assert_eq!(each(&first["topics"], "topic"), ["chat.a", "feed.a"]);
    let rest = look(&site, &format!("/v1/topics?limit=2&after={}", first["next"].as_str().unwrap())).await;
    assert_eq!(rest["topics"][0], json!({ "topic": "feed.b", "channel": "feed.{id}", "subscribers": 2 }));
    assert_eq!((each(&rest["topics"], "topic"), &rest["next"]), (vec!["feed.b", "feed.c"], &json!(null)));
    let of_channel = look(&site, "/v1/topics?channel=feed.%7Bid%7D&search=.a").await;
    assert_eq!(each(&of_channel["topics"], "topic"), ["feed.a"]);
    let channels = look(&site, "/v1/channels?search=feed").await["channels"].clone();
    assert_eq!((&channels[0]["topics"], &channels[0]["subscriptions"]), (&json!(3), &json!(4)));
    drop(readers);
    assert_eq!(look(&site, "/v1/topics").await, json!({ "topics": [] }));
}

#[tokio::test]
async fn a_topic_shows_its_subscribers_and_what_is_kept_of_it() {
    let server = knowing_two();
    let site = Site::of(&server);
    let _readers = [reads(&site, "feed.a", Some("rita's")).await, reads(&site, "feed.a", None).await];
    for n in 1..=5 {
        post("/v1/channels/feed.a/publish").key("publish").body(json!({ "n": n }).to_string()).of(&site).await;
    }
    let topic = look(&site, "/v1/topics/feed.a").await;
    assert_eq!((&topic["topic"], &topic["channel"]), (&json!("feed.a"), &json!("feed.{id}")));
    assert_eq!((&topic["subscribers_count"], &topic["history_entries"]), (&json!(2), &json!(3)));
    assert_eq!(topic["position"]["offset"], 5);
    let users: Vec<_> = topic["subscribers"].as_array().unwrap().iter().map(|one| one["user"].as_str()).collect();
    assert!(users.contains(&Some("rita")) && users.contains(&None), "{users:?}");
    let silent = look(&site, "/v1/topics/news").await;
    assert_eq!(silent, json!({ "topic": "news", "channel": "news", "subscribers": [], "subscribers_count": 0 }));
    let none = get("/v1/topics/nothing").key("operate").of(&site).await;
    assert_eq!(none.refused(), refusal(404, "unknown_channel"));
}

#[tokio::test]
async fn only_a_key_that_may_read_sees_the_payloads_of_retained_values() {
    let manifest = "
feature: test
channels:
  device.{id}:
    scope: public
    payload: { type: object }
    history: { messages: 3 }
    delivery: { key: /id }
    snapshot: { retain: latest }
";
    let server = Server::declaring(manifest).start();
    let both = ApiKey {
        name: "ops".to_owned(),
        key: Secret::from("key-ops".to_owned()),
        may: vec![Permission::Operate, Permission::Read, Permission::Publish],
    };
    let only =
        ApiKey { name: "page".to_owned(), key: Secret::from("key-page".to_owned()), may: vec![Permission::Operate] };
    let site = Site::with_keys(&server, ApiKeys(vec![both, only]));
    post("/v1/channels/device.1/publish").key("ops").body(r#"{"id": "a", "secret": 7}"#).of(&site).await;
    let seen = |answer: &Value| answer["retained"][0].clone();
    let topic = get("/v1/topics/device.1").key("page").of(&site).await.json();
    assert_eq!(seen(&topic)["key"], "a");
    assert_eq!((&seen(&topic)["payload"], &topic["retained_count"]), (&json!(null), &json!(1)));
    assert!(!topic.to_string().contains("secret"), "{topic}");
    let topic = get("/v1/topics/device.1").key("ops").of(&site).await.json();
    assert_eq!(seen(&topic)["payload"], json!({ "id": "a", "secret": 7 }));
}

#[tokio::test]
async fn clients_are_found_by_their_user_their_topic_and_their_connection() {
    let server = knowing_two();
    let site = Site::of(&server);
    let _readers = [
        reads(&site, "feed.a", Some("rita's")).await,
        reads(&site, "feed.b", Some("rita's")).await,
        reads(&site, "feed.a", Some("omar's")).await,
        reads(&site, "feed.a", None).await,
    ];
    let all = look(&site, "/v1/clients").await["clients"].clone();
    let mut ids = each(&all, "connection");
    assert_eq!(ids.len(), 4);
    assert!(ids.is_sorted());
    ids.dedup();
    assert_eq!(ids.len(), 4);
    let count =
        async |query: &str| look(&site, &format!("/v1/clients?{query}")).await["clients"].as_array().unwrap().len();
    assert_eq!(
        (count("user=rita").await, count("topic=feed.a").await, count("user=rita&topic=feed.a").await),
        (2, 3, 1)
    );
    assert_eq!(
        (count("user=nobody").await, count("topic=no%20topic").await, count("connection=none").await),
        (0, 0, 0)
    );
    let one = look(&site, &format!("/v1/clients?connection={}", ids[2])).await["clients"].clone();
    assert_eq!(one[0], all[2]);
    assert_eq!(count(&format!("connection={}&user=nobody", ids[2])).await, 0);
    let first = look(&site, "/v1/clients?limit=3").await;
    assert_eq!((each(&first["clients"], "connection"), &first["next"]), (ids[..3].to_vec(), &json!(ids[2])));
    assert_eq!(count(&format!("limit=3&after={}", ids[2])).await, 1);
}

#[tokio::test]
async fn a_client_tells_what_it_holds_and_how_it_does() {
    let server = knowing_two();
    let site = Site::of(&server);
    let _reader = reads(&site, "feed.a", Some("rita's")).await;
    let client = look(&site, "/v1/clients").await["clients"][0].clone();
    let expected = json!({
        "connection": client["connection"], "user": "rita", "transport": "stream", "since_ms": client["since_ms"],
        "lag_ms": 0.0, "outbound_bytes": 0, "topics": ["feed.a"], "topics_count": 1, "last_refusals": [],
    });
    assert_eq!(client, expected);
}

#[tokio::test]
async fn only_a_key_that_may_operate_looks_and_a_page_has_a_limit() {
    let server = server().start();
    for path in ["/v1/channels", "/v1/topics", "/v1/topics/news", "/v1/clients"] {
        assert_eq!(get(path).to(&server).await.refused(), refusal(401, "unauthenticated"), "{path}");
        assert_eq!(get(path).key("read").to(&server).await.refused(), refusal(403, "forbidden"), "{path}");
    }
    for path in ["/v1/channels", "/v1/topics", "/v1/clients"] {
        for query in ["limit=0", "limit=1001", "limit=x", "other=1"] {
            let answer = get(&format!("{path}?{query}")).key("operate").to(&server).await;
            assert_eq!(answer.refused(), refusal(400, "invalid_payload"), "{path}?{query}");
        }
    }
}
