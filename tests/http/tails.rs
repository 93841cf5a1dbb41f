//! `/v1/tails` and `/v1/overview`: what a dashboard adds to the resources of operators.

use serde_json::json;

use crate::{Call, Site, delete, get, post, refusal, server};

fn begin(body: &str) -> Call {
    post("/v1/tails").key("operate").body(body.to_owned())
}

#[tokio::test]
async fn a_tail_begins_with_a_channel_or_a_topic_and_ends_once() {
    let site = Site::with_live(&server().start());
    for body in [r#"{ "channel": "chat.{room}" }"#, r#"{ "topic": "chat.lobby", "payloads": false }"#] {
        let begun = begin(body).of(&site).await;
        assert_eq!(begun.status, 201, "{}", begun.text);
        let tail = begun.json()["tail"].as_str().unwrap().to_owned();
        assert_eq!(begun.json()["topic"], json!(format!("tail.{tail}")));
        let end = async || delete(&format!("/v1/tails/{tail}")).key("operate").of(&site).await;
        assert_eq!(end().await.status, 204);
        assert_eq!(end().await.refused(), refusal(404, "not_found"));
    }
}

#[tokio::test]
async fn what_is_not_declared_cannot_be_followed_and_payloads_are_for_keys_that_may_read() {
    let site = Site::with_live(&server().start());
    for body in [r#"{ "channel": "chat.lobby" }"#, r#"{ "topic": "nobody.here" }"#, r#"{ "topic": "a..b" }"#] {
        assert_eq!(begin(body).of(&site).await.refused(), refusal(404, "unknown_channel"), "{body}");
    }
    for body in ["{}", "[]", r#"{ "channel": "news", "topic": "news" }"#, r#"{ "channel": "news", "x": 1 }"#] {
        assert_eq!(begin(body).of(&site).await.refused(), refusal(400, "invalid_payload"), "{body}");
    }
    let payloads = begin(r#"{ "channel": "news", "payloads": true }"#).of(&site).await;
    assert_eq!(payloads.refused(), refusal(403, "forbidden"));
}

#[tokio::test]
async fn as_many_tails_are_open_as_may_be() {
    let site = Site::with_live(&server().start());
    for _ in 0..20 {
        assert_eq!(begin(r#"{ "channel": "news" }"#).of(&site).await.status, 201);
    }
    assert_eq!(begin(r#"{ "channel": "news" }"#).of(&site).await.refused(), refusal(503, "unavailable"));
}

#[tokio::test]
async fn without_a_dashboard_there_are_no_tails_and_there_is_no_overview() {
    let server = server().start();
    assert_eq!(begin(r#"{ "channel": "news" }"#).to(&server).await.refused(), refusal(404, "not_found"));
    assert_eq!(delete("/v1/tails/x").key("operate").to(&server).await.refused(), refusal(404, "not_found"));
    assert_eq!(get("/v1/overview").key("operate").to(&server).await.refused(), refusal(404, "not_found"));
}
