//! `wit/` as Rust: the generated bindings, and translations from the flow's types to the contract's types.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tidegate_core::flow::CallContext;
use tidegate_core::flow::ports::{Action, ConnectionCall, Phase, PluginRefusal, TransformCall};
use tidegate_core::protocol::{ConnectionId, User};

/// The bindings of every kind and of every import: one world, so that all kinds share their types.
#[allow(missing_docs, unreachable_pub, clippy::allow_attributes_without_reason, reason = "generated from wit/")]
mod bindings {
    wasmtime::component::bindgen!({
        path: "../../wit",
        inline: "
            package tidegate:served;

            world served {
                include tidegate:plugin/handler-plugin@0.2.0;
                include tidegate:plugin/authorizer-plugin@0.2.0;
                include tidegate:plugin/snapshot-plugin@0.2.0;
                include tidegate:plugin/transform-plugin@0.2.0;
                include tidegate:plugin/connection-plugin@0.2.0;
                include tidegate:plugin/granted@0.2.0;
            }
        ",
        world: "tidegate:served/served",
        imports: {
            "tidegate:host/random": trappable,
            "tidegate:kv/store": async,
            "tidegate:sql/queries": async,
            "tidegate:http/client": async,
        },
        exports: { default: async },
    });
}

pub(super) use bindings::exports::tidegate::plugin::{authorizer, connection, transform};
pub(super) use bindings::tidegate::host::{self, secrets};
pub(super) use bindings::tidegate::http::client;
pub(super) use bindings::tidegate::kv::store;
pub(super) use bindings::tidegate::plugin::types;
pub(super) use bindings::tidegate::sql::queries;

/// The context of a call, in the contract's types.
pub(super) fn context(call: &CallContext, wall: Duration) -> types::Context {
    types::Context {
        topic: call.topic().as_str().to_owned(),
        channel: call.channel().to_owned(),
        params: call.params().iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        user: call.user.as_deref().map(user),
        connection_id: call.connection.as_str().to_owned(),
        received_at_ms: now_ms(),
        deadline_ms: deadline_ms(wall),
        attributes: Vec::new(),
    }
}

/// The context of a connection at gate 1, in the contract's types: there is no topic and no user yet.
pub(super) fn entrance(connection: &ConnectionId, wall: Duration) -> types::Context {
    types::Context {
        topic: String::new(),
        channel: String::new(),
        params: Vec::new(),
        user: None,
        connection_id: connection.as_str().to_owned(),
        received_at_ms: now_ms(),
        deadline_ms: deadline_ms(wall),
        attributes: Vec::new(),
    }
}

/// An opened or closed connection, in the contract's types.
pub(super) fn peer(call: &ConnectionCall<'_>, wall: Duration) -> connection::Peer {
    connection::Peer {
        connection_id: call.connection.as_str().to_owned(),
        user: call.user.map(user),
        received_at_ms: now_ms(),
        deadline_ms: deadline_ms(wall),
    }
}

/// An event on its way to a topic, in the contract's types.
pub(super) fn crossing(call: &TransformCall<'_>, wall: Duration) -> transform::Crossing {
    let event = call.event;
    transform::Crossing {
        event: transform::Event {
            kind: event.kind.clone(),
            source: event.source.clone(),
            id: event.id.clone(),
            subject: event.subject.clone(),
            time: event.time.clone(),
            data: event.data.as_str().to_owned(),
        },
        topic: call.topic.to_owned(),
        payload: call.payload.as_str().to_owned(),
        deadline_ms: deadline_ms(wall),
    }
}

fn user(user: &User) -> types::User {
    types::User { id: user.id.clone(), roles: user.roles.clone(), tenant: user.tenant.clone() }
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis)
}

fn deadline_ms(wall: Duration) -> u32 {
    u32::try_from(wall.as_millis()).unwrap_or(u32::MAX)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl From<Action> for authorizer::Action {
    fn from(action: Action) -> Self {
        match action {
            Action::Subscribe => Self::Subscribe,
            Action::Send => Self::Send,
        }
    }
}

impl From<Phase> for connection::Phase {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::Connected => Self::Connected,
            Phase::Disconnected => Self::Disconnected,
        }
    }
}

impl From<types::Refusal> for PluginRefusal {
    fn from(refusal: types::Refusal) -> Self {
        match refusal {
            types::Refusal::InvalidPayload(reason) => Self::InvalidPayload(shorten(reason)),
            types::Refusal::Forbidden(reason) => Self::Forbidden(shorten(reason)),
            types::Refusal::Unavailable(reason) => Self::Unavailable(shorten(reason)),
            types::Refusal::Failed(reason) => Self::Failed(shorten(reason)),
        }
    }
}

/// Longest sentence of a plugin that the server keeps, in bytes; the rest is cut.
pub(super) const SENTENCE_BYTES_MAX: usize = 1024;

/// Cuts a plugin's sentence to [`SENTENCE_BYTES_MAX`].
pub(super) fn shorten(mut sentence: String) -> String {
    sentence.truncate(sentence.floor_char_boundary(SENTENCE_BYTES_MAX));
    sentence
}
