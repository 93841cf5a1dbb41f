//! Clients that poll, on the real transport: whose pages may, and what ends their sessions.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use tidegate_backends::broker::MemoryBroker;
use tidegate_core::config::{Auth, Limits, Transport};
use tidegate_core::protocol::User;
use tidegate_realtime::Realtime;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::{CHANNELS, server};
use tidegate_testkit::{FakeClock, FakeProvider, Server, user};

const PATH: &str = "/socket.io/?EIO=4&transport=polling";

/// A server with its transport.
struct Site {
    server: Server,
    realtime: Arc<Realtime>,
    router: axum::Router,
}

impl Site {
    fn of(server: Server, cors_headers: Option<Vec<String>>) -> Self {
        let realtime = Realtime::new(Limits::default(), Arc::new(MemoryBroker));
        let auth = Auth { cors_headers, ..Auth::default() };
        let router = realtime.attach(axum::Router::new(), &server.gates, &auth, &Transport::default());
        Self { server, realtime, router }
    }

    async fn call(&self, request: Request<Body>) -> (StatusCode, HeaderMap, String) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        (parts.status, parts.headers, String::from_utf8(bytes.into()).unwrap())
    }

    /// Begins a session without a page, and says where it is.
    async fn open(&self) -> String {
        self.open_by(Request::get(PATH)).await
    }

    /// Begins a session with this request.
    async fn open_by(&self, request: axum::http::request::Builder) -> String {
        let (_, _, text) = self.call(request.body(Body::empty()).unwrap()).await;
        let opened: serde_json::Value = serde_json::from_str(&text[1..]).unwrap();
        format!("{PATH}&sid={}", opened["sid"].as_str().unwrap())
    }

    async fn poll(&self, session: &str) -> String {
        self.call(Request::get(session).body(Body::empty()).unwrap()).await.2
    }

    /// Polls until a packet comes that begins so, and answers heartbeats meanwhile.
    async fn hear(&self, session: &str, wanted: &str) {
        let mut heard = Vec::new();
        while heard.len() < 10 {
            let text = self.poll(session).await;
            for packet in text.split('\u{1e}') {
                if packet.starts_with(wanted) {
                    return;
                }
                if packet == "2" {
                    self.post(session, "3", None).await;
                }
                heard.push(packet.to_owned());
            }
        }
        panic!("{wanted} does not come: {heard:?}");
    }

    /// Posts a packet, from a page of this origin.
    async fn post(&self, session: &str, packet: &str, origin: Option<&str>) -> StatusCode {
        let request = Request::post(session).header("content-type", "text/plain");
        let request = origin.iter().fold(request, |request, origin| request.header("origin", *origin));
        self.call(request.body(Body::from(packet.to_owned())).unwrap()).await.0
    }

    /// What a browser is told that asks for a page of this origin whether it may send these headers.
    async fn preflight(&self, origin: &str, headers: &str) -> HeaderMap {
        let request = Request::options(PATH)
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", headers);
        self.call(request.body(Body::empty()).unwrap()).await.1
    }
}

fn listing(origins: &[&str], cors_headers: Option<&[&str]>) -> Site {
    let origins = origins.iter().map(ToString::to_string).collect();
    let server = server().auth(|auth| auth.origins = origins).start();
    Site::of(server, cors_headers.map(|names| names.iter().map(ToString::to_string).collect()))
}

