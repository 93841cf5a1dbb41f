//! The gates and the bridge, each verb with every refusal it can give, on the real catalog with fakes around it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod authenticate;
mod bridge;
mod broadcast;
mod bus;
mod connect;
mod connection;
mod decisions;
mod doubt;
mod drain;
mod ending;
mod identify;
mod inbound;
mod introspect;
mod issuer;
mod key_sets;
mod look;
mod nodes;
mod rate;
mod recheck;
mod relay;
mod revoke;
mod session_query;
mod sessions;
mod snapshot;
mod subscribe;
mod tokens;
mod transform;
mod unsubscribe;

use std::fmt::Debug;

use tidegate::protocol::{Code, ConnectionId, Refusal};

/// One channel of every kind.
const CHANNELS: &str = r#"
feature: test
channels:
  news:
    scope: public
    payload: { type: object, required: [title], properties: { title: { type: string } } }
  members-only:
    scope: authenticated
    payload: { type: object }
  desk:
    scope: { role: editor }
    payload: { type: object }
  inbox.{userId}:
    scope: { user: userId }
    payload: { type: object }
  ping:
    scope: authenticated
    payload: { type: object, required: [pong], properties: { pong: { type: integer } } }
    inbound:
      payload: { type: object, required: [n], properties: { n: { type: integer } }, additionalProperties: false }
      handler: answerer
  vault.{vaultId}:
    scope: authenticated
    authorizer: members
    payload: { type: object }
    inbound:
      payload: { type: object, required: [n] }
      handler: answerer
  lobby.{room}:
    scope: public
    authorizer: members
    payload: { type: object }
  rated:
    scope: public
    payload: { type: object }
    inbound:
      payload: { type: object, additionalProperties: false }
      handler: answerer
      rate: 3/s
  chat.{room}:
    scope: public
    payload: { type: object, required: [text], properties: { text: { type: string } } }
    inbound: { relay: others }
  echo:
    scope: public
    payload: { type: object, properties: { n: { maximum: 100 } } }
    inbound:
      payload: { type: object, required: [n], properties: { n: { type: integer } } }
      relay: all
"#;

/// A connection that wants in.
fn connection() -> ConnectionId {
    ConnectionId::new("c1")
}

/// The code of a refusal.
fn code<T: Debug>(result: Result<T, Refusal>) -> Code {
    result.unwrap_err().code
}
