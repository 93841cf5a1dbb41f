//! Plugins: WebAssembly components. They are loaded, called within their limits, and dropped when they fail. The only
//! home of wasmtime.
//!
//! A plugin's bytes become a [`Plugin`] through [`PluginHost::load`]; the plugins of a generation are a [`PluginSet`],
//! which the flow calls. This module reads no files, except for [`build`], for [`Sources`] and for
//! [`CompileSettings::cache`].

mod answer;
mod breaker;
mod build;
mod calls;
mod census;
mod compile;
mod contract;
mod engine;
mod exports;
mod fault;
mod grants;
mod guest;
mod imports;
mod inspect;
mod instance;
mod limits;
mod load;
mod manifest;
mod needs;
mod output;
mod plugin;
mod pool;
mod probation;
mod proof;
mod quarantine;
mod record;
mod recording;
mod room;
mod roster;
mod set;
mod sources;
mod vectors;
mod versions;
mod worlds;

pub use build::{BuildError, BuildReport, WASM_TARGET, Words, build, ensure_wasm_target};
pub use compile::{CompileOrder, CompileOrderError, CompilePlace, CompileSettings, Effort, compile_here};
pub use imports::{NoDatabase, Secrets, Services, Standing};
pub use inspect::{Inspection, InstanceCost};
pub use load::COMPONENT_BYTES_MAX;
pub use manifest::{PluginManifest, component_named, manifest_schema, read_manifest};
pub use needs::Needs;
pub use plugin::{Digest, Fingerprint, Plugin};
pub use quarantine::{KeptOut, Quarantine, Quarantined};
pub use recording::{HttpSeen, Recorded, recorded};
pub use roster::Roster;
pub use set::PluginSet;
pub use sources::Sources;
pub use vectors::{Asked, ContextFile, UserFile, Vector, differences};

use std::sync::Arc;
use std::time::Duration;

use wasmtime::Engine;
use wasmtime::component::Linker;

use compile::Compiler;
use guest::Guest;
use pool::Slots;
use tidegate_core::config::{Limits, SourceFile};
use tidegate_core::protocol::PluginName;

/// The settings of the plugin host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostSettings {
    /// Live instances of all plugins together, working or resting. Default 512. A call that finds no free instance
    /// waits as long as its plugin's `limits.wall`; then it is a fault of kind `overloaded`.
    pub instances_max: u32,
    /// How many of those are reserved for authorizers; at least one is for all other kinds. Default: one in eight.
    pub authorizer_instances: Option<u32>,
    /// How long all golden vectors of one plugin may take together before it serves. Default 10 s.
    pub self_test_max: Duration,
}

impl Default for HostSettings {
    fn default() -> Self {
        Self { instances_max: 512, authorizer_instances: None, self_test_max: Duration::from_secs(10) }
    }
}

impl From<&Limits> for HostSettings {
    fn from(limits: &Limits) -> Self {
        Self {
            instances_max: u32::try_from(limits.plugin_instances_max).unwrap_or(u32::MAX),
            authorizer_instances: limits
                .plugin_authorizer_instances
                .map(|count| u32::try_from(count).unwrap_or(u32::MAX)),
            self_test_max: limits.plugin_self_test_max,
        }
    }
}

/// Loads plugins. There is one in a process: it owns the engine.
pub struct PluginHost {
    engine: Engine,
    linker: Linker<Guest>,
    slots: Arc<Slots>,
    compiler: Compiler,
    services: Services,
    self_test_max: Duration,
    quarantine: Arc<Quarantine>,
    shows_inputs: bool,
}

/// A plugin as read from its directory.
#[derive(Debug, Clone)]
pub struct PluginSource {
    /// The directory's name.
    pub name: PluginName,
    /// Its `plugin.yaml`.
    pub manifest: Arc<SourceFile>,
    /// The component's path, as errors show it.
    pub component_path: String,
    /// The component.
    pub component: Vec<u8>,
    /// Its golden vectors: it serves only if it passes them. Empty if they do not matter.
    pub vectors: Vec<Arc<SourceFile>>,
}

impl PluginSource {
    /// The same without its golden vectors: it loads whether it passes them or not.
    #[must_use]
    pub fn unproven(self) -> Self {
        Self { vectors: Vec::new(), ..self }
    }
}

/// The plugin host cannot start on this machine.
#[derive(Debug, thiserror::Error)]
#[error("the plugin host does not start: {0}")]
pub struct HostError(#[from] wasmtime::Error);

impl PluginHost {
    /// Starts the engine, with [`Services::in_memory`].
    ///
    /// # Errors
    /// As [`PluginHost::with_services`].
    pub fn new(settings: HostSettings) -> Result<Self, HostError> {
        Self::with_services(settings, Services::in_memory())
    }

    /// Starts the engine.
    ///
    /// # Errors
    /// [`HostError`] when this machine cannot run WebAssembly, or the thread of the clock cannot be started.
    pub fn with_services(settings: HostSettings, services: Services) -> Result<Self, HostError> {
        let engine = engine::build(settings.instances_max)?;
        let linker = load::linker(&engine)?;
        let compiler = Compiler::new(CompileSettings::default(), &engine);
        let slots = Arc::new(Slots::new(settings.instances_max, settings.authorizer_instances));
        let quarantine = Arc::new(Quarantine::default());
        let self_test_max = settings.self_test_max;
        Ok(Self { engine, linker, slots, compiler, services, self_test_max, quarantine, shows_inputs: false })
    }

    /// The same host, but it logs the beginning of the message that caused a plugin's fault. The message comes from a
    /// client, so this is only for developers of plugins.
    #[must_use]
    pub fn showing_inputs(self) -> Self {
        Self { shows_inputs: true, ..self }
    }

    /// The same host, but it does not load these versions.
    #[must_use]
    pub fn refusing(self, quarantine: Arc<Quarantine>) -> Self {
        Self { quarantine, ..self }
    }

    /// How often to call [`PluginHost::sweep`].
    pub const SWEEP_INTERVAL: Duration = pool::SWEEP_INTERVAL;

    /// Drops the instances that rested too long (`instances.idle`), and reports the number of instances to the metrics.
    /// Blocks for that time.
    pub fn sweep(&self) {
        self.slots.sweep();
    }

    /// The versions that it does not load.
    #[must_use]
    pub const fn quarantine(&self) -> &Arc<Quarantine> {
        &self.quarantine
    }

    /// The same host with these settings for compiling.
    #[must_use]
    pub fn compiling(self, settings: CompileSettings) -> Self {
        let compiler = Compiler::new(settings, &self.engine);
        Self { compiler, ..self }
    }
}