fn told<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(format!("access-control-allow-{name}")).map_or("-", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn a_listed_page_may_poll_with_whatever_headers_its_browser_asks_for() {
    let site = listing(&["https://app.example.com", "https://*.example.net"], None);
    for origin in ["https://app.example.com", "https://a.b.example.net"] {
        let answer = site.preflight(origin, "authorization,baggage,sentry-trace,traceparent").await;
        assert_eq!(told(&answer, "headers"), "authorization,baggage,sentry-trace,traceparent");
        assert_eq!((told(&answer, "origin"), told(&answer, "credentials")), (origin, "true"));
        assert_eq!(told(&answer, "methods"), "GET,POST");
        let vary: Vec<&str> = answer.get_all("vary").iter().map(|value| value.to_str().unwrap()).collect();
        assert!(vary.join(",").contains("access-control-request-headers"), "{vary:?}");
    }
    let answer = site.preflight("https://evil.example.com", "traceparent").await;
    assert_eq!((told(&answer, "origin"), told(&answer, "credentials")), ("-", "-"));
}

#[tokio::test]
async fn an_operator_may_narrow_the_headers() {
    let site = listing(&["https://app.example.com"], Some(&["traceparent"]));
    let answer = site.preflight("https://app.example.com", "traceparent,x-other").await;
    assert_eq!(told(&answer, "headers"), "authorization,content-type,last-event-id,traceparent");
}

#[tokio::test]
async fn any_page_may_poll_where_any_is_listed_and_only_a_listed_one_with_cookies() {
    let site = listing(&["*", "https://app.example.com", "null"], None);
    for (origin, credentials) in [("https://app.example.com", "true"), ("https://other.test", "-"), ("null", "-")] {
        let answer = site.preflight(origin, "traceparent").await;
        assert_eq!((told(&answer, "origin"), told(&answer, "credentials")), (origin, credentials));
    }
}

#[tokio::test]
async fn whoever_has_a_hand_in_a_session_before_it_is_let_in_is_judged_by_its_page() {
    let site = listing(&["https://app.example.com"], None);
    let session = site.open().await;
    // A page that is listed.
    assert_eq!(site.post(&session, "40", Some("https://app.example.com")).await, StatusCode::OK);
    site.hear(&session, "40{").await;
    let session = site.open().await;
    // No page at all.
    assert_eq!(site.post(&session, "40", None).await, StatusCode::OK);
    site.hear(&session, "40{").await;
    let session = site.open().await;
    site.post(&session, "40", Some("https://evil.example.com")).await;
    site.hear(&session, r#"44{"message":"forbidden","data":{"code":"forbidden""#).await;
    let session = site.open().await;
    // A foreign page posts something before the client does.
    site.post(&session, "3", Some("https://evil.example.com")).await;
    site.post(&session, "40", None).await;
    site.hear(&session, r#"44{"message":"forbidden","data":{"code":"forbidden""#).await;
    assert_eq!(site.post(&format!("{PATH}&sid=invented"), "40", Some("https://evil.example.com")).await, 400);
}

#[tokio::test]
async fn a_session_that_the_browser_calls_the_servers_own_page_is_that_pages_alone() {
    let site = listing(&[], None);
    // Behind a proxy that changes the host: the browser does not name the origin in a GET.
    let own = || Request::get(PATH).header("host", "backend.internal").header("sec-fetch-site", "same-origin");
    let session = site.open_by(own()).await;
    assert_eq!(site.post(&session, "40", Some("https://app.example.com")).await, StatusCode::OK);
    site.hear(&session, "40{").await;
    assert_eq!(site.post(&session, "3", Some("https://evil.example.com")).await, StatusCode::FORBIDDEN);
    assert_eq!(site.post(&session, "3", Some("https://app.example.com")).await, StatusCode::OK);
    let session = site.open_by(own().header("origin", "https://app.example.com")).await;
    site.post(&session, "40", Some("https://evil.example.com")).await;
    site.hear(&session, r#"44{"message":"forbidden","data":{"code":"forbidden""#).await;
}

#[tokio::test(start_paused = true)]
async fn a_session_that_was_over_while_the_machine_slept_ends_within_seconds() {
    let alice = User { expires_at: Some(FakeClock::START_UNIX_S + 3600), ..user("alice") };
    let provider = Arc::new(FakeProvider::knowing([("good", alice)]));
    let site = Site::of(Server::declaring(CHANNELS).provider(provider).start(), None);
    let stop = CancellationToken::new();
    tokio::spawn(site.realtime.clone().keep_time(site.server.gates.clone(), stop.clone()));
    let _stops = stop.drop_guard();
    let session = site.open().await;
    site.post(&session, r#"40{"token":"good"}"#, None).await;
    site.hear(&session, "40{").await;
    // By the monotonic clock an hour is left.
    site.server.clock.advance(7200);
    let jumped = Instant::now();
    site.hear(&session, r#"42["tidegate",{"type":"expired"}]"#).await;
    assert!(jumped.elapsed() <= Duration::from_secs(5), "{:?}", jumped.elapsed());
}
