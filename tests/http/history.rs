//! `GET /v1/channels/{topic}/history`

use std::sync::Arc;

use axum::http::Method;
use serde_json::{Value, json};
use tidegate_core::protocol::User;

use crate::{Answer, call, get, post, refusal, server};
use tidegate_testkit::{FakeProvider, Server, user};

fn started() -> Server {
    let editor = User::new("erin", vec!["editor".to_owned()], None);
    let provider = FakeProvider::knowing([("reader", user("rita")), ("editor", editor)]);
    server().provider(Arc::new(provider)).start()
}

async fn publish(server: &Server, topic: &str, number: u32) -> Value {
    let body = json!({ "n": number }).to_string();
    let answer = post(&format!("/v1/channels/{topic}/publish")).key("publish").body(body).to(server).await;
    assert_eq!(answer.status, 202);
    answer.json()["position"].clone()
}

async fn history(server: &Server, topic_and_query: &str, token: &str) -> Answer {
    let (topic, query) = topic_and_query.split_once('?').unwrap_or((topic_and_query, ""));
    let path = format!("/v1/channels/{topic}/history?{query}");
    get(&path).header("authorization", &format!("Bearer {token}")).to(server).await
}

fn numbers(answer: &Answer) -> Vec<u64> {
    let answer = answer.json();
    let publications = answer["publications"].as_array().unwrap().iter();
    publications.map(|publication| publication["payload"]["n"].as_u64().unwrap()).collect()
}

fn since(position: &Value) -> String {
    format!("since={}:{}", position["epoch"].as_str().unwrap(), position["offset"])
}

#[tokio::test]
async fn a_publish_says_its_position_and_the_history_has_it() {
    let server = started();
    let first = publish(&server, "feed.a", 1).await;
    let second = publish(&server, "feed.a", 2).await;
    assert_eq!((&first["offset"], &second["offset"]), (&json!(1), &json!(2)));
    let answer = history(&server, "feed.a", "reader").await;
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(
        answer.json(),
        json!({
            "recovered": true,
            "publications": [{ "payload": { "n": 1 }, "meta": first }, { "payload": { "n": 2 }, "meta": second }],
            "position": second,
            "more": false,
        })
    );
    assert_eq!(numbers(&history(&server, "feed.a?limit=1", "reader").await), [2], "the newest");
    let other = history(&server, "feed.b", "key-read").await.json();
    assert_eq!((&other["publications"], &other["position"]["offset"]), (&json!([]), &json!(0)));
}

#[tokio::test]
async fn what_was_missed_is_read_page_by_page_from_the_last_position() {
    let server = started();
    let mut position = publish(&server, "feed.a", 1).await;
    publish(&server, "feed.a", 2).await;
    publish(&server, "feed.a", 3).await;
    let mut found = Vec::new();
    for more in [true, false, false] {
        let answer = history(&server, &format!("feed.a?limit=1&{}", since(&position)), "reader").await;
        found.extend(numbers(&answer));
        assert_eq!(answer.json()["more"], more);
        position = answer.json()["position"].clone();
    }
    assert_eq!(found, [2, 3]);
}

#[tokio::test]
async fn what_cannot_be_had_is_told_with_the_reason_and_no_part_of_it() {
    let server = started();
    let first = publish(&server, "feed.a", 1).await;
    for number in 2..=5 {
        publish(&server, "feed.a", number).await;
    }
    let answer = history(&server, &format!("feed.a?{}", since(&first)), "reader").await.json();
    assert_eq!((&answer["recovered"], &answer["reason"]), (&json!(false), &json!("too_many")));
    assert_eq!((&answer["publications"], &answer["position"]["offset"]), (&json!([]), &json!(5)));
    let answer = history(&server, "feed.a?since=other:1", "reader").await.json();
    assert_eq!(answer["reason"], "epoch_changed");
}

#[tokio::test]
async fn a_client_reads_what_it_may_subscribe_to_and_a_key_may_read_everything() {
    let server = started();
    assert_eq!(history(&server, "drafts.a", "reader").await.refused(), refusal(403, "forbidden"));
    assert_eq!(history(&server, "drafts.a", "editor").await.status, 200);
    assert_eq!(history(&server, "drafts.a", "key-read").await.status, 200);
    assert_eq!(history(&server, "drafts.a", "key-publish").await.refused(), refusal(403, "forbidden"));
    assert_eq!(history(&server, "drafts.a", "guess").await.refused(), refusal(401, "unauthenticated"));
    let anonymous = get("/v1/channels/drafts.a/history").to(&server).await;
    assert_eq!(anonymous.refused(), refusal(401, "unauthenticated"));
    assert_eq!(get("/v1/channels/feed.a/history").to(&server).await.status, 200, "a public channel");
}

#[tokio::test]
async fn a_channel_without_history_is_409_and_an_undeclared_one_404() {
    let server = started();
    for token in ["reader", "key-read"] {
        assert_eq!(history(&server, "news", token).await.refused(), refusal(409, "no_history"), "{token}");
        assert_eq!(history(&server, "nothing", token).await.refused(), refusal(404, "unknown_channel"), "{token}");
    }
}

#[tokio::test]
async fn a_since_or_a_limit_that_is_none_is_400() {
    let server = started();
    for query in ["since=", "since=7", "since=a:x", "since=a:-1", "limit=0", "limit=-1", "limit=many", "from=1"] {
        let answer = history(&server, &format!("feed.a?{query}"), "reader").await;
        assert_eq!(answer.refused(), refusal(400, "invalid_payload"), "{query}");
    }
}

#[tokio::test]
async fn a_page_of_another_origin_reads_nothing_unless_it_is_listed() {
    let server = server().auth(|auth| auth.origins = vec!["https://app.example".to_owned()]).start();
    let of = async |origin: &str| {
        let call = get("/v1/channels/feed.a/history").header("host", "here.example").header("origin", origin);
        call.to(&server).await
    };
    assert_eq!(of("https://other.example").await.refused(), refusal(403, "forbidden"));
    let answer = of("https://app.example").await;
    assert_eq!((answer.status.as_u16(), answer.header("access-control-allow-origin")), (200, "https://app.example"));
}

#[tokio::test]
async fn a_listed_page_is_let_in_with_a_token_whose_browser_asks_first() {
    let server = server().auth(|auth| auth.origins = vec!["https://app.example".to_owned()]).start();
    for resource in ["history", "presence", "occupancy"] {
        let asked = call(Method::OPTIONS, &format!("/v1/channels/feed.a/{resource}"))
            .header("origin", "https://app.example")
            .header("access-control-request-method", "GET")
            .header("access-control-request-headers", "authorization");
        let answer = asked.to(&server).await;
        assert_eq!(answer.status, 200, "{resource}");
        assert_eq!(answer.header("access-control-allow-origin"), "https://app.example");
        assert_eq!(answer.header("access-control-allow-headers"), "authorization");
        let other = post(&format!("/v1/channels/feed.a/{resource}")).to(&server).await;
        assert_eq!(other.refused(), refusal(405, "method_not_allowed"));
    }
}

#[tokio::test]
async fn histories_that_cannot_be_reached_are_503_and_so_is_a_publish() {
    let server = started();
    server.history.set_away(true);
    assert_eq!(history(&server, "feed.a", "key-read").await.refused(), refusal(503, "unavailable"));
    let answer = post("/v1/channels/feed.a/publish").key("publish").body("{}").to(&server).await;
    assert_eq!(answer.refused(), refusal(503, "unavailable"));
    assert_eq!(server.delivered(), [], "without a position nothing is delivered");
}
