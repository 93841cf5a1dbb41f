//! The contract of `wit/`: its bindings, the versions that this host serves, and what a component exports and imports of it.

mod bindings;
pub(crate) mod exports;
mod offered;
mod versions;

pub(crate) use bindings::{
    authorizer, client, connection, context, context_without_topic, deadline_ms, host, now_ms, queries, secrets,
    shorten, store, transform, types, user,
};
pub use offered::Standing;
pub(crate) use offered::{check_imports, standings};
pub(crate) use versions::{Contract, function};
