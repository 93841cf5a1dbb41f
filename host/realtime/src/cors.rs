//! The CORS answers for polling pages of other origins: whether they may poll, with or without cookies, and which
//! headers they may send. <https://fetch.spec.whatwg.org/#http-cors-protocol>
//!
//! Gate 1 checks pages independently of this; here a browser learns whether the page may see the answers.

use std::sync::Arc;
use std::time::Duration;

use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowCredentials, AllowHeaders, AllowOrigin, CorsLayer};

use tidegate_core::flow::Gates;

/// Where a stream goes on. A browser sends it without asking; clients in a page's own code ask.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// How long a browser may remember the answer. Without it each poll of a page with its own headers takes two requests.
const REMEMBERED: Duration = Duration::from_secs(600);

/// Pages of the listed origins may poll, with any headers that they ask for, or only with `headers`.
pub(super) fn layer(gates: &Arc<Gates>, headers: Option<&[String]>) -> CorsLayer {
    CorsLayer::new()
        .allow_methods([Method::GET, Method::POST])
        .allow_headers(allowed(headers))
        .allow_origin(AllowOrigin::predicate(listed(gates, false)))
        .allow_credentials(AllowCredentials::predicate(listed(gates, true)))
        .max_age(REMEMBERED)
}

/// The headers that clients send by themselves are always allowed: those that poll, and those of streams.
fn allowed(headers: Option<&[String]>) -> AllowHeaders {
    let Some(headers) = headers else { return AllowHeaders::mirror_request() };
    let own = [header::AUTHORIZATION, header::CONTENT_TYPE, LAST_EVENT_ID];
    let further = headers.iter().filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok());
    AllowHeaders::list(own.into_iter().chain(further))
}

fn listed(
    gates: &Arc<Gates>,
    by_cookie: bool,
) -> impl Fn(&HeaderValue, &Parts) -> bool + Clone + Send + Sync + 'static {
    let gates = Arc::clone(gates);
    move |origin, _| origin.to_str().is_ok_and(|origin| gates.lists_origin(origin, by_cookie))
}
