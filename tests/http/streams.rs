//! `GET /v1/channels/{topic}/history` with `Accept: text/event-stream`

use std::time::Duration;

use axum::body::BodyDataStream;
use axum::http::Method;
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tidegate_core::protocol::User;
use tokio::time::{Instant, timeout};

use crate::{Call, call, get, post, refusal, server};
use tidegate_testkit::{FakeProvider, Server, ServerBuilder, user};

fn with_users() -> ServerBuilder {
    let editor = User::new("erin", vec!["editor".to_owned()], None);
    let provider = FakeProvider::knowing([("reader", user("rita")), ("editor", editor)]);
    server().provider(std::sync::Arc::new(provider))
}

fn stream(topic_and_query: &str, token: &str) -> Call {
    let (topic, query) = topic_and_query.split_once('?').unwrap_or((topic_and_query, ""));
    let call = get(&format!("/v1/channels/{topic}/history?{query}")).header("accept", "text/event-stream");
    call.header("authorization", &format!("Bearer {token}"))
}

async fn publish(server: &Server, topic: &str, number: u32) -> String {
    let body = json!({ "n": number }).to_string();
    let answer = post(&format!("/v1/channels/{topic}/publish")).key("publish").body(body).to(server).await.json();
    format!("{}:{}", answer["position"]["epoch"].as_str().unwrap(), answer["position"]["offset"])
}

/// One event of a stream.
#[derive(Debug, Default)]
struct Event {
    id: Option<String>,
    name: String,
    data: Value,
    retry: Option<u64>,
}

impl Event {
    fn parse(block: &str) -> Self {
        let mut event = Self::default();
        for line in block.lines() {
            let (field, value) = line.split_once(": ").unwrap();
            match field {
                "id" => event.id = Some(value.to_owned()),
                "event" => event.name = value.to_owned(),
                "data" => event.data = serde_json::from_str(value).unwrap(),
                "retry" => event.retry = Some(value.parse().unwrap()),
                _ => panic!("{line}"),
            }
        }
        event
    }

    fn kind(&self) -> &str {
        self.data["type"].as_str().unwrap_or_default()
    }
}

/// The events of a text that begins with a comment.
fn events(text: &str) -> Vec<Event> {
    let text = text.strip_prefix(": tidegate\n\n").unwrap();
    text.split_terminator("\n\n").filter(|block| !block.starts_with(':')).map(Event::parse).collect()
}

/// What a stream begins with.
async fn beginning(body: &mut BodyDataStream) -> Vec<Event> {
    let mut text = String::new();
    let read = async {
        while !text.contains(r#""type":"subscribed""#) {
            text.push_str(std::str::from_utf8(&body.next().await.unwrap().unwrap()).unwrap());
        }
    };
    timeout(Duration::from_secs(20), read).await.unwrap();
    events(&text)
}

async fn opened(call: Call, server: &Server) -> Vec<Event> {
    let response = call.response(server).await;
    assert_eq!(
        (response.status().as_u16(), &response.headers()["content-type"]),
        (200, &"text/event-stream".parse().unwrap())
    );
    beginning(&mut response.into_body().into_data_stream()).await
}

#[tokio::test]
async fn a_stream_may_not_be_kept_changed_or_held_back_on_its_way() {
    let server = with_users().start();
    let response = stream("news", "reader").response(&server).await;
    let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("cache-control"), "no-store, no-transform");
    assert_eq!(header("x-accel-buffering"), "no");
    assert!(response.headers().get("content-length").is_none());
    let first = response.into_body().into_data_stream().next().await.unwrap().unwrap();
    assert!(first.starts_with(b":") && first.len() < 512);
}

#[tokio::test]
async fn a_client_that_brings_its_last_id_gets_what_it_missed_and_then_the_position_of_what_is_live() {
    let server = with_users().start();
    let first = publish(&server, "feed.a", 1).await;
    let second = publish(&server, "feed.a", 2).await;
    let third = publish(&server, "feed.a", 3).await;
    let by_header = stream("feed.a", "reader").header("last-event-id", &first);
    let by_query = stream(&format!("feed.a?since={first}"), "reader");
    let newer = stream("feed.a?since=other:1", "key-read").header("last-event-id", &first);
    for call in [by_header, by_query, newer] {
        let events = opened(call, &server).await;
        let [missed @ .., last] = events.as_slice() else { panic!("events") };
        let ids: Vec<_> = missed.iter().map(|event| event.id.clone().unwrap()).collect();
        assert_eq!(ids, [second.clone(), third.clone()]);
        assert!(missed.iter().all(|event| event.name == "feed.a"));
        assert_eq!(missed[0].data["payload"], json!({ "n": 2 }));
        assert_eq!(missed[0].data["meta"]["offset"], 2);
        assert_eq!((last.kind(), last.id.as_ref()), ("subscribed", Some(&third)));
        assert!(missed[0].retry.is_some(), "when a client is back that loses the stream");
    }
}

#[tokio::test]
async fn a_client_that_begins_hears_where_live_publications_follow() {
    let server = with_users().start();
    let position = publish(&server, "feed.a", 1).await;
    let events = opened(stream("feed.a", "reader"), &server).await;
    assert_eq!((events.len(), events[0].kind(), events[0].id.as_ref()), (1, "subscribed", Some(&position)));
    assert_eq!(events[0].data["channel"], "feed.a");
    let events = opened(stream("news", "reader"), &server).await;
    assert_eq!((events.len(), events[0].kind(), &events[0].id), (1, "subscribed", &None), "no id without history");
}

