//! What most tests declare and ask.

use std::fmt::Debug;

use tidegate_core::protocol::{Code, ConnectionId, Refusal};

/// One channel of every kind.
pub const CHANNELS: &str = r#"
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
pub fn connection() -> ConnectionId {
    ConnectionId::new("c1")
}

/// The code of a refusal.
///
/// # Panics
/// When nothing was refused.
pub fn code<T: Debug>(result: Result<T, Refusal>) -> Code {
    result.unwrap_err().code
}
