//! YAML → [`Catalog`]: what is declared, compiled, immutable. No I/O.

mod bridge;
mod catalog;
mod schema;
mod scope;
mod template;

pub use bridge::{BridgeError, BridgeRule, BridgeTable, RuleId};
pub use catalog::{Catalog, Channel, Inbound, InboundAction, Rate, Resolved};
pub use schema::{Schema, Violation};
pub use scope::Scope;
pub use template::Template;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::{Diagnostic, SourceFile};
use crate::protocol::{Generation, PluginName};

/// Everything a catalog is compiled from, already read.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// `channels/*.yaml`.
    pub manifests: Vec<Arc<SourceFile>>,
    /// Every JSON file below the channels directory, by its path relative to that directory, `/`-separated.
    pub schemas: BTreeMap<String, Arc<SourceFile>>,
    /// `bridge.yaml`, when there is one.
    pub bridge: Option<Arc<SourceFile>>,
    /// The plugins that will serve, with what each can be.
    pub plugins: BTreeMap<PluginName, PluginKinds>,
    /// Plugins that are there and did not load: their own mistakes are told elsewhere, naming them is none.
    pub unloadable: Vec<PluginName>,
}

/// What a plugin's component exports.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PluginKinds {
    /// It answers messages.
    pub handler: bool,
    /// It decides who may join and send.
    pub authorizer: bool,
}

/// Compiles a catalog.
///
/// # Errors
/// Every mistake of every file, in file and line order; never just the first.
pub fn compile(_sources: &Sources, _generation: Generation) -> Result<Catalog, Vec<Diagnostic>> {
    unimplemented!()
}
