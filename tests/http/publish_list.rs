//! `POST /v1/publish`

use serde_json::{Value, json};

use crate::{Answer, post, refusal, server};
use tidegate_testkit::Server;

async fn publish(server: &Server, list: &Value) -> Answer {
    post("/v1/publish").key("publish").body(list.to_string()).to(server).await
}

#[tokio::test]
async fn each_publication_of_a_list_is_answered_for_itself_in_the_same_order() {
    let server = server().start();
    let news = json!({ "topic": "news", "payload": { "title": "x" }, "idempotency_key": "k1" });
    let answer = publish(
        &server,
        &json!([
            news,
            { "topic": "news", "payload": { "title": 7 } },
            { "topic": "nothing", "payload": 1 },
            news,
            { "topic": "news", "payload": { "title": "y" }, "idempotency_key": "k1" },
            7,
            { "topic": "news" },
            { "topic": "news", "payload": {}, "idempotency_key": "" },
            { "topic": "news", "payload": {}, "tpyo": 1 },
            { "topic": "chat.a", "payload": {} },
        ]),
    )
    .await;
    assert_eq!(answer.status, 200);
    let answers = answer.json();
    let seen: Vec<&str> =
        answers.as_array().unwrap().iter().map(|one| one["error"]["code"].as_str().unwrap_or("ok")).collect();
    let (invalid, conflict) = ("invalid_payload", "idempotency_conflict");
    assert_eq!(seen, ["ok", invalid, "unknown_channel", "ok", conflict, invalid, invalid, invalid, invalid, "ok"]);
    assert_eq!((&answers[0], &answers[3]), (&json!({ "ok": true }), &json!({ "ok": true })));
    assert_eq!(answers[1]["ok"], false);
    assert_eq!(answers[1]["error"]["details"]["violations"][0]["path"], "/title");
    let topics: Vec<String> = server.delivered().into_iter().map(|(topic, _)| topic).collect();
    assert_eq!(topics, ["news", "chat.a"]);
}

#[tokio::test]
async fn a_payload_of_a_list_is_delivered_as_it_was_written() {
    let server = server().start();
    let body = r#"[{"topic":"news","payload":{ "title":  "x", "n": 1.50 }}]"#;
    assert_eq!(post("/v1/publish").key("publish").body(body).to(&server).await.status, 200);
    assert_eq!(server.rooms.delivered_texts()[0].1, r#"{ "title":  "x", "n": 1.50 }"#);
}

#[tokio::test]
async fn a_key_for_the_whole_list_is_400_because_each_publication_has_its_own() {
    let server = server().start();
    let body = r#"[{"topic":"news","payload":{"title":"x"}}]"#;
    let answer = post("/v1/publish").key("publish").header("idempotency-key", "k1").body(body).to(&server).await;
    assert_eq!(answer.refused(), refusal(400, "invalid_payload"));
    assert_eq!(server.delivered(), []);
}

#[tokio::test]
async fn what_is_no_list_is_400_and_publishes_nothing() {
    let server = server().start();
    for body in ["", "{}", "7", "[1", r#"{"topic":"news","payload":{"title":"x"}}"#] {
        let answer = post("/v1/publish").key("publish").body(body).to(&server).await;
        assert_eq!(answer.refused(), refusal(400, "invalid_payload"), "{body}");
    }
    assert_eq!(publish(&server, &json!([])).await.json(), json!([]));
}

#[tokio::test]
async fn a_list_beyond_either_limit_is_413_and_publishes_nothing() {
    let server =
        server().limits(|limits| (limits.publications_per_batch_max, limits.batch_bytes_max) = (2, 200)).start();
    let one = json!({ "topic": "news", "payload": { "title": "x" } });
    assert_eq!(publish(&server, &json!([one, one])).await.status, 200);
    let answer = publish(&server, &json!([one, one, one])).await;
    assert_eq!(answer.refused(), refusal(413, "payload_too_large"));
    assert_eq!(answer.details(), json!({ "publications": 3, "publications_max": 2 }));
    let answer = publish(&server, &json!([{ "topic": "news", "payload": { "title": "x".repeat(200) } }])).await;
    assert_eq!((answer.refused(), answer.details()), (refusal(413, "payload_too_large"), json!({ "bytes_max": 200 })));
    assert_eq!(server.delivered().len(), 2);
}

#[tokio::test]
async fn a_list_needs_a_key_that_may_publish_and_a_server_that_does_not_drain() {
    let server = server().start();
    let list = json!([{ "topic": "news", "payload": { "title": "x" } }]).to_string();
    assert_eq!(post("/v1/publish").body(list.clone()).to(&server).await.refused(), refusal(401, "unauthenticated"));
    let answer = post("/v1/publish").key("events").body(list.clone()).to(&server).await;
    assert_eq!(answer.refused(), refusal(403, "forbidden"));
    server.gates.drain();
    let answer = post("/v1/publish").key("publish").body(list).to(&server).await;
    assert_eq!(answer.refused(), refusal(503, "draining"));
    assert_eq!(server.delivered(), []);
}
