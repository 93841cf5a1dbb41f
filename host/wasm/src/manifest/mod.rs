//! `plugin.yaml`: the file, and its sections.

mod breaker;
mod compared;
mod file;
mod grants;
mod limits;
mod mistakes;
mod shadow;

pub(crate) use breaker::{BreakerSettings, PAUSE_MAX};
pub(crate) use file::Isolation;
pub use file::{PluginManifest, component_named, manifest_schema, read_manifest};
pub(crate) use grants::Grants;
pub(crate) use limits::PluginLimits;
pub(crate) use shadow::{ShadowSection, Share};
