//! Stands in for the host in unit tests that run off wasm.

pub(crate) mod http;
pub(crate) mod kv;

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde_json::Value;

use crate::authorizer::{Credential, Payload, Request};
use crate::bindings::{Action, Context, Peer, User};
use crate::transform::{Crossing, Event};

/// Answers a query.
type AnswerQuery = Box<dyn Fn(&[Value]) -> Value>;

thread_local! {
    static QUERIES: RefCell<BTreeMap<String, AnswerQuery>> = const { RefCell::new(BTreeMap::new()) };
    static SECRETS: RefCell<BTreeMap<String, String>> = const { RefCell::new(BTreeMap::new()) };
    static CONFIG: RefCell<BTreeMap<String, String>> = const { RefCell::new(BTreeMap::new()) };
}

/// Sets one key of the `config:` section for the tests of this thread.
pub fn set_config(key: &str, value: &Value) {
    CONFIG.with_borrow_mut(|config| config.insert(key.to_owned(), value.to_string()));
}

/// Grants and sets a secret for the tests of this thread.
pub fn set_secret(name: &str, value: &str) {
    SECRETS.with_borrow_mut(|secrets| secrets.insert(name.to_owned(), value.to_owned()));
}

/// Answers the HTTP requests of this method and URL in the tests of this thread. Any other is unreachable.
pub fn answer_http(method: &str, url: &str, status: u16, body: impl Into<Vec<u8>>) {
    http::answer(method, url, http::Response { status, headers: Vec::new(), body: body.into() });
}

/// The HTTP requests that this thread sent, in order.
#[must_use]
pub fn http_requests() -> Vec<crate::http::Request> {
    let ours = |request: http::Request| {
        let http::Request { method, url, headers, body } = request;
        crate::http::Request { method, url, headers, body, unwritable: None }
    };
    http::sent().into_iter().map(ours).collect()
}

/// An anonymous connection on a topic; set the other fields as the test needs them.
#[must_use]
pub fn context(topic: &str) -> Context {
    Context {
        topic: topic.to_owned(),
        channel: topic.to_owned(),
        params: Vec::new(),
        user: None,
        connection_id: "c1".to_owned(),
        received_at_ms: 0,
        deadline_ms: 100,
        attributes: Vec::new(),
    }
}

/// A user without roles.
#[must_use]
pub fn user(id: &str) -> User {
    User { id: id.to_owned(), roles: Vec::new(), tenant: None }
}

/// A connection of this user; `None` is anonymous.
#[must_use]
pub fn peer(user_id: Option<&str>) -> Peer {
    Peer { connection_id: "c1".to_owned(), user: user_id.map(user), received_at_ms: 0, deadline_ms: 100 }
}

/// An event of this type with this data, on its way to a topic.
#[must_use]
pub fn crossing(kind: &str, data: &Value, topic: &str) -> Crossing {
    let event = Event {
        kind: kind.to_owned(),
        source: "/test".to_owned(),
        id: "e1".to_owned(),
        subject: None,
        time: None,
        data: Payload(data.to_string()),
    };
    Crossing { event, topic: topic.to_owned(), deadline_ms: 100 }
}

/// A connection that wants in with this credential.
#[must_use]
pub fn connect(credential: &Credential) -> Request {
    let shown = match credential {
        Credential::Token(token) => serde_json::json!({ "token": token }),
        Credential::Cookies(cookies) => serde_json::json!({ "cookies": cookies }),
    };
    Request { action: Action::Connect, payload: Some(Payload(shown.to_string())) }
}

/// A wish to subscribe.
#[must_use]
pub fn subscribe() -> Request {
    Request { action: Action::Subscribe, payload: None }
}

/// A wish to send a message.
#[must_use]
pub fn send(payload: &Value) -> Request {
    Request { action: Action::Send, payload: Some(Payload(payload.to_string())) }
}

/// Grants a query and answers it for the tests of this thread: with the rows, an array of objects, for these parameters.
pub fn set_query(name: &str, answer: impl Fn(&[Value]) -> Value + 'static) {
    QUERIES.with_borrow_mut(|queries| queries.insert(name.to_owned(), Box::new(answer)));
}

pub(crate) fn query(name: &str, params: &[Value]) -> Option<Value> {
    QUERIES.with_borrow(|queries| queries.get(name).map(|answer| answer(params)))
}

pub(crate) fn config_value(key: &str) -> Option<String> {
    CONFIG.with_borrow(|config| config.get(key).cloned())
}

pub(crate) fn secret(name: &str) -> Option<String> {
    SECRETS.with_borrow(|secrets| secrets.get(name).cloned())
}
