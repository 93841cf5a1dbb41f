//! `DELETE /v1/channels/{topic}/retained`, and publishes that are not newer than the last one of their key.

use serde_json::{Value, json};

use crate::{Answer, delete, get, post, refusal};
use tidegate_testkit::Server;

const CHANNELS: &str = r"
feature: test
channels:
  map.{id}:
    scope: public
    payload: { type: object }
    delivery: { key: /id, version: /seq }
    snapshot: { retain: latest }
  plain: { scope: public, payload: true }
";

fn started() -> Server {
    Server::declaring(CHANNELS).start()
}

async fn publish(server: &Server, id: Value, seq: u64) -> Answer {
    let payload = json!({ "id": id, "seq": seq }).to_string();
    post("/v1/channels/map.a/publish").key("publish").body(payload).to(server).await
}

async fn remove(server: &Server, path: &str) -> Answer {
    delete(&format!("/v1/channels/{path}")).key("publish").to(server).await
}

#[tokio::test]
async fn a_key_as_json_or_as_bare_text_is_taken_away_and_without_a_key_all_of_them() {
    let server = started();
    for id in [json!("d1"), json!(7), json!("7"), json!("a b")] {
        assert_eq!(publish(&server, id, 1).await.status.as_u16(), 202);
    }
    for (query, removed) in
        [("?key=d1", 1), ("?key=d1", 0), ("?key=7", 1), ("?key=%227%22", 1), ("?key=a+b", 1), ("", 0)]
    {
        let answer = remove(&server, &format!("map.a/retained{query}")).await;
        assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({ "removed": removed })), "{query}");
    }
    let keys: Vec<String> = server.rooms.removed().into_iter().map(|(_, key)| key).collect();
    assert_eq!(keys, [r#""d1""#, "7", r#""7""#, r#""a b""#]);
}

#[tokio::test]
async fn a_query_that_is_not_utf8_is_refused_by_every_resource_and_names_no_other_key() {
    let server = started();
    publish(&server, json!("\u{fffd}"), 1).await;
    for query in ["?key=%ff", "?key=d1%C3", "?%ff=d1"] {
        let answer = remove(&server, &format!("map.a/retained{query}")).await;
        assert_eq!(answer.refused(), refusal(400, "invalid_payload"), "{query}");
        assert!(answer.json()["error"]["message"].as_str().unwrap().contains("UTF-8"), "{query}");
    }
    let history = "/v1/channels/map.a/history?since=%ff";
    for call in [
        get(history).key("read"),
        get(history).key("read").header("accept", "text/event-stream"),
        get("/v1/dead-letters?limit=%ff").key("operate"),
    ] {
        assert_eq!(call.to(&server).await.refused(), refusal(400, "invalid_payload"));
    }
    let answer = remove(&server, "map.a/retained?key=%EF%BF%BD").await;
    assert_eq!(answer.json(), json!({ "removed": 1 }), "what a wrong byte would have been read as");
}

#[tokio::test]
async fn a_backend_that_may_publish_takes_away_what_the_channel_retains_and_nobody_else_does() {
    let server = started();
    assert_eq!(remove(&server, "plain/retained").await.refused(), refusal(409, "no_retained"));
    assert_eq!(remove(&server, "nowhere/retained").await.refused(), refusal(404, "unknown_channel"));
    assert_eq!(remove(&server, "map.a/retained?kye=d1").await.refused(), refusal(400, "invalid_payload"));
    assert_eq!(remove(&server, "map.%FF/retained").await.refused(), refusal(400, "invalid_payload"));
    let path = "/v1/channels/map.a/retained";
    assert_eq!(delete(path).to(&server).await.refused(), refusal(401, "unauthenticated"));
    assert_eq!(delete(path).key("read").to(&server).await.refused(), refusal(403, "forbidden"));
    server.retained.set_away(true);
    assert_eq!(remove(&server, "map.a/retained").await.refused(), refusal(503, "unavailable"));
    server.gates.drain();
    assert_eq!(remove(&server, "map.a/retained").await.refused(), refusal(503, "draining"));
}

#[tokio::test]
async fn a_publish_says_that_it_was_stale_and_one_without_a_version_is_refused() {
    let server = started();
    assert_eq!(publish(&server, json!("d1"), 2).await.json(), json!({}));
    let stale = publish(&server, json!("d1"), 2).await;
    assert_eq!((stale.status.as_u16(), stale.json()), (202, json!({ "stale": true })));
    let list = json!([
        { "topic": "map.a", "payload": { "id": "d1", "seq": 1 } },
        { "topic": "map.a", "payload": { "id": "d1", "seq": 3 } },
        { "topic": "map.a", "payload": { "id": "d1" } },
    ]);
    let answer = post("/v1/publish").key("publish").body(list.to_string()).to(&server).await;
    let answers = answer.json();
    assert_eq!((&answers[0], &answers[1]), (&json!({ "ok": true, "stale": true }), &json!({ "ok": true })));
    assert_eq!(answers[2]["error"]["code"], "invalid_payload");
    let without = post("/v1/channels/map.a/publish").key("publish").body(r#"{"id":"d1"}"#).to(&server).await;
    assert_eq!(without.refused(), refusal(422, "invalid_payload"));
    assert_eq!(without.details()["violations"][0]["path"], "/seq");
    assert_eq!(server.delivered().len(), 2);
}

#[tokio::test]
async fn an_idempotency_key_gives_a_stale_answer_again() {
    let server = started();
    publish(&server, json!("d1"), 2).await;
    for _ in 0..2 {
        let call = post("/v1/channels/map.a/publish").key("publish").header("idempotency-key", "k1");
        let answer = call.body(r#"{"id":"d1","seq":1}"#).to(&server).await;
        assert_eq!((answer.status.as_u16(), answer.json()), (202, json!({ "stale": true })));
    }
}
