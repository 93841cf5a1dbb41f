//! The HTTP API: backends publish, send events and revoke; operators handle dead letters and plugins; machines ask for
//! the server's state.
//!
//! There is one file for each resource. This code knows no sockets: a delivery goes through the gates like any other.

mod answer;
mod body;
mod bridge;
mod caller;
mod channels;
mod client;
mod clients;
mod dashboard;
mod dead_letters;
mod events;
mod explain;
mod health;
mod history;
mod idempotency_key;
mod openapi;
mod operator;
mod overview;
mod paging;
mod plugins;
mod presence;
mod publish;
mod publish_list;
mod query;
mod recordings;
mod reloads;
mod retained;
mod revoke;
mod stream;
mod tails;
mod topics;
mod trace;

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::PathRejection;
use axum::extract::{MatchedPath, Path, Request};
use axum::handler::Handler;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, on};
use axum::{Router, middleware};
use tokio::time::Instant;
use tower_http::catch_panic::CatchPanicLayer;

use crate::dashboard::Live;
use crate::operator::Operators;
use answer::{HttpCode, Problem};
pub use health::away;
pub use openapi::document;
use openapi::{Caller, Operation};
use tidegate_core::config::ApiKeys;
use tidegate_core::flow::ports::{BusSources, DeadLetters, PluginRoster, StoreHealth};
use tidegate_core::flow::{Gates, ReloadLog};
use tidegate_core::protocol::Code;
use tidegate_core::telemetry;
use tidegate_realtime::{Realtime, Visitors};

/// What the resources need.
#[derive(Clone)]
pub struct State {
    /// The gates.
    pub gates: Arc<Gates>,
    /// The clients of this node.
    pub clients: Arc<Realtime>,
    /// The clients that ask without a session.
    pub visitors: Visitors,
    /// The API keys; without any key every call that needs one is answered with 401.
    pub api_keys: Arc<ApiKeys>,
    /// The operators who sign in to the dashboard; `None` if there is no dashboard.
    pub operators: Option<Arc<Operators>>,
    /// The live data of the dashboard; `None` if there is none.
    pub live: Option<Arc<Live>>,
    /// The dead letters.
    pub dead_letters: Arc<dyn DeadLetters>,
    /// The versions of the plugins.
    pub plugins: Arc<dyn PluginRoster>,
    /// Whether the store is there.
    pub store: Arc<dyn StoreHealth>,
    /// Whether the sources of bus events were read.
    pub bus_sources: Arc<dyn BusSources>,
    /// The last reloads.
    pub reloads: Arc<ReloadLog>,
    /// What `GET /openapi.json` answers: see [`document`].
    pub document: Bytes,
}

/// The topic in a path.
type TopicPath = Result<Path<String>, PathRejection>;

fn topic_of(path: TopicPath) -> Result<String, Problem> {
    let Path(topic) = path.map_err(|_| Problem::bad_request("the topic in the path is not UTF-8"))?;
    Ok(topic)
}

async fn wrong_method() -> Problem {
    Problem::of_http(HttpCode::MethodNotAllowed, "this resource needs another method")
}

/// Every resource of the server. Other paths are answered with 404, in JSON like every other error.
pub fn router(state: State) -> Router {
    let (mut of_clients, mut others) = (Router::new(), Router::new());
    for Resource { operation, handler } in resources() {
        let guarded = operation.caller.takes_session();
        let guard = || middleware::from_fn_with_state(state.clone(), operator::guard);
        let handler = if guarded { handler.layer(guard()) } else { handler };
        let group = if operation.caller == Caller::Reader { &mut of_clients } else { &mut others };
        *group = std::mem::take(group).route(operation.path, handler);
    }
    // Pages may read the resources of clients: those that gate 1 admits. The layer answers `OPTIONS`, in which a browser
    // asks first: a fallback that is set later would stand in front of it.
    let of_clients = of_clients.method_not_allowed_fallback(wrong_method).layer(state.visitors.cors());
    Router::new()
        .merge(of_clients)
        .merge(others)
        .merge(state.operators.as_ref().map_or_else(Router::new, |_| dashboard::routes()))
        .fallback(async || Problem::not_found("there is no such resource"))
        .method_not_allowed_fallback(wrong_method)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn(count))
        .with_state(state)
}

/// A resource with one method: what it says of itself, and what it does.
struct Resource {
    operation: &'static Operation,
    handler: MethodRouter<State>,
}

/// Every resource with each of its methods.
fn resources() -> [Resource; 36] {
    fn at<T: 'static>(operation: &'static Operation, handler: impl Handler<T, State>) -> Resource {
        Resource { operation, handler: on(operation.method.filter(), handler) }
    }
    [
        at(&publish::OPERATION, publish::publish),
        at(&publish_list::OPERATION, publish_list::publish),
        at(&retained::OPERATION, retained::remove),
        at(&history::OPERATION, history::read),
        at(&presence::PRESENCE, presence::present),
        at(&presence::OCCUPANCY, presence::occupancy),
        at(&events::OPERATION, events::accept),
        at(&revoke::OPERATION, revoke::accept),
        at(&dead_letters::LIST, dead_letters::list),
        at(&dead_letters::RETRY, dead_letters::retry),
        at(&dead_letters::DISCARD, dead_letters::discard),
        at(&plugins::LIST, plugins::list),
        at(&plugins::CLEAR, plugins::clear),
        at(&recordings::BEGIN, recordings::begin),
        at(&recordings::READ, recordings::read),
        at(&recordings::FILE, recordings::file),
        at(&recordings::END, recordings::end),
        at(&operator::BEGIN, operator::begin),
        at(&operator::SHOW, operator::show),
        at(&operator::END, operator::end),
        at(&overview::OPERATION, overview::read),
        at(&tails::BEGIN, tails::begin),
        at(&tails::END, tails::end),
        at(&channels::LIST, channels::list),
        at(&topics::LIST, topics::list),
        at(&topics::ONE, topics::one),
        at(&clients::LIST, clients::list),
        at(&client::DISCONNECT, client::disconnect),
        at(&client::UNSUBSCRIBE, client::unsubscribe),
        at(&bridge::SHOW, bridge::show),
        at(&explain::OPERATION, explain::explain),
        at(&reloads::LIST, reloads::list),
        at(&health::LIVE, health::live),
        at(&health::READY, health::ready),
        at(&health::METRICS, health::metrics),
        at(&openapi::OPERATION, openapi::read),
    ]
}

/// A panic is a bug of the server; it costs only this request.
fn panicked(_panic: Box<dyn std::any::Any + Send>) -> Response {
    tracing::error!("an http request panicked");
    Problem::from(Code::Internal).into_response()
}

/// Counts every answer by its route's pattern, `-` for requests without a route, and traces it.
async fn count(request: Request, next: middleware::Next) -> Response {
    let started = Instant::now();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("-", MatchedPath::as_str);
    let mut span = trace::span_of(&request, route);
    let response = span.around(next.run(request)).await;
    let status = response.status().as_u16();
    telemetry::http_request(route, status, started.elapsed());
    span.describe(|| [("http.response.status_code", usize::from(status).into())]);
    if status >= 500 {
        span.fail("5xx");
    }
    response
}
