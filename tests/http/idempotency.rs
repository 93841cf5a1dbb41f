//! `Idempotency-Key` on `POST /v1/channels/{topic}/publish`

use serde_json::json;

use crate::{Answer, post, refusal, server};
use tidegate_testkit::Server;

async fn publish(server: &Server, body: &str, key: &str) -> Answer {
    let call = post("/v1/channels/news/publish").key("publish").header("idempotency-key", key);
    call.body(body.to_owned()).to(server).await
}

#[tokio::test]
async fn a_repeated_key_gives_the_first_answer_quoted_or_bare() {
    let server = server().start();
    for key in ["order-7", "\"order-7\"", " \"order-7\" "] {
        let answer = publish(&server, r#"{"title":"x"}"#, key).await;
        assert_eq!((answer.status.as_u16(), answer.json()), (202, json!({})), "{key}");
    }
    assert_eq!(server.delivered().len(), 1);
}

#[tokio::test]
async fn another_body_is_422() {
    let server = server().start();
    assert_eq!(publish(&server, r#"{"title":"x"}"#, "k").await.status, 202);
    let answer = publish(&server, r#"{"title":"y"}"#, "k").await;
    assert_eq!(answer.refused(), refusal(422, "idempotency_conflict"));
    assert_eq!(answer.json()["error"]["retry"], false);
}

#[tokio::test]
async fn a_key_that_is_none_is_400_and_nothing_is_published() {
    let server = server().start();
    for key in ["", "\"\"", "\"open", "a, b", "a b", &"k".repeat(256), &format!("\"{}\"", "k".repeat(256))] {
        let answer = publish(&server, r#"{"title":"x"}"#, key).await;
        assert_eq!(answer.refused(), refusal(400, "invalid_payload"), "{key}");
    }
    let call = post("/v1/channels/news/publish").key("publish").header("idempotency-key", "a");
    let twice = call.header("idempotency-key", "a").body(r#"{"title":"x"}"#).to(&server).await;
    assert_eq!(twice.refused(), refusal(400, "invalid_payload"));
    assert_eq!(server.delivered(), []);
    assert_eq!(publish(&server, r#"{"title":"x"}"#, &"k".repeat(255)).await.status, 202);
}

#[tokio::test]
async fn a_publish_whose_key_cannot_be_looked_up_is_503_and_publishes_nothing() {
    let server = server().start();
    server.idempotency_keys.set_away(true);
    let answer = publish(&server, r#"{"title":"x"}"#, "k").await;
    assert_eq!((answer.refused(), answer.header("retry-after")), (refusal(503, "unavailable"), "1"));
    assert_eq!(server.delivered(), []);
}
