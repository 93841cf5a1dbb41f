//! `GET /v1/bridge`

use serde_json::{Value, json};
use tidegate_testkit::{Server, event};

use crate::{CHANNELS, get, refusal, server};

// Of this test alone: the metrics are those of the process.
const TABLE: &str = "
rules:
  - { on: told.here, to: news, when: event.data.title != 'no' }
  - { on: told.away, revoke: 'chat.{room}', params: { room: event.data.room } }
";

#[tokio::test]
async fn each_rule_tells_what_became_of_its_events() {
    let server = Server::declaring(CHANNELS).bridge(TABLE).start();
    for title in [json!("a"), json!("b"), json!("no"), json!(7)] {
        server.bridge(&event("told.here", json!({ "title": title }))).await;
    }
    server.bridge(&event("told.away", json!({ "room": "a" }))).await;
    let bridge: Value = get("/v1/bridge").key("operate").to(&server).await.json();
    let expected = json!([
        { "on": "told.here", "to": "news", "does": "publish", "crossed": 2, "removed": 0, "revoked": 0, "skipped": 1, "dead": 1 },
        { "on": "told.away", "to": "chat.{room}", "does": "revoke", "crossed": 0, "removed": 0, "revoked": 1, "skipped": 0, "dead": 0 },
    ]);
    assert_eq!(bridge["rules"], expected);
}

#[tokio::test]
async fn a_source_that_was_not_read_yet_is_not_up() {
    let server = server().start();
    server.bus_sources.set_unread(&["redis:untold"]);
    let bridge: Value = get("/v1/bridge").key("operate").to(&server).await.json();
    let source =
        bridge["sources"].as_array().unwrap().iter().find(|source| source["source"] == "redis:untold").unwrap();
    assert_eq!(*source, json!({ "source": "redis:untold", "up": false, "events": 0 }));
    assert_eq!(get("/v1/bridge").key("events").to(&server).await.refused(), refusal(403, "forbidden"));
}
