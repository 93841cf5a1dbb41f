//! Publishes with an idempotency key, and lists of publishes: once for each key, whoever repeats it and whenever.

use std::time::Duration;

use serde_json::json;
use tidegate_core::flow::{PublishReceipt, PublishRequest};
use tidegate_core::protocol::{Code, IdempotencyKey, JsonDigest, Payload, Refusal};
use tokio::time::{Instant, advance};

use tidegate_testkit::{CHANNELS, Server, code};

fn request(topic: &str, payload: &str, key: &str) -> PublishRequest {
    let key = (!key.is_empty()).then(|| IdempotencyKey::parse(key).unwrap());
    PublishRequest { topic: topic.to_owned(), payload: Payload::read(payload.to_owned()).unwrap(), key }
}

async fn publish(server: &Server, payload: &str, key: &str) -> Result<PublishReceipt, Refusal> {
    server.gates.publish_for_backend(request("news", payload, key)).await
}

fn digest(payload: &str) -> JsonDigest {
    JsonDigest::of(Payload::read(payload.to_owned()).unwrap().as_raw())
}

const NEWS: &str = r#"{"title":"x"}"#;

#[tokio::test]
async fn the_same_key_gives_the_first_answer_and_publishes_nothing() {
    let server = Server::declaring(CHANNELS).start();
    let first = publish(&server, NEWS, "k1").await.unwrap();
    assert_eq!(publish(&server, NEWS, "k1").await, Ok(first));
    assert_eq!(server.delivered(), [("news".to_owned(), json!({ "title": "x" }))]);
    publish(&server, NEWS, "k2").await.unwrap();
    publish(&server, NEWS, "").await.unwrap();
    assert_eq!(server.delivered().len(), 3, "another key and no key are publishes of their own");
}

