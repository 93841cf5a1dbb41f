//! Every HTTP resource with every status it can answer, on the real gates with fakes around them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bridge;
mod client;
mod dead_letters;
mod events;
mod explain;
mod health;
mod history;
mod idempotency;
mod inspect;
mod openapi;
mod operator;
mod plugins;
mod polling;
mod presence;
mod publish;
mod publish_list;
mod recordings;
mod refusals;
mod reloads;
mod retained;
mod revoke;
mod shutdown;
mod streams;
mod tails;

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use axum::response::Response;
use serde_json::Value;
use tidegate::dashboard::Live;
use tidegate::http::{State, document, router};
use tidegate::operator::Operators;
use tidegate_core::config::{ApiKey, ApiKeys, Auth, Config, Permission, Secret};
use tidegate_core::flow::ReloadLog;
use tidegate_realtime::{Realtime, Visitors};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use tidegate_testkit::{FakeRoster, Server, ServerBuilder};

const CHANNELS: &str = r#"
feature: test
channels:
  news:
    scope: public
    payload: { type: object, required: [title], properties: { title: { type: string } } }
  desk:
    scope: { role: editor }
    payload: { type: object }
  chat.{room}:
    scope: public
    payload: { type: object }
  feed.{id}:
    scope: public
    payload: { type: object }
    history: { messages: 3 }
  drafts.{id}:
    scope: { role: editor }
    payload: { type: object }
    history: { messages: 3 }
"#;

fn server() -> ServerBuilder {
    Server::declaring(CHANNELS).bridge("rules:\n  - { on: article.published, to: news }\n")
}

/// One request, written as a sentence: `post("/v1/events").key("events").body("…").to(&server)`.
struct Call {
    request: axum::http::request::Builder,
    body: Body,
}

/// What came back.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

fn call(method: Method, path: &str) -> Call {
    Call { request: Request::builder().method(method).uri(path), body: Body::empty() }
}

fn get(path: &str) -> Call {
    call(Method::GET, path)
}

fn delete(path: &str) -> Call {
    call(Method::DELETE, path)
}

fn post(path: &str) -> Call {
    call(Method::POST, path)
}

impl Call {
    fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    /// With the API key that has just this permission.
    fn key(self, permission: &str) -> Self {
        self.header("authorization", &format!("Bearer key-{permission}"))
    }

    fn content_type(self, content_type: &str) -> Self {
        self.header("content-type", content_type)
    }

    fn body(mut self, body: impl Into<Body>) -> Self {
        self.body = body.into();
        self
    }

    async fn to(self, server: &Server) -> Answer {
        self.with_keys(server, each_key()).await
    }

    /// The answer before its body has come.
    async fn response(self, server: &Server) -> Response {
        Site::of(server).answer(self).await
    }

    async fn with_keys(self, server: &Server, keys: ApiKeys) -> Answer {
        self.of(&Site::with_keys(server, keys)).await
    }

    /// The answer of a site that answers several calls.
    async fn of(self, site: &Site) -> Answer {
        let asked = self.request.method_ref().cloned().zip(self.request.uri_ref().cloned());
        let (parts, body) = site.answer(self).await.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let text = String::from_utf8(bytes.into()).unwrap();
        let (method, uri) = asked.unwrap();
        openapi::tells_body(&method, uri.path(), parts.status, &text);
        Answer { status: parts.status, headers: parts.headers, text }
    }
}

/// An API key for each permission.
fn each_key() -> ApiKeys {
    let keys = Permission::ALL.map(|permission| ApiKey {
        name: permission.as_str().to_owned(),
        key: Secret::from(format!("key-{}", permission.as_str())),
        may: vec![permission],
    });
    ApiKeys(keys.to_vec())
}

/// A server's resources, for several requests.
struct Site {
    realtime: Arc<Realtime>,
    reloads: Arc<ReloadLog>,
    router: axum::Router,
}

impl Site {
    fn of(server: &Server) -> Self {
        Self::with_keys(server, each_key())
    }

    fn with_keys(server: &Server, keys: ApiKeys) -> Self {
        Self::with_state(server, keys, |_| {})
    }

    /// The same, with the live data of the dashboard.
    fn with_live(server: &Server) -> Self {
        Self::with_state(server, each_key(), |state| {
            let (operators, stop) = (state.operators.clone().unwrap(), CancellationToken::new());
            state.live = Some(Live::start(&Config::default(), operators, Arc::default(), stop).unwrap());
        })
    }

    fn with_state(server: &Server, keys: ApiKeys, change: impl FnOnce(&mut State)) -> Self {
        let keys = Arc::new(keys);
        let reloads = Arc::new(ReloadLog::default());
        let realtime = Realtime::new(server.gates.limits().clone(), server.broker.clone());
        let mut state = State {
            gates: server.gates.clone(),
            clients: realtime.clone(),
            visitors: Visitors::new(&realtime, &server.gates, &Auth::default()),
            operators: Some(Arc::new(Operators::new(keys.clone(), server.clock.clone()))),
            live: None,
            api_keys: keys,
            dead_letters: server.dead_letters.clone(),
            plugins: Arc::new(FakeRoster),
            store: server.store.clone(),
            bus_sources: server.bus_sources.clone(),
            reloads: reloads.clone(),
            document: document(&Auth::default()),
        };
        change(&mut state);
        Self { realtime, reloads, router: router(state) }
    }

    async fn answer(&self, call: Call) -> Response {
        let request = call.request.body(call.body).unwrap();
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let answer = self.router.clone().oneshot(request).await.unwrap();
        openapi::tells(&method, &path, &answer);
        answer
    }
}

impl Answer {
    fn json(&self) -> Value {
        assert_eq!(self.header(header::CONTENT_TYPE.as_str()), "application/json");
        serde_json::from_str(&self.text).unwrap()
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The status and the code of a refusal, whose body has the shape of a refused ack's `error`.
    fn refused(&self) -> (u16, String) {
        let error = self.json()["error"].clone();
        assert!(error["message"].is_string() && error["retry"].is_boolean(), "{error}");
        (self.status.as_u16(), error["code"].as_str().unwrap().to_owned())
    }

    fn details(&self) -> Value {
        self.json()["error"]["details"].clone()
    }
}

/// `(status, code)`, to compare with [`Answer::refused`].
fn refusal(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}
