//! From YAML to the [`Catalog`]: the declared channels and rules, compiled and immutable. No I/O.

mod bridge;
mod bridge_file;
mod catalog;
mod cel_json;
mod cel_text;
mod compile;
mod delivery;
mod examples;
mod expression;
mod history;
mod index;
mod manifest;
mod pattern;
mod plugin_kinds;
mod presence;
mod schema;
mod schema_cost;
mod schema_document;
mod schema_files;
mod schema_keywords;
mod scope;
mod template;
mod types;

pub use bridge::{BridgeError, BridgeRule, BridgeTable, Ended, RuleId};
pub use catalog::{Catalog, Channel, Inbound, InboundAction, Rate, Resolved};
pub use compile::{Sources, UnreadFiles, bridge_schema, compile, manifest_schema};
pub use delivery::{DeliveryPolicy, Pointer};
pub use examples::{judge_examples, read_examples};
pub use history::HistoryPolicy;
pub use plugin_kinds::{NamedPlugin, PluginKind, PluginKinds};
pub use presence::PresencePolicy;
pub use schema::{Schema, Violation};
pub use scope::Scope;
pub use template::{InvalidTemplate, Template};
pub use types::{ChannelTypes, Types, TypesLanguage, types};
