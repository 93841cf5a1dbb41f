//! The closed list of codes for clients, and the refusal that carries one.

use std::borrow::Cow;

use serde::ser::{Serialize, SerializeStruct, Serializer};
use serde_json::Value;

/// Why a client was refused. The list is closed: a new meaning needs a new line in the manual.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Code {
    /// The gate needs a user and the connection has none, or the credential is not valid.
    Unauthenticated,
    /// The credential has expired.
    TokenExpired,
    /// The credential was revoked.
    TokenRevoked,
    /// There is a user, and the gate refuses it. Never says why.
    Forbidden,
    /// No declared channel has this name.
    UnknownChannel,
    /// The connection does not hold the topic.
    NotSubscribed,
    /// The channel accepts no messages from clients.
    NoHandler,
    /// The channel keeps no history.
    NoHistory,
    /// The channel does not tell who is there.
    NoPresence,
    /// The channel retains no values.
    NoRetained,
    /// The payload does not match the declared schema, or the envelope is malformed.
    InvalidPayload,
    /// The same idempotency key came with another body.
    IdempotencyConflict,
    /// The payload is larger than `limits.payload`.
    PayloadTooLarge,
    /// More messages than the channel's rate or the connection's queue allows.
    RateLimited,
    /// The team that the channel belongs to has used up its share of the server (`teams`).
    OverBudget,
    /// The connection already holds `limits.subscriptions_per_connection` topics.
    TooManySubscriptions,
    /// The handler failed; none of its effects happened.
    HandlerFailed,
    /// The handler ran out of time; none of its effects happened.
    HandlerTimeout,
    /// Something that the answer needs is away or full.
    Unavailable,
    /// The server is shutting down; another one, or this one later, will answer.
    Draining,
    /// A bug in the server.
    Internal,
}

impl Code {
    /// Every code, in the order of the manual.
    pub const ALL: [Self; 21] = [
        Self::Unauthenticated,
        Self::TokenExpired,
        Self::TokenRevoked,
        Self::Forbidden,
        Self::UnknownChannel,
        Self::NotSubscribed,
        Self::NoHandler,
        Self::NoHistory,
        Self::NoPresence,
        Self::NoRetained,
        Self::InvalidPayload,
        Self::IdempotencyConflict,
        Self::PayloadTooLarge,
        Self::RateLimited,
        Self::OverBudget,
        Self::TooManySubscriptions,
        Self::HandlerFailed,
        Self::HandlerTimeout,
        Self::Unavailable,
        Self::Draining,
        Self::Internal,
    ];

    /// The stable name on the wire, in logs and in metric labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unauthenticated => "unauthenticated",
            Self::TokenExpired => "token_expired",
            Self::TokenRevoked => "token_revoked",
            Self::Forbidden => "forbidden",
            Self::UnknownChannel => "unknown_channel",
            Self::NotSubscribed => "not_subscribed",
            Self::NoHandler => "no_handler",
            Self::NoHistory => "no_history",
            Self::NoPresence => "no_presence",
            Self::NoRetained => "no_retained",
            Self::InvalidPayload => "invalid_payload",
            Self::IdempotencyConflict => "idempotency_conflict",
            Self::PayloadTooLarge => "payload_too_large",
            Self::RateLimited => "rate_limited",
            Self::OverBudget => "over_budget",
            Self::TooManySubscriptions => "too_many_subscriptions",
            Self::HandlerFailed => "handler_failed",
            Self::HandlerTimeout => "handler_timeout",
            Self::Unavailable => "unavailable",
            Self::Draining => "draining",
            Self::Internal => "internal",
        }
    }

    /// Whether the same request may succeed later without a change by the client.
    #[must_use]
    pub const fn retry(self) -> bool {
        matches!(
            self,
            Self::RateLimited
                | Self::OverBudget
                | Self::HandlerTimeout
                | Self::Unavailable
                | Self::Draining
                | Self::Internal
        )
    }

    /// The message for people. It is the same for everyone, so it reveals nothing internal.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::Unauthenticated => "a valid credential is needed",
            Self::TokenExpired => "the credential has expired",
            Self::TokenRevoked => "the credential was revoked",
            Self::Forbidden => "not allowed",
            Self::UnknownChannel => "no channel has this name",
            Self::NotSubscribed => "not subscribed to this topic",
            Self::NoHandler => "this channel takes no messages",
            Self::NoHistory => "this channel keeps no history",
            Self::NoPresence => "this channel does not tell who is there",
            Self::NoRetained => "this channel retains no values",
            Self::InvalidPayload => "the payload does not match the schema",
            Self::IdempotencyConflict => "this idempotency key was used with another body",
            Self::PayloadTooLarge => "the payload is too large",
            Self::RateLimited => "too many messages, slow down",
            Self::OverBudget => "the share of this channel's team is used up, try again later",
            Self::TooManySubscriptions => "too many subscriptions on this connection",
            Self::HandlerFailed => "the handler failed",
            Self::HandlerTimeout => "the handler did not answer in time",
            Self::Unavailable => "temporarily unavailable",
            Self::Draining => "the server is shutting down",
            Self::Internal => "internal error",
        }
    }
}

/// A refusal for a client: a code, a message and, where it helps, details.
///
/// On the wire: `{ code, message, retry, details? }`.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// The code.
    pub code: Code,
    /// The message: the code's own, unless a more helpful one is safe.
    pub message: Cow<'static, str>,
    /// Structured details, for example the violations of a schema. Never anything internal.
    pub details: Option<Value>,
}

impl Refusal {
    /// A refusal with the code's own message.
    #[must_use]
    pub const fn new(code: Code) -> Self {
        Self { code, message: Cow::Borrowed(code.message()), details: None }
    }

    /// A refusal with its own message, for errors that the client can fix.
    #[must_use]
    pub fn because(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), details: None }
    }

    /// The same refusal with details.
    #[must_use]
    pub fn with_details(mut self, details: Value) -> Self {
        self.details = Some(details);
        self
    }
}

impl From<Code> for Refusal {
    fn from(code: Code) -> Self {
        Self::new(code)
    }
}

impl Serialize for Refusal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fields = 3 + usize::from(self.details.is_some());
        let mut out = serializer.serialize_struct("error", fields)?;
        out.serialize_field("code", self.code.as_str())?;
        out.serialize_field("message", &self.message)?;
        out.serialize_field("retry", &self.code.retry())?;
        if let Some(details) = &self.details {
            out.serialize_field("details", details)?;
        }
        out.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_on_the_wire_carries_code_message_and_retry() {
        let text = serde_json::to_string(&Refusal::new(Code::RateLimited)).unwrap();
        assert_eq!(text, r#"{"code":"rate_limited","message":"too many messages, slow down","retry":true}"#);
    }

    #[test]
    fn every_code_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(names.len(), Code::ALL.len());
    }
}
