//! `GET /v1/channels/{topic}/presence` and `…/occupancy`

use std::sync::Arc;

use serde_json::json;

use crate::{Answer, get, refusal};
use tidegate_testkit::{Client, FakeProvider, Server, user};

const CHANNELS: &str = r"
feature: test
channels:
  hall.{room}: { scope: authenticated, payload: true, presence: { members: 2 } }
  desk: { scope: { role: editor }, payload: true, presence: true }
  plain: { scope: public, payload: true }
";

fn started() -> Server {
    let provider = FakeProvider::knowing([("reader", user("rita"))]);
    Server::declaring(CHANNELS).provider(Arc::new(provider)).start()
}

async fn ask(server: &Server, path: &str, token: &str) -> Answer {
    let call = get(&format!("/v1/channels/{path}"));
    let call = if token.is_empty() { call } else { call.header("authorization", &format!("Bearer {token}")) };
    call.to(server).await
}

async fn on_the_hall(server: &Server, names: &[&str]) -> Vec<Client> {
    let clients: Vec<Client> = names.iter().map(|name| server.client(user(name))).collect();
    for client in &clients {
        client.subscribe("hall.a").await.unwrap();
    }
    clients
}

#[tokio::test]
async fn a_client_that_clears_the_gates_and_a_backend_that_may_read_hear_who_is_there() {
    let server = started();
    let _clients = on_the_hall(&server, &["alice", "bob", "bob"]).await;
    for token in ["reader", "key-read"] {
        let answer = ask(&server, "hall.a/presence", token).await;
        assert_eq!((answer.status.as_u16(), answer.header("cache-control")), (200, "no-store"));
        assert_eq!(answer.json(), json!({ "count": 2, "members": [{ "user": "alice" }, { "user": "bob" }] }));
        let answer = ask(&server, "hall.a/occupancy", token).await;
        assert_eq!(answer.json(), json!({ "count": 2, "users": 2, "anonymous": 0 }));
    }
    assert_eq!(ask(&server, "hall.b/presence", "reader").await.json(), json!({ "count": 0, "members": [] }));
    assert_eq!(ask(&server, "hall.a/occupancy", "reader").await.json()["count"], 2, "who asks is not there");
}

#[tokio::test]
async fn beyond_members_there_is_a_count() {
    let server = started();
    let _clients = on_the_hall(&server, &["alice", "bob", "carol"]).await;
    assert_eq!(ask(&server, "hall.a/presence", "reader").await.json(), json!({ "count": 3 }));
}

#[tokio::test]
async fn whoever_may_not_subscribe_hears_nothing() {
    let server = started();
    for what in ["presence", "occupancy"] {
        let ask = async |topic: &str, token| ask(&server, &format!("{topic}/{what}"), token).await.refused();
        assert_eq!(ask("hall.a", "").await, refusal(401, "unauthenticated"));
        assert_eq!(ask("hall.a", "nobody").await, refusal(401, "unauthenticated"));
        assert_eq!(ask("desk", "reader").await, refusal(403, "forbidden"));
        assert_eq!(ask("hall.a", "key-publish").await, refusal(403, "forbidden"));
        assert_eq!(ask("nothing", "key-read").await, refusal(404, "unknown_channel"));
        assert_eq!(ask("plain", "reader").await, refusal(409, "no_presence"));
        assert_eq!(ask("plain", "key-read").await, refusal(409, "no_presence"));
        assert_eq!(ask("hall.%FF", "reader").await, refusal(400, "invalid_payload"));
    }
}
