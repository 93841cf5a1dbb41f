//! The generated side of the contract, and the few things added to its types.

use std::time::Duration;

/// The world of a handler; it owns the shared types.
#[allow(missing_docs, unreachable_pub, clippy::allow_attributes_without_reason, reason = "generated from wit/")]
pub mod handler_world {
    wit_bindgen::generate!({
        path: "../../../wit",
        world: "handler-plugin",
        pub_export_macro: true,
        export_macro_name: "export_handler",
        default_bindings_module: "tidegate_plugin::__private::handler_world",
        generate_all,
    });
}

/// The world of an authorizer, with the types of the other.
#[allow(missing_docs, unreachable_pub, clippy::allow_attributes_without_reason, reason = "generated from wit/")]
pub mod authorizer_world {
    wit_bindgen::generate!({
        path: "../../../wit",
        world: "authorizer-plugin",
        pub_export_macro: true,
        export_macro_name: "export_authorizer",
        default_bindings_module: "tidegate_plugin::__private::authorizer_world",
        with: {
            "tidegate:plugin/types@0.3.0": crate::bindings::handler_world::tidegate::plugin::types,
            "tidegate:host/log@0.1.0": crate::bindings::handler_world::tidegate::host::log,
            "tidegate:host/config@0.1.0": crate::bindings::handler_world::tidegate::host::config,
            "tidegate:host/clock@0.1.0": crate::bindings::handler_world::tidegate::host::clock,
            "tidegate:host/random@0.1.0": crate::bindings::handler_world::tidegate::host::random,
        },
    });
}

/// What is imported by grant. A component imports of it what its code calls, and nothing else.
#[cfg(target_arch = "wasm32")]
#[allow(missing_docs, unreachable_pub, clippy::allow_attributes_without_reason, reason = "generated from wit/")]
pub(crate) mod granted_world {
    wit_bindgen::generate!({
        path: "../../../wit",
        world: "granted",
        generate_all,
    });
}

/// The world of a snapshot provider, with the types of the first.
#[allow(missing_docs, unreachable_pub, clippy::allow_attributes_without_reason, reason = "generated from wit/")]
pub mod snapshot_world {
    wit_bindgen::generate!({
        path: "../../../wit",
        world: "snapshot-plugin",
        pub_export_macro: true,
        export_macro_name: "export_snapshot",
        default_bindings_module: "tidegate_plugin::__private::snapshot_world",
        with: {
            "tidegate:plugin/types@0.3.0": crate::bindings::handler_world::tidegate::plugin::types,
            "tidegate:host/log@0.1.0": crate::bindings::handler_world::tidegate::host::log,
            "tidegate:host/config@0.1.0": crate::bindings::handler_world::tidegate::host::config,
            "tidegate:host/clock@0.1.0": crate::bindings::handler_world::tidegate::host::clock,
            "tidegate:host/random@0.1.0": crate::bindings::handler_world::tidegate::host::random,
        },
    });
}

/// The world of a transform, with the types of the first.
#[allow(missing_docs, unreachable_pub, clippy::allow_attributes_without_reason, reason = "generated from wit/")]
pub mod transform_world {
    wit_bindgen::generate!({
        path: "../../../wit",
        world: "transform-plugin",
        pub_export_macro: true,
        export_macro_name: "export_transform",
        default_bindings_module: "tidegate_plugin::__private::transform_world",
        with: {
            "tidegate:host/log@0.1.0": crate::bindings::handler_world::tidegate::host::log,
            "tidegate:host/config@0.1.0": crate::bindings::handler_world::tidegate::host::config,
            "tidegate:host/clock@0.1.0": crate::bindings::handler_world::tidegate::host::clock,
            "tidegate:host/random@0.1.0": crate::bindings::handler_world::tidegate::host::random,
        },
    });
}

/// The world of a plugin that hears of connections, with the types of the first.
#[allow(missing_docs, unreachable_pub, clippy::allow_attributes_without_reason, reason = "generated from wit/")]
pub mod connection_world {
    wit_bindgen::generate!({
        path: "../../../wit",
        world: "connection-plugin",
        pub_export_macro: true,
        export_macro_name: "export_connection",
        default_bindings_module: "tidegate_plugin::__private::connection_world",
        with: {
            "tidegate:plugin/types@0.3.0": crate::bindings::handler_world::tidegate::plugin::types,
            "tidegate:host/log@0.1.0": crate::bindings::handler_world::tidegate::host::log,
            "tidegate:host/config@0.1.0": crate::bindings::handler_world::tidegate::host::config,
            "tidegate:host/clock@0.1.0": crate::bindings::handler_world::tidegate::host::clock,
            "tidegate:host/random@0.1.0": crate::bindings::handler_world::tidegate::host::random,
        },
    });
}

pub use authorizer_world::exports::tidegate::plugin::authorizer::{Action, Decision, Grant};
pub use connection_world::exports::tidegate::plugin::connection::{Peer, Phase};
pub(crate) use handler_world::tidegate::plugin::types::{Audience, Effect, Emit, Publish, Remove};
pub use handler_world::tidegate::plugin::types::{Context, Refusal, User};

impl Context {
    /// What the topic puts in one place of the channel's template: `param("vaultId")` is `v1` on `vault.v1`.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The user's id; `None` on an anonymous connection.
    #[must_use]
    pub fn user_id(&self) -> Option<&str> {
        self.user.as_ref().map(|user| user.id.as_str())
    }
}

impl Peer {
    /// The user's id; `None` on an anonymous connection.
    #[must_use]
    pub fn user_id(&self) -> Option<&str> {
        self.user.as_ref().map(|user| user.id.as_str())
    }
}

impl User {
    /// Whether the user has a role.
    #[must_use]
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|own| own == role)
    }
}

impl Decision {
    /// Yes; ask again the next time.
    #[must_use]
    pub const fn allow() -> Self {
        Self::Allow(Grant { ttl_ms: 0, user: None })
    }

    /// Yes, to a connection that wants in: it is this user's, for so long; zero is as long as it lasts.
    #[must_use]
    pub fn admit(user: User, ttl: Duration) -> Self {
        Self::Allow(Grant { ttl_ms: u32::try_from(ttl.as_millis()).unwrap_or(u32::MAX), user: Some(user) })
    }

    /// No. The reason goes to the server's log, never to the client.
    #[must_use]
    pub fn deny(reason: impl Into<String>) -> Self {
        Self::Deny(reason.into())
    }

    /// Neither: what the answer depends on is away. The client may try again; what it holds already it keeps. The reason goes
    /// to the server's log, never to the client.
    #[must_use]
    pub fn cannot_tell(reason: impl Into<String>) -> Self {
        Self::CannotTell(reason.into())
    }
}
