//! `POST /v1/clients/{connection}/disconnect`, `POST /v1/clients/{connection}/unsubscribe`

use axum::body::BodyDataStream;
use futures_util::StreamExt as _;
use serde_json::json;

use crate::{Site, get, post, refusal, server};

async fn reads(site: &Site, topic: &str) -> BodyDataStream {
    let call = get(&format!("/v1/channels/{topic}/history")).header("accept", "text/event-stream");
    let mut body = site.answer(call).await.into_body().into_data_stream();
    body.next().await.unwrap().unwrap();
    body
}

async fn the_connection(site: &Site) -> String {
    let clients = get("/v1/clients").key("operate").of(site).await.json();
    clients["clients"][0]["connection"].as_str().unwrap().to_owned()
}

/// Everything that a client still gets, until its stream ends.
async fn rest(body: BodyDataStream) -> String {
    let bytes: Vec<_> = body.map(|chunk| chunk.unwrap()).collect().await;
    bytes.iter().map(|chunk| String::from_utf8_lossy(chunk)).collect()
}

#[tokio::test]
async fn a_client_that_is_disconnected_hears_it_and_is_gone() {
    let site = Site::of(&server().start());
    let reader = reads(&site, "feed.a").await;
    let connection = the_connection(&site).await;
    let path = format!("/v1/clients/{connection}/disconnect");
    let answer = post(&path).key("operate").body(r#"{"reason": "it floods"}"#).of(&site).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (202, json!({ "connection": connection })));
    assert!(rest(reader).await.contains(r#"{"type":"revoked","reason":"forbidden"}"#));
    assert_eq!(get("/v1/clients").key("operate").of(&site).await.json()["clients"], json!([]));
    let again = post(&path).key("operate").body(r#"{"reason": "it floods"}"#).of(&site).await;
    assert_eq!(again.refused(), refusal(404, "not_found"));
}

#[tokio::test]
async fn a_topic_is_taken_from_a_client_which_hears_it() {
    let site = Site::of(&server().start());
    let reader = reads(&site, "feed.a").await;
    let path = format!("/v1/clients/{}/unsubscribe", the_connection(&site).await);
    let body = |topic: &str| json!({ "topic": topic, "reason": "by mistake there" }).to_string();
    let other = post(&path).key("operate").body(body("feed.b")).of(&site).await;
    assert_eq!(other.refused(), refusal(409, "not_subscribed"));
    let answer = post(&path).key("operate").body(body("feed.a")).of(&site).await;
    assert_eq!(answer.status, 202);
    assert!(rest(reader).await.contains(r#""channel":"feed.a""#));
}

#[tokio::test]
async fn who_acts_says_why_and_may_operate() {
    let server = server().start();
    for what in ["disconnect", "unsubscribe"] {
        let path = format!("/v1/clients/none/{what}");
        let body = |reason: &str| match what {
            "disconnect" => json!({ "reason": reason }).to_string(),
            _ => json!({ "reason": reason, "topic": "news" }).to_string(),
        };
        assert_eq!(post(&path).key("revoke").body(body("x")).to(&server).await.refused(), refusal(403, "forbidden"));
        for wrong in [body(" "), body(&"x".repeat(1025)), "{}".to_owned(), "[\"x\"]".to_owned()] {
            let answer = post(&path).key("operate").body(wrong.clone()).to(&server).await;
            assert_eq!(answer.refused(), refusal(400, "invalid_payload"), "{wrong}");
        }
        assert_eq!(post(&path).key("operate").body(body("x")).to(&server).await.refused(), refusal(404, "not_found"));
    }
}
