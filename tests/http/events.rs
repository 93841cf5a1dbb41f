//! `POST /v1/events`

use serde_json::{Value, json};
use tidegate_core::protocol::{BusEvent, Payload};

use crate::{Answer, CHANNELS, get, post, refusal, server};
use tidegate_testkit::{FakeBus, Server};

const ONE: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json";

fn cloud_event(id: &str) -> Value {
    json!({ "specversion": "1.0", "id": id, "source": "/cms", "type": "article.published", "data": { "title": id } })
}

async fn send(server: &Server, content_type: &str, body: &Value) -> Answer {
    post("/v1/events").key("events").content_type(content_type).body(body.to_string()).to(server).await
}

fn ids(server: &Server) -> Vec<String> {
    server.bus.published().into_iter().map(|event| event.id).collect()
}

#[tokio::test]
async fn one_event_is_accepted_onto_the_bus() {
    let server = server().start();
    for content_type in [ONE, "application/json", "Application/CloudEvents+JSON; charset=utf-8"] {
        let answer = send(&server, content_type, &cloud_event("1")).await;
        assert_eq!((answer.status.as_u16(), answer.json()), (202, json!({ "accepted": 1 })), "{content_type}");
    }
    assert_eq!(serde_json::to_value(&server.bus.published()[0]).unwrap(), cloud_event("1"));
    assert_eq!(server.delivered(), [], "the bridge takes it from there");
}

#[tokio::test]
async fn the_data_of_an_event_crosses_letter_by_letter_and_so_it_stands_in_a_dead_letter() {
    let server = server().start();
    let data = r#"{"title":"x","id":123456789012345678901234567890,"price":[7.10,7.0,-0,1E2]}"#;
    let text = format!(r#"{{"specversion":"1.0","id":"1","source":"/cms","type":"article.published","data":{data}}}"#);
    let answer = post("/v1/events").key("events").content_type(ONE).body(text).to(&server).await;
    assert_eq!(answer.status, 202);
    server.bridge(&server.bus.published()[0]).await;
    assert_eq!(server.rooms.delivered_texts(), [("news".to_owned(), data.to_owned())]);

    let dead = data.replace("\"x\"", "5");
    let event =
        BusEvent::new("2".into(), "/cms".into(), "article.published".into(), Payload::read(dead.clone()).unwrap());
    server.bridge(&event).await;
    let letters = get("/v1/dead-letters").key("operate").to(&server).await;
    assert!(letters.text.contains(&dead), "{}", letters.text);
}

#[tokio::test]
async fn a_batch_is_accepted_in_its_order() {
    let server = server().start();
    for (content_type, ids) in [(BATCH, ["1", "2"]), ("application/json", ["3", "4"])] {
        let answer = send(&server, content_type, &json!(ids.map(cloud_event))).await;
        assert_eq!((answer.status.as_u16(), answer.json()), (202, json!({ "accepted": 2 })), "{content_type}");
    }
    assert_eq!(send(&server, BATCH, &json!([])).await.json(), json!({ "accepted": 0 }));
    assert_eq!(ids(&server), ["1", "2", "3", "4"]);
}

#[tokio::test]
async fn an_event_that_was_accepted_before_is_accepted_again_and_goes_nowhere() {
    let server = server().start();
    for _ in 0..2 {
        let answer = send(&server, BATCH, &json!([cloud_event("1"), cloud_event("2"), cloud_event("1")])).await;
        assert_eq!((answer.status.as_u16(), answer.json()), (202, json!({ "accepted": 3 })));
    }
    assert_eq!(ids(&server), ["1", "2"]);
}

#[tokio::test]
async fn an_event_that_was_refused_is_no_duplicate_when_it_comes_again() {
    let server = server().bus(FakeBus::with_room_for(1)).start();
    let batch = json!([cloud_event("1"), cloud_event("2")]);
    assert_eq!(send(&server, BATCH, &batch).await.status, 503);
    assert_eq!(send(&server, ONE, &cloud_event("2")).await.status, 202);
    assert_eq!(ids(&server), ["2"]);
}

#[tokio::test]
async fn no_content_type_is_as_good_as_json() {
    let server = server().start();
    let answer = post("/v1/events").key("events").body(cloud_event("1").to_string()).to(&server).await;
    assert_eq!(answer.status, 202);
}

#[tokio::test]
async fn a_content_type_that_says_otherwise_than_the_body_is_400() {
    let server = server().start();
    assert_eq!(send(&server, ONE, &json!([cloud_event("1")])).await.refused(), refusal(400, "invalid_payload"));
    assert_eq!(send(&server, BATCH, &cloud_event("1")).await.refused(), refusal(400, "invalid_payload"));
    assert_eq!(ids(&server), Vec::<String>::new());
}

#[tokio::test]
async fn another_content_type_is_415_with_those_that_are_taken() {
    let server = server().start();
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "application/cloudevents+avro", ""] {
        let answer = send(&server, content_type, &cloud_event("1")).await;
        assert_eq!(answer.refused(), refusal(415, "unsupported_media_type"), "{content_type}");
        assert!(answer.text.contains(BATCH), "{}", answer.text);
    }
}

