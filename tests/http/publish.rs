//! `POST /v1/channels/{topic}/publish`

use std::time::Duration;

use serde_json::json;

use crate::{Answer, CHANNELS, post, refusal, server};
use tidegate_testkit::Server;

async fn publish(server: &Server, topic: &str, body: &str) -> Answer {
    post(&format!("/v1/channels/{topic}/publish")).key("publish").body(body.to_owned()).to(server).await
}

#[tokio::test]
async fn a_payload_that_meets_the_schema_is_accepted_and_delivered_as_it_was_written() {
    let server = server().start();
    let answer = publish(&server, "news", " { \"title\":  \"x\" }\n").await;
    assert_eq!((answer.status.as_u16(), answer.json()), (202, json!({})));
    let publications = server.rooms.publications();
    assert_eq!((publications[0].topic.as_str(), publications[0].payload.as_str()), ("news", "{ \"title\":  \"x\" }"));
    assert_eq!((publications.len(), &publications[0].except), (1, &None));
}

#[tokio::test]
async fn the_topic_in_the_path_is_percent_decoded() {
    let server = server().start();
    assert_eq!(publish(&server, "chat.caf%C3%A9%40home%2F1", "{}").await.status, 202);
    assert_eq!(server.delivered()[0].0, "chat.café@home/1");
    assert_eq!(publish(&server, "chat.%FF", "{}").await.refused(), refusal(400, "invalid_payload"));
}

#[tokio::test]
async fn what_is_not_json_is_400() {
    let server = server().start();
    for body in ["", "{", "title=x", "{} {}", "NaN", "{'a':1}"] {
        assert_eq!(publish(&server, "news", body).await.refused(), refusal(400, "invalid_payload"), "{body}");
    }
    let answer = post("/v1/channels/news/publish").key("publish").body(vec![b'"', 0xff, b'"']).to(&server).await;
    assert_eq!(answer.refused(), refusal(400, "invalid_payload"));
    assert_eq!(server.delivered(), []);
}

#[tokio::test]
async fn an_undeclared_topic_is_404() {
    let server = server().start();
    for topic in ["nothing", "news.more", "chat", "chat.%20", "chat.a.b", "subscribe"] {
        assert_eq!(publish(&server, topic, "{}").await.refused(), refusal(404, "unknown_channel"), "{topic}");
    }
}

#[tokio::test]
async fn a_payload_that_fails_the_schema_is_422_with_every_place() {
    let server = server().start();
    let answer = publish(&server, "news", r#"{"title":7}"#).await;
    assert_eq!(answer.refused(), refusal(422, "invalid_payload"));
    assert_eq!(answer.details()["violations"][0]["path"], "/title");
    assert_eq!(server.delivered(), []);
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_413_with_the_bound_whether_or_not_it_says_its_length() {
    let server = server().limits(|limits| limits.payload_bytes_max = 15).start();
    assert_eq!(publish(&server, "news", r#"{"title":"123"}"#).await.status, 202, "15 bytes are within");
    let beyond = r#"{"title":"1234"}"#;
    let answer = publish(&server, "news", beyond).await;
    assert_eq!(answer.refused(), refusal(413, "payload_too_large"));
    assert_eq!(answer.details()["bytes_max"], 15);

    let chunks = beyond.chars().map(|c| Ok::<_, std::io::Error>(c.to_string())).collect::<Vec<_>>();
    let chunked = axum::body::Body::from_stream(futures_util::stream::iter(chunks));
    let answer = post("/v1/channels/news/publish").key("publish").body(chunked).to(&server).await;
    assert_eq!(answer.refused(), refusal(413, "payload_too_large"));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_arrive_in_time_is_408() {
    let server = server().limits(|limits| limits.body_timeout = Duration::from_secs(3)).start();
    let stalled = axum::body::Body::from_stream(futures_util::stream::pending::<Result<String, std::io::Error>>());
    let answer = post("/v1/channels/news/publish").key("publish").body(stalled).to(&server).await;
    assert_eq!(answer.refused(), refusal(408, "request_timeout"));
}

#[tokio::test]
async fn a_body_that_breaks_off_is_400() {
    let server = server().start();
    let broken = axum::body::Body::from_stream(futures_util::stream::iter([
        Ok("{".to_owned()),
        Err(std::io::Error::other("the line went dead")),
    ]));
    let answer = post("/v1/channels/news/publish").key("publish").body(broken).to(&server).await;
    assert_eq!(answer.refused(), refusal(400, "invalid_payload"));
    assert!(!answer.text.contains("dead"));
}

#[tokio::test]
async fn a_draining_server_is_503_and_says_when_to_come_back() {
    let server = Server::declaring(CHANNELS).start();
    server.gates.drain();
    let answer = publish(&server, "news", r#"{"title":"x"}"#).await;
    assert_eq!(answer.refused(), refusal(503, "draining"));
    assert_eq!((answer.header("retry-after"), &answer.json()["error"]["retry"]), ("1", &json!(true)));
}

#[tokio::test]
async fn a_publish_that_the_broker_does_not_take_is_503_and_says_that_it_was_delivered_on_this_node() {
    let server = server().start();
    server.broker.set_away(true);
    let answer = post("/v1/channels/news/publish").key("publish").body(r#"{"title":"x"}"#).to(&server).await;
    assert_eq!(answer.refused(), refusal(503, "unavailable"));
    let error = &answer.json()["error"];
    assert_eq!(error["retry"], true);
    assert!(error["message"].as_str().unwrap().starts_with("delivered on this node only"), "{error}");
    assert_eq!(server.delivered().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_publish_over_the_budget_of_its_team_is_429_may_be_tried_again_at_once_and_leaves_its_key_free() {
    let server = server().teams("growth: { features: [test], publications: 1/s }").start();
    let with_key = |server| {
        let call = post("/v1/channels/news/publish").key("publish").header("idempotency-key", "\"k1\"");
        async move { call.body(r#"{"title":"x"}"#).to(server).await }
    };
    assert_eq!(publish(&server, "news", r#"{"title":"x"}"#).await.status, 202);
    let answer = with_key(&server).await;
    assert_eq!(answer.refused(), refusal(429, "over_budget"));
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(answer.json()["error"]["retry"], true);
    let list = r#"[{"topic":"news","payload":{"title":"x"}}]"#;
    let answer = post("/v1/publish").key("publish").body(list).to(&server).await;
    assert_eq!(answer.json()[0]["error"]["code"], "over_budget");
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(with_key(&server).await.status, 202);
    assert_eq!(server.delivered().len(), 2);
}
