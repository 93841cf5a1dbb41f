//! Where in a trace a request belongs: the headers of W3C Trace Context.

use axum::extract::Request;
use axum::http::{HeaderMap, Method};

use tidegate_core::protocol::TraceContext;
use tidegate_core::telemetry::{Span, SpanKind};

/// What is not traced: machines ask for it all the time.
const RESOURCES: &str = "/v1/";

/// The span of a request; `route` is its route's pattern. A trace may begin here.
pub(super) fn span_of(request: &Request, route: &str) -> Span {
    let brought = brought(request.headers());
    let (name, kind) = ("HTTP", SpanKind::Server);
    let mut span = match brought {
        None if !route.starts_with(RESOURCES) => return Span::none(),
        brought => Span::begin(name, kind, brought),
    };
    let method = known(request.method());
    span.rename(|| format!("{method} {route}"));
    span.describe(|| [("http.request.method", method.to_owned().into()), ("http.route", route.to_owned().into())]);
    span
}

/// A method of HTTP; a caller may write anything in its place.
/// <https://opentelemetry.io/docs/specs/semconv/http/http-spans/#common-attributes>
fn known(method: &Method) -> &str {
    match *method {
        Method::GET | Method::HEAD | Method::POST | Method::PUT | Method::PATCH | Method::DELETE | Method::OPTIONS => {
            method.as_str()
        }
        _ => "_OTHER",
    }
}

/// The place in a trace that a caller names. Two of them, or a malformed one, name none.
fn brought(headers: &HeaderMap) -> Option<TraceContext> {
    let mut parents = headers.get_all("traceparent").iter();
    let context = TraceContext::parse(parents.next()?.to_str().ok()?)?;
    if parents.next().is_some() {
        return None;
    }
    let states: Vec<&str> = headers.get_all("tracestate").iter().filter_map(|state| state.to_str().ok()).collect();
    Some(context.with_state(Some(&states.join(","))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn of(headers: &[(&'static str, &str)]) -> Option<String> {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        brought(&headers).map(|context| format!("{context} {}", context.state().unwrap_or("-")))
    }

    #[test]
    fn a_request_names_its_place_in_a_trace_by_its_headers() {
        assert_eq!(of(&[("traceparent", PARENT)]), Some(format!("{PARENT} -")));
        let states = [("traceparent", PARENT), ("tracestate", "a=1"), ("tracestate", "b=2")];
        assert_eq!(of(&states), Some(format!("{PARENT} a=1,b=2")));
        assert_eq!(of(&[("traceparent", PARENT), ("tracestate", "malformed")]), Some(format!("{PARENT} -")));
    }

    #[test]
    fn what_names_no_place_or_two_is_none() {
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[("traceparent", "malformed")]), None);
        assert_eq!(of(&[("tracestate", "a=1")]), None);
        assert_eq!(of(&[("traceparent", PARENT), ("traceparent", PARENT)]), None);
    }
}
