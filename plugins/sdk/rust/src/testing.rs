//! Stands in for the host in unit tests that run off wasm.

pub(crate) mod kv;

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde_json::Value;

use crate::authorizer::{Payload, Request};
use crate::bindings::{Action, Context, User};

thread_local! {
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

pub(crate) fn config_value(key: &str) -> Option<String> {
    CONFIG.with_borrow(|config| config.get(key).cloned())
}

pub(crate) fn secret(name: &str) -> Option<String> {
    SECRETS.with_borrow(|secrets| secrets.get(name).cloned())
}
