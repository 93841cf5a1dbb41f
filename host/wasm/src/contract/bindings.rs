//! `wit/` as Rust: the generated bindings, and the words that all kinds of plugin share.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::tape;
use tidegate_core::flow::CallContext;
use tidegate_core::protocol::{ConnectionId, User};

/// The bindings of every kind and of every import: one world, so that all kinds share their types.
#[allow(missing_docs, unreachable_pub, clippy::allow_attributes_without_reason, reason = "generated from wit/")]
mod generated {
    wasmtime::component::bindgen!({
        path: "../../wit",
        inline: "
            package tidegate:served;

            world served {
                include tidegate:plugin/handler-plugin@0.3.0;
                include tidegate:plugin/authorizer-plugin@0.3.0;
                include tidegate:plugin/snapshot-plugin@0.3.0;
                include tidegate:plugin/transform-plugin@0.3.0;
                include tidegate:plugin/connection-plugin@0.3.0;
                include tidegate:plugin/granted@0.3.0;
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

pub(crate) use generated::exports::tidegate::plugin::{authorizer, connection, transform};
pub(crate) use generated::tidegate::host::{self, secrets};
pub(crate) use generated::tidegate::http::client;
pub(crate) use generated::tidegate::kv::store;
pub(crate) use generated::tidegate::plugin::types;
pub(crate) use generated::tidegate::sql::queries;

/// The context of a call, in the words of the contract.
pub(crate) fn context(call: &CallContext, wall: Duration) -> types::Context {
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

/// The context of a connection at gate 1, in the words of the contract: it has no topic and no user yet.
pub(crate) fn context_without_topic(connection: &ConnectionId, wall: Duration) -> types::Context {
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

/// The user, in the words of the contract.
pub(crate) fn user(user: &User) -> types::User {
    types::User { id: user.id.clone(), roles: user.roles.clone(), tenant: user.tenant.clone() }
}

/// When a call came in, in milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> u64 {
    tape::received_at_ms(|| SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis))
}

/// The time that a call has, in milliseconds.
pub(crate) fn deadline_ms(wall: Duration) -> u32 {
    u32::try_from(wall.as_millis()).unwrap_or(u32::MAX)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Longest sentence of a plugin that the server keeps, in bytes.
const SENTENCE_BYTES_MAX: usize = 1024;

/// Cuts a plugin's sentence to [`SENTENCE_BYTES_MAX`].
pub(crate) fn shorten(mut sentence: String) -> String {
    sentence.truncate(sentence.floor_char_boundary(SENTENCE_BYTES_MAX));
    sentence
}
