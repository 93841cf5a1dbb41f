//! `GET /healthz`, `/readyz` and `/metrics`

use std::sync::Arc;

use serde_json::json;
use tidegate_core::flow::AuthProvider;
use tidegate_core::protocol::PluginName;

use crate::{get, post, refusal, server};
use tidegate_testkit::{FakePlugins, FakeProvider};

#[tokio::test]
async fn a_server_is_live_and_ready_without_a_key() {
    let server = server().start();
    assert_eq!(get("/healthz").to(&server).await.json(), json!({ "live": true }));
    assert_eq!(get("/readyz").to(&server).await.json(), json!({ "ready": true, "generation": 1 }));
}

#[tokio::test]
async fn a_draining_server_is_live_but_not_ready() {
    let server = server().start();
    server.gates.drain();
    assert_eq!(get("/healthz").to(&server).await.status, 200);
    assert_eq!(get("/readyz").to(&server).await.refused(), refusal(503, "draining"));
}

#[tokio::test]
async fn a_server_without_its_store_is_live_and_not_ready_until_the_store_is_back() {
    let server = server().start();
    server.store.set_away(true);
    assert_eq!(get("/healthz").to(&server).await.status, 200);
    assert_eq!(get("/readyz").to(&server).await.refused(), refusal(503, "unavailable"));
    server.store.set_away(false);
    assert_eq!(get("/readyz").to(&server).await.status, 200);
}

#[tokio::test]
async fn a_server_without_its_broker_is_live_and_not_ready_and_says_what_is_away() {
    let server = server().start();
    server.broker.set_away(true);
    assert_eq!(get("/healthz").to(&server).await.status, 200);
    let answer = get("/readyz").to(&server).await;
    assert_eq!(answer.refused(), refusal(503, "unavailable"));
    assert_eq!(answer.details(), json!({ "away": ["broker"] }));
}

#[tokio::test]
async fn a_server_that_never_read_the_keys_of_an_issuer_is_not_ready_and_says_so() {
    let issuer = Arc::new(FakeProvider::knowing([]));
    let server = server().provider(Arc::new(FakeProvider::knowing([]))).provider(issuer.clone()).start();
    assert_eq!(get("/readyz").to(&server).await.status, 200);
    issuer.set_keyless(true);
    assert_eq!(get("/healthz").to(&server).await.status, 200);
    let answer = get("/readyz").to(&server).await;
    assert_eq!(answer.refused(), refusal(503, "unavailable"));
    assert_eq!(answer.details(), json!({ "away": ["keys"] }));
    server.broker.set_away(true);
    assert_eq!(get("/readyz").to(&server).await.details(), json!({ "away": ["broker", "keys"] }));
}

#[tokio::test]
async fn a_server_whose_session_query_could_let_nobody_in_is_not_ready_and_says_so() {
    let sessions = Arc::new(FakeProvider::knowing([]));
    let server = server().provider(sessions.clone()).start();
    sessions.set_unfit(true);
    let answer = get("/readyz").to(&server).await;
    assert_eq!(answer.refused(), refusal(503, "unavailable"));
    assert_eq!(answer.details(), json!({ "away": ["sessions"] }));
    sessions.set_unfit(false);
    assert_eq!(get("/readyz").to(&server).await.status, 200);
}

#[tokio::test]
async fn a_server_without_a_plugin_that_a_channel_or_a_provider_needs_is_not_ready_and_says_so() {
    let needs =
        "feature: tests\nchannels:\n  vault.{vaultId}: { scope: authenticated, authorizer: members, payload: {} }\n";
    let server = server().start();
    server.reload(needs, FakePlugins::missing());
    assert_eq!(get("/healthz").to(&server).await.status, 200);
    let answer = get("/readyz").to(&server).await;
    assert_eq!(answer.refused(), refusal(503, "unavailable"));
    assert_eq!(answer.details(), json!({ "away": ["plugins"] }));
    server.reload(needs, FakePlugins::silent());
    assert_eq!(get("/readyz").to(&server).await.status, 200);
    server.reload(&needs.replace("authorizer: members, ", ""), FakePlugins::missing());
    assert_eq!(get("/readyz").to(&server).await.status, 200, "nobody needs one");
    let with_provider = crate::server()
        .auth(|auth| {
            let (name, cookies) = (PluginName::new("members"), Vec::new());
            auth.providers.push(AuthProvider::Plugin { name, cookies });
        })
        .plugins(FakePlugins::missing())
        .start();
    assert_eq!(get("/readyz").to(&with_provider).await.details(), json!({ "away": ["plugins"] }));
}

#[tokio::test]
async fn a_server_that_never_read_a_source_of_bus_events_is_not_ready_and_names_it() {
    let server = server().start();
    server.bus_sources.set_unread(&["postgres:tidegate_outbox", "redis:telemetry"]);
    let answer = get("/readyz").to(&server).await;
    assert_eq!(answer.refused(), refusal(503, "unavailable"));
    assert_eq!(answer.details(), json!({ "away": ["postgres:tidegate_outbox", "redis:telemetry"] }));
    server.bus_sources.set_unread(&[]);
    assert_eq!(get("/readyz").to(&server).await.status, 200);
}

#[tokio::test]
async fn metrics_are_prometheus_text_and_count_requests_by_route_not_by_path() {
    let server = server().start();
    post("/v1/channels/chat.counted/publish").key("publish").body("{}").to(&server).await;
    let answer = get("/metrics").to(&server).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("content-type")),
        (200, "text/plain; version=0.0.4; charset=utf-8")
    );
    let route = r#"tidegate_http_requests_total{route="/v1/channels/{topic}/publish",status="202"}"#;
    assert!(answer.text.contains(route), "{}", answer.text);
    assert!(!answer.text.contains("chat.counted"), "labels are templates");
}
