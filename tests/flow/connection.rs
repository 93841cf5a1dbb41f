//! Plugins that hear of connections: what they want happens, and what goes wrong stops nothing.

use serde_json::json;
use tidegate_core::flow::ports::{FaultKind, Phase};

use tidegate_testkit::{CHANNELS, FakePlugins, Server, emit, publish, user};

fn server(plugins: FakePlugins) -> Server {
    let rules = "rules:\n  - { on: connection.came, to: desk }\n";
    Server::declaring(CHANNELS).bridge(rules).plugins(plugins).start()
}

#[tokio::test]
async fn a_listener_is_told_of_both_ends_with_the_user() {
    let server = server(FakePlugins::listening(Ok(Vec::new())));
    assert!(server.gates.has_listeners());
    let client = server.client(user("alice"));
    server.gates.tell_plugins(&client.session, Phase::Connected).await;
    client.session.close();
    server.gates.tell_plugins(&client.session, Phase::Disconnected).await;
    assert_eq!(server.plugins.asked(), ["connected", "disconnected"]);
    assert!(server.plugins.calls().iter().all(|call| call.user.as_deref() == Some("alice")));
}

#[tokio::test]
async fn what_a_listener_wants_reaches_rooms_and_bus() {
    let effects = vec![emit("news", &json!({ "title": "x" })), publish("connection.came", &json!({ "n": 1 }))];
    let server = server(FakePlugins::listening(Ok(effects)));
    server.gates.tell_plugins(&server.client(user("alice")).session, Phase::Connected).await;
    assert_eq!(server.delivered(), [("news".to_owned(), json!({ "title": "x" }))]);
    let events = server.bus.published();
    assert_eq!((events.len(), events[0].kind.as_str()), (1, "connection.came"));
}

#[tokio::test]
async fn one_effect_that_misses_its_schema_keeps_all_of_them_from_happening() {
    let effects = vec![emit("news", &json!({ "title": "x" })), emit("news", &json!({ "title": 7 }))];
    let server = server(FakePlugins::listening(Ok(effects)));
    server.gates.tell_plugins(&server.client(None).session, Phase::Connected).await;
    assert_eq!(server.delivered(), []);
}

#[tokio::test]
async fn a_listener_that_faults_refuses_nobody() {
    let server = server(FakePlugins::listening(Err(FaultKind::Trap)));
    let client = server.client(user("alice"));
    server.gates.tell_plugins(&client.session, Phase::Connected).await;
    client.subscribe("news").await.unwrap();
    assert_eq!(server.delivered(), []);
}

#[tokio::test]
async fn without_a_listener_nobody_is_asked() {
    let server = server(FakePlugins::silent());
    assert!(!server.gates.has_listeners());
    server.gates.tell_plugins(&server.client(None).session, Phase::Connected).await;
    assert!(server.plugins.calls().is_empty());
}