#[tokio::test]
async fn the_binary_content_mode_is_415_with_the_way_out() {
    let server = server().start();
    let call = post("/v1/events").key("events").header("ce-specversion", "1.0").content_type("application/json");
    let answer = call.body("{}").to(&server).await;
    assert_eq!(answer.refused(), refusal(415, "unsupported_media_type"));
    assert!(answer.text.contains("binary content mode"));
}

#[tokio::test]
async fn every_event_that_is_wrong_is_named_and_none_is_taken() {
    let server = server().start();
    let mut without_id = cloud_event("2");
    without_id.as_object_mut().unwrap().remove("id");
    let mut old = cloud_event("3");
    old["specversion"] = json!("0.3");
    let answer = send(&server, BATCH, &json!([cloud_event("1"), without_id, old, 7])).await;
    assert_eq!(answer.refused(), refusal(400, "invalid_payload"));
    let expected = json!({ "events": [
        { "index": 1, "message": "attribute `id` is missing" },
        { "index": 2, "message": "`specversion` must be \"1.0\", found \"0.3\"" },
        { "index": 3, "message": "a CloudEvent is a JSON object" },
    ] });
    assert_eq!(answer.details(), expected);
    assert_eq!(ids(&server), Vec::<String>::new());
}

#[tokio::test]
async fn a_batch_of_nothing_but_mistakes_names_the_first_ten() {
    let server = server().start();
    let answer = send(&server, BATCH, &json!(vec![7; 100])).await;
    assert_eq!(answer.details()["events"].as_array().unwrap().len(), 10);
}

#[tokio::test]
async fn what_is_not_json_is_400_and_too_deep_is_told_by_event() {
    let server = server().start();
    for body in ["", "{", "[", "{} {}", "[{},]", "null"] {
        let answer = post("/v1/events").key("events").body(body).to(&server).await;
        assert_eq!(answer.refused(), refusal(400, "invalid_payload"), "{body}");
    }
    let deep = format!("[{{\"data\":{}{}}}]", "[".repeat(5000), "]".repeat(5000));
    let answer = post("/v1/events").key("events").body(deep).to(&server).await;
    assert_eq!(answer.refused(), refusal(400, "invalid_payload"));
    assert_eq!(answer.details()["events"][0]["index"], 0);
}

#[tokio::test]
async fn too_many_events_too_large_a_body_and_too_large_an_event_are_413_with_the_bound() {
    let server = server().limits(|limits| limits.events_per_batch_max = 2).start();
    let three = json!([cloud_event("1"), cloud_event("2"), cloud_event("3")]);
    let answer = send(&server, BATCH, &three).await;
    assert_eq!(answer.refused(), refusal(413, "payload_too_large"));
    assert_eq!(answer.details(), json!({ "events": 3, "events_max": 2 }));

    let server = Server::declaring(CHANNELS).limits(|limits| limits.batch_bytes_max = 100).start();
    let answer = send(&server, BATCH, &three).await;
    assert_eq!((answer.refused(), answer.details()), (refusal(413, "payload_too_large"), json!({ "bytes_max": 100 })));

    let bytes_max = cloud_event("1").to_string().len();
    let server = Server::declaring(CHANNELS).limits(|limits| limits.payload_bytes_max = bytes_max).start();
    let answer = send(&server, BATCH, &json!([cloud_event("1"), cloud_event("22")])).await;
    assert_eq!(answer.refused(), refusal(413, "payload_too_large"));
    assert_eq!(answer.details(), json!({ "index": 1, "bytes_max": bytes_max }));
    assert_eq!(ids(&server), Vec::<String>::new());
}

#[tokio::test]
async fn a_full_bus_is_503_takes_none_of_the_batch_and_says_when_to_come_back() {
    let server = server().bus(FakeBus::with_room_for(1)).start();
    let answer = send(&server, BATCH, &json!([cloud_event("1"), cloud_event("2")])).await;
    assert_eq!((answer.refused(), answer.header("retry-after")), (refusal(503, "unavailable"), "1"));
    assert_eq!(ids(&server), Vec::<String>::new());
    assert_eq!(send(&server, ONE, &cloud_event("1")).await.status, 202);
}

#[tokio::test]
async fn a_draining_server_is_503() {
    let server = server().start();
    server.gates.drain();
    assert_eq!(send(&server, ONE, &cloud_event("1")).await.refused(), refusal(503, "draining"));
}
