//! The HTTP API: backends publish, send events and revoke; operators handle dead letters and plugins; machines ask for
//! the server's state.
//!
//! There is one file for each resource. This code knows no sockets: a delivery goes through the gates like any other.

mod answer;
mod body;
mod caller;
mod dead_letters;
mod events;
mod health;
mod history;
mod idempotency_key;
mod plugins;
mod presence;
mod publish;
mod publish_list;
mod query;
mod retained;
mod revoke;
mod stream;

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{MatchedPath, Path, Request};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Router, middleware};
use tokio::time::Instant;
use tower_http::catch_panic::CatchPanicLayer;

use answer::Problem;
use tidegate_core::config::ApiKeys;
use tidegate_core::flow::Gates;
use tidegate_core::flow::ports::{BusSources, DeadLetters, PluginRoster, StoreHealth};
use tidegate_core::protocol::Code;
use tidegate_core::telemetry;
use tidegate_realtime::Visitors;

/// What the resources need.
#[derive(Clone)]
pub struct State {
    /// The gates.
    pub gates: Arc<Gates>,
    /// The clients that ask without a session.
    pub visitors: Visitors,
    /// The API keys; without any key every call that needs one is answered with 401.
    pub api_keys: Arc<ApiKeys>,
    /// The dead letters.
    pub dead_letters: Arc<dyn DeadLetters>,
    /// The versions of the plugins.
    pub plugins: Arc<dyn PluginRoster>,
    /// Whether the store is there.
    pub store: Arc<dyn StoreHealth>,
    /// Whether the sources of bus events were read.
    pub bus_sources: Arc<dyn BusSources>,
}

/// The topic in a path.
type TopicPath = Result<Path<String>, PathRejection>;

fn topic_of(path: TopicPath) -> Result<String, Problem> {
    let Path(topic) = path.map_err(|_| Problem::bad_request("the topic in the path is not UTF-8"))?;
    Ok(topic)
}

async fn wrong_method() -> Problem {
    Problem::of_http(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this resource needs another method")
}

/// Every resource of the server. Other paths are answered with 404, in JSON like every other error.
pub fn router(state: State) -> Router {
    // Pages may read it: those that gate 1 admits. The layer answers `OPTIONS`, in which a browser asks first: a fallback that
    // is set later would stand in front of it.
    let of_clients = Router::new()
        .route("/v1/channels/{topic}/history", get(history::read))
        .route("/v1/channels/{topic}/presence", get(presence::present))
        .route("/v1/channels/{topic}/occupancy", get(presence::occupancy))
        .method_not_allowed_fallback(wrong_method)
        .layer(state.visitors.cors());
    Router::new()
        .merge(of_clients)
        .route("/v1/channels/{topic}/publish", post(publish::publish))
        .route("/v1/channels/{topic}/retained", delete(retained::remove))
        .route("/v1/publish", post(publish_list::publish))
        .route("/v1/events", post(events::accept))
        .route("/v1/revoke", post(revoke::accept))
        .route("/v1/dead-letters", get(dead_letters::list))
        .route("/v1/dead-letters/{id}", delete(dead_letters::discard))
        .route("/v1/dead-letters/{id}/retry", post(dead_letters::retry))
        .route("/v1/plugins", get(plugins::list))
        .route("/v1/plugins/quarantine/{what}", delete(plugins::clear))
        .route("/healthz", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .fallback(async || Problem::not_found("there is no such resource"))
        .method_not_allowed_fallback(wrong_method)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn(count))
        .with_state(state)
}

/// A panic is a bug of the server; it costs only this request.
fn panicked(_panic: Box<dyn std::any::Any + Send>) -> Response {
    tracing::error!("an http request panicked");
    Problem::from(Code::Internal).into_response()
}

/// Counts every answer by its route's pattern; `-` for requests without a route.
async fn count(request: Request, next: middleware::Next) -> Response {
    let started = Instant::now();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    telemetry::http_request(
        route.as_ref().map_or("-", MatchedPath::as_str),
        response.status().as_u16(),
        started.elapsed(),
    );
    response
}