#[tokio::test]
async fn a_key_belongs_to_its_topic() {
    let server = Server::declaring(CHANNELS).start();
    for topic in ["chat.a", "chat.b"] {
        server.gates.publish_for_backend(request(topic, r#"{"text":"x"}"#, "k1")).await.unwrap();
    }
    assert_eq!(server.delivered().len(), 2);
}

#[tokio::test]
async fn another_body_with_the_same_key_is_a_conflict_and_the_same_value_in_another_form_is_not() {
    let server = Server::declaring(CHANNELS).start();
    publish(&server, r#"{"title":"x","n":1}"#, "k1").await.unwrap();
    publish(&server, "{ \"n\": 1.0,\n \"title\": \"\\u0078\" }", "k1").await.unwrap();
    assert_eq!(code(publish(&server, r#"{"title":"x","n":2}"#, "k1").await), Code::IdempotencyConflict);
    assert_eq!(server.delivered().len(), 1);
}

#[tokio::test]
async fn a_publish_that_is_refused_leaves_its_key_free() {
    let server = Server::declaring(CHANNELS).start();
    assert_eq!(code(publish(&server, r#"{"title":7}"#, "k1").await), Code::InvalidPayload);
    publish(&server, NEWS, "k1").await.unwrap();
    server.broker.set_away(true);
    assert_eq!(code(publish(&server, NEWS, "k2").await), Code::Unavailable);
    server.broker.set_away(false);
    publish(&server, NEWS, "k2").await.unwrap();
    let undeclared = server.gates.publish_for_backend(request("nothing", "1", "k3")).await;
    assert_eq!((code(undeclared), server.idempotency_keys.taken()), (Code::UnknownChannel, 2));
}

#[tokio::test]
async fn a_repeated_publish_is_answered_even_if_a_reload_would_refuse_it_now() {
    let server = Server::declaring(CHANNELS).start();
    publish(&server, NEWS, "k1").await.unwrap();
    let other = "feature: test\nchannels:\n  news: { scope: public, payload: { type: integer } }\n";
    server.reload(other, tidegate_testkit::FakePlugins::silent());
    publish(&server, NEWS, "k1").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_publish_waits_for_the_first_one_that_is_under_way() {
    let server = Server::declaring(CHANNELS).start();
    let claim = server.idempotency_keys.claim_elsewhere("news", "k1", &digest(NEWS)).await;
    let (gates, keys) = (server.gates.clone(), server.idempotency_keys.clone());
    let waiting = tokio::spawn(async move { gates.publish_for_backend(request("news", NEWS, "k1")).await });
    advance(Duration::from_secs(9)).await;
    assert!(!waiting.is_finished());
    tidegate_core::flow::ports::IdempotencyKeys::answer(&*keys, &claim, "{}").await;
    assert_eq!(waiting.await.unwrap(), Ok(PublishReceipt::default()));
    assert_eq!(server.delivered(), [], "the first one published it");
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_first_one_that_is_refused_is_the_first() {
    let server = Server::declaring(CHANNELS).start();
    let claim = server.idempotency_keys.claim_elsewhere("news", "k1", &digest(NEWS)).await;
    let (gates, keys) = (server.gates.clone(), server.idempotency_keys.clone());
    let waiting = tokio::spawn(async move { gates.publish_for_backend(request("news", NEWS, "k1")).await });
    advance(Duration::from_secs(1)).await;
    tidegate_core::flow::ports::IdempotencyKeys::release(&*keys, &claim).await;
    waiting.await.unwrap().unwrap();
    assert_eq!(server.delivered().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_waits_longer_than_10_s_hears_unavailable_and_another_body_does_not_wait() {
    let server = Server::declaring(CHANNELS).start();
    server.idempotency_keys.claim_elsewhere("news", "k1", &digest(NEWS)).await;
    let began = Instant::now();
    assert_eq!(code(publish(&server, r#"{"title":"y"}"#, "k1").await), Code::IdempotencyConflict);
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(code(publish(&server, NEWS, "k1").await), Code::Unavailable);
    let waited = began.elapsed().as_secs_f64();
    assert!((10.0..10.5).contains(&waited), "{waited}");
}

#[tokio::test]
async fn without_the_keys_nothing_is_published_with_a_key_and_everything_without() {
    let server = Server::declaring(CHANNELS).start();
    server.idempotency_keys.set_away(true);
    let refusal = publish(&server, NEWS, "k1").await.unwrap_err();
    assert_eq!(refusal.code, Code::Unavailable);
    assert!(refusal.message.starts_with("nothing was published"), "{}", refusal.message);
    assert_eq!(server.delivered(), []);
    publish(&server, NEWS, "").await.unwrap();
}

#[tokio::test]
async fn a_list_is_published_in_its_order_and_answered_one_by_one() {
    let server = Server::declaring(CHANNELS).start();
    let answers = server
        .gates
        .publish_list(vec![
            Ok(request("chat.a", r#"{"text":"1"}"#, "k1")),
            Ok(request("chat.a", r#"{"text":7}"#, "")),
            Err(Code::InvalidPayload.into()),
            Ok(request("chat.a", r#"{"text":"1"}"#, "k1")),
            Ok(request("chat.a", r#"{"text":"2"}"#, "k1")),
            Ok(request("nothing", "{}", "")),
            Ok(request("chat.a", r#"{"text":"3"}"#, "k3")),
        ])
        .await;
    let codes: Vec<Option<Code>> = answers.into_iter().map(|answer| answer.err().map(|error| error.code)).collect();
    use Code::{IdempotencyConflict, InvalidPayload, UnknownChannel};
    let refused = [InvalidPayload, InvalidPayload, IdempotencyConflict, UnknownChannel].map(Some);
    assert_eq!(codes, [None, refused[0], refused[1], None, refused[2], refused[3], None]);
    let texts: Vec<_> = server.delivered().into_iter().map(|(_, payload)| payload["text"].clone()).collect();
    assert_eq!(texts, ["1", "3"]);
}

#[tokio::test]
async fn a_draining_server_publishes_nothing_and_takes_no_key() {
    let server = Server::declaring(CHANNELS).start();
    server.gates.drain();
    assert_eq!(code(publish(&server, NEWS, "k1").await), Code::Draining);
    assert_eq!(server.idempotency_keys.taken(), 0);
}
