//! `wit/` as Rust: the generated bindings, and the flow's words put into the contract's.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::flow::CallContext;
use crate::flow::ports::{Action, PluginRefusal};

/// The bindings of a handler; they own the types both worlds share.
#[allow(missing_docs, unreachable_pub, clippy::allow_attributes_without_reason, reason = "generated from wit/")]
pub(super) mod handler_world {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "handler-plugin",
        imports: { "tidegate:host/random": trappable },
        exports: { default: async },
    });
}

/// The bindings of an authorizer.
#[allow(missing_docs, unreachable_pub, clippy::allow_attributes_without_reason, reason = "generated from wit/")]
pub(super) mod authorizer_world {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "authorizer-plugin",
        exports: { default: async },
        with: {
            "tidegate:plugin/types": super::handler_world::tidegate::plugin::types,
            "tidegate:host/log": super::handler_world::tidegate::host::log,
            "tidegate:host/config": super::handler_world::tidegate::host::config,
            "tidegate:host/clock": super::handler_world::tidegate::host::clock,
            "tidegate:host/random": super::handler_world::tidegate::host::random,
        },
    });
}

/// The bindings of what is imported by grant.
#[allow(missing_docs, unreachable_pub, clippy::allow_attributes_without_reason, reason = "generated from wit/")]
pub(super) mod granted_world {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "granted",
        imports: {
            "tidegate:kv/store": async,
            "tidegate:sql/queries": async,
            "tidegate:http/client": async,
        },
    });
}

pub(super) use authorizer_world::exports::tidegate::plugin::authorizer;
pub(super) use granted_world::tidegate::host::secrets;
pub(super) use granted_world::tidegate::kv::store;
pub(super) use handler_world::tidegate::host;
pub(super) use handler_world::tidegate::plugin::types;

/// The minor version of `tidegate:plugin` and `tidegate:host` this host serves.
pub(super) const VERSION: semver::Version = semver::Version::new(0, 1, 0);

/// The context of a call, in the contract's words.
pub(super) fn context(call: &CallContext, wall: Duration) -> types::Context {
    types::Context {
        topic: call.topic().as_str().to_owned(),
        channel: call.channel().to_owned(),
        params: call.params().iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        user: call.user.as_ref().map(|user| types::User {
            id: user.id.clone(),
            roles: user.roles.clone(),
            tenant: user.tenant.clone(),
        }),
        connection_id: call.connection.as_str().to_owned(),
        received_at_ms: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis),
        deadline_ms: u32::try_from(wall.as_millis()).unwrap_or(u32::MAX),
        attributes: Vec::new(),
    }
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

/// Longest sentence of a plugin that is kept, in bytes; the rest is cut.
pub(super) const SENTENCE_BYTES_MAX: usize = 1024;

/// Cuts a plugin's sentence to [`SENTENCE_BYTES_MAX`].
pub(super) fn shorten(mut sentence: String) -> String {
    sentence.truncate(sentence.floor_char_boundary(SENTENCE_BYTES_MAX));
    sentence
}