#[tokio::test]
async fn what_cannot_be_recovered_is_told_first_with_the_reason() {
    let server = with_users().start();
    let first = publish(&server, "feed.a", 1).await;
    for number in 2..=6 {
        publish(&server, "feed.a", number).await;
    }
    for (topic, id, reason) in [
        ("feed.a", first.as_str(), "too_many"),
        ("feed.a", "other:1", "epoch_changed"),
        ("feed.a", "17", "epoch_changed"),
        ("news", first.as_str(), "no_history"),
        ("news", "17", "no_history"),
    ] {
        let events = opened(stream(topic, "reader").header("last-event-id", id), &server).await;
        let told = json!({ "type": "recovered", "recovered": false, "reason": reason });
        assert_eq!((events[0].data.clone(), events[0].name.as_str()), (told, "tidegate"), "{topic} {id}");
        assert_eq!((events.len(), events[1].kind()), (2, "subscribed"));
    }
    let events = opened(stream("feed.a", "reader").header("last-event-id", ""), &server).await;
    assert_eq!(events[0].kind(), "subscribed", "some clients bring an empty id");
}

#[tokio::test]
async fn a_refusal_that_stays_is_the_status_of_its_code() {
    let server = with_users().start();
    for (topic, token, expected) in [
        ("drafts.a", "reader", refusal(403, "forbidden")),
        ("drafts.a", "guess", refusal(401, "unauthenticated")),
        ("nothing", "reader", refusal(404, "unknown_channel")),
        ("nothing", "key-read", refusal(404, "unknown_channel")),
        ("feed.a", "key-publish", refusal(403, "forbidden")),
        ("feed.a?since=x", "reader", refusal(400, "invalid_payload")),
        ("feed.a?limit=1", "reader", refusal(400, "invalid_payload")),
    ] {
        assert_eq!(stream(topic, token).to(&server).await.refused(), expected, "{topic} {token}");
    }
    for (topic, token) in [("drafts.a", "editor"), ("drafts.a", "key-read"), ("news", "reader")] {
        opened(stream(topic, token), &server).await;
    }
}

/// The only event of an answer whose client may come back.
async fn told_to_come_back(call: Call, server: &Server) -> (String, u64) {
    let answer = call.to(server).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "text/event-stream"));
    let events = events(&answer.text);
    assert_eq!((events.len(), events[0].name.as_str(), events[0].kind()), (1, "tidegate", "error"));
    (events[0].data["error"]["code"].as_str().unwrap().to_owned(), events[0].retry.unwrap())
}

#[tokio::test]
async fn a_client_that_may_come_back_is_answered_200_and_told_when() {
    let server = with_users().limits(|limits| limits.streams_max = 1).start();
    server.history.set_away(true);
    let (code, retry_ms) = told_to_come_back(stream("feed.a", "reader"), &server).await;
    assert_eq!((code.as_str(), (2_000..10_000).contains(&retry_ms)), ("unavailable", true), "{retry_ms}");
    server.gates.drain();
    let (code, retry_ms) = told_to_come_back(stream("feed.a", "reader"), &server).await;
    assert_eq!((code.as_str(), retry_ms < 2_000), ("draining", true), "{retry_ms}");
}

#[tokio::test]
async fn streams_are_bounded_in_number_and_one_that_ends_makes_room() {
    let server = with_users().limits(|limits| limits.streams_max = 1).start();
    let site = crate::Site::of(&server);
    let first = site.answer(stream("news", "reader")).await;
    let second = site.answer(stream("news", "reader")).await;
    let mut body = second.into_body().into_data_stream();
    let text = body.next().await.unwrap().unwrap();
    let events = events(std::str::from_utf8(&text).unwrap());
    assert_eq!((events[0].kind(), &events[0].data["error"]["code"]), ("error", &json!("unavailable")));
    assert!(body.next().await.is_none());
    assert_eq!(site.realtime.connections_count(), 1);
    drop(first);
    assert_eq!(site.realtime.connections_count(), 0);
    beginning(&mut site.answer(stream("news", "reader")).await.into_body().into_data_stream()).await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_says_something_before_a_proxy_takes_it_for_dead() {
    let server = with_users().start();
    let mut body = stream("news", "reader").response(&server).await.into_body().into_data_stream();
    beginning(&mut body).await;
    for _ in 0..3 {
        let silent = Instant::now();
        assert_eq!(body.next().await.unwrap().unwrap(), ":\n\n");
        assert!(silent.elapsed() <= Duration::from_secs(21), "HAProxy waits for 50 s");
    }
}

#[tokio::test]
async fn a_head_is_answered_without_a_stream() {
    let server = with_users().start();
    let site = crate::Site::of(&server);
    let head = |topic: &str| {
        let call = call(Method::HEAD, &format!("/v1/channels/{topic}/history")).header("accept", "text/event-stream");
        call.header("authorization", "Bearer reader")
    };
    let answer = site.answer(head("news")).await;
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["content-type"]),
        (200, &"text/event-stream".parse().unwrap())
    );
    assert!(answer.headers().get("content-length").is_none(), "as of the stream itself");
    assert_eq!(site.realtime.connections_count(), 0);
    assert_eq!(site.answer(head("drafts.a")).await.status(), 403);
}

#[tokio::test]
async fn a_page_of_another_origin_has_no_stream_unless_it_is_listed() {
    let server = server().auth(|auth| auth.origins = vec!["https://app.example".to_owned()]).start();
    let of = |origin: &str| {
        let call = get("/v1/channels/news/history").header("accept", "text/event-stream");
        call.header("host", "here.example").header("origin", origin)
    };
    assert_eq!(of("https://other.example").to(&server).await.refused(), refusal(403, "forbidden"));
    let answer = of("https://app.example").response(&server).await;
    assert_eq!(answer.headers()["access-control-allow-origin"], "https://app.example");
    assert_eq!(answer.headers()["access-control-allow-credentials"], "true");
}
