//! Plugins: WebAssembly components, loaded, called within their limits, and dropped when they fail.
//! The only home of wasmtime.
//!
//! [`PluginHost::load`] makes a [`Plugin`] of the bytes of a component. The plugins of a generation are a
//! [`PluginSet`], which the flow calls. This crate reads no files except the sources of plugins ([`build`],
//! [`BuildInputs`]), the cache of [`CompileSettings::cache`] and the list of [`Quarantine`].
//!
//! | room | what it owns |
//! |---|---|
//! | `compile` | from bytes to native code: the engine, the child process, the cache |
//! | `contract` | `wit/` as Rust: bindings, versions, what a component may export and import |
//! | `manifest` | `plugin.yaml` and its sections |
//! | `imports` | the host functions that plugins call, one file for each interface |
//! | `run` | instances, and the calls that lease them: pool, bulkhead, turns at the CPU, breaker, faults |
//! | `kinds` | one file for each kind of plugin: its function, its question, its answer |
//! | `lifecycle` | build, load, self-test, probation, quarantine, inventory |
//! | `tape` | what the host answered in one call: kept, and played in place of the host |
//! | `proof` | proof before a version goes live: recordings, replay, shadow |
//! | `vectors` | golden vectors |

mod compile;
mod contract;
mod imports;
mod kinds;
mod lifecycle;
mod manifest;
mod mistake;
mod plugin;
mod proof;
mod run;
mod set;
mod tape;
mod vectors;
mod version;

pub use compile::engine::WASMTIME_VERSION;
pub use compile::{CompileOrder, CompileOrderError, CompilePlace, CompileSettings, Effort, Needs, compile_here};
pub use contract::Standing;
pub use imports::{NoDatabase, Secrets, Services};
pub use lifecycle::{
    BuildError, BuildInputs, BuildOutput, BuildReport, COMPONENT_BYTES_MAX, Inspection, InstanceCost, Inventory,
    KeptOut, Quarantine, Quarantined, WASM_TARGET, build, ensure_wasm_target,
};
pub use manifest::{PluginManifest, component_named, manifest_schema, read_manifest};
pub use plugin::Plugin;
pub use proof::{BadRecording, Difference, DifferenceKind, Factors, Group, RecordedFile, Replay};
pub use set::PluginSet;
pub use tape::record::{HttpSeen, Recorded, recorded};
pub use vectors::{Asked, ContextFile, UserFile, Vector, differences};
pub use version::{Digest, Fingerprint};

use std::sync::Arc;
use std::time::Duration;

use wasmtime::Engine;
use wasmtime::component::Linker;

use compile::{Compiler, engine};
use run::{Guest, SWEEP_INTERVAL, Slots, TeamShares};
use tidegate_core::config::{Limits, SourceFile};
use tidegate_core::protocol::PluginName;

/// The settings of the plugin host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostSettings {
    /// Most live instances of all plugins together, busy or resting. Default 512. A call that finds none free waits at
    /// most `limits.wall` of its plugin; then it ends as a fault of kind `overloaded`.
    pub instances_max: u32,
    /// How many of those only authorizers may have; at least one remains for all others. Default: one in eight.
    pub authorizer_instances: Option<u32>,
    /// Live instances of the candidates of shadows, beside `instances_max`. Default 8.
    pub shadow_instances_max: u32,
    /// How long the self-test of a plugin may take: all its golden vectors together. Default 10 s.
    pub self_test_max: Duration,
}

impl Default for HostSettings {
    fn default() -> Self {
        Self {
            instances_max: 512,
            authorizer_instances: None,
            shadow_instances_max: 8,
            self_test_max: Duration::from_secs(10),
        }
    }
}

impl From<&Limits> for HostSettings {
    fn from(limits: &Limits) -> Self {
        Self {
            instances_max: u32::try_from(limits.plugin_instances_max).unwrap_or(u32::MAX),
            authorizer_instances: limits
                .plugin_authorizer_instances
                .map(|count| u32::try_from(count).unwrap_or(u32::MAX)),
            shadow_instances_max: u32::try_from(limits.shadow_instances_max).unwrap_or(u32::MAX),
            self_test_max: limits.plugin_self_test_max,
        }
    }
}

/// Loads plugins. A process has one, because it owns the engine.
pub struct PluginHost {
    engine: Engine,
    linker: Linker<Guest>,
    slots: Arc<Slots>,
    shares: Arc<TeamShares>,
    compiler: Compiler,
    services: Services,
    self_test_max: Duration,
    quarantine: Arc<Quarantine>,
    /// The instances of shadows, apart from all others.
    shadow_slots: Arc<Slots>,
    shows_inputs: bool,
}

/// The files of a plugin.
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
    /// Its golden vectors. It serves only if it answers them as expected. Empty to skip the self-test.
    pub vectors: Vec<Arc<SourceFile>>,
}

impl PluginSource {
    /// The same without golden vectors, to load it without the self-test.
    #[must_use]
    pub fn without_vectors(self) -> Self {
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
        let engine = engine::build(settings.instances_max.saturating_add(settings.shadow_instances_max))?;
        let linker = lifecycle::linker(&engine)?;
        let compiler = Compiler::new(CompileSettings::default(), &engine);
        let slots = Arc::new(Slots::new(settings.instances_max, settings.authorizer_instances));
        let shares = Arc::new(TeamShares::of(&services.budgets));
        let shadow_slots = Arc::new(Slots::apart(settings.shadow_instances_max));
        let quarantine = Arc::new(Quarantine::default());
        let self_test_max = settings.self_test_max;
        Ok(Self {
            engine,
            linker,
            slots,
            shares,
            compiler,
            services,
            self_test_max,
            quarantine,
            shadow_slots,
            shows_inputs: false,
        })
    }

    /// The same host, but a log line about a fault shows the beginning of the message that caused it. Only for
    /// development: the message is private to a client.
    #[must_use]
    pub fn showing_inputs(self) -> Self {
        Self { shows_inputs: true, ..self }
    }

    /// The same host, which does not load quarantined versions.
    #[must_use]
    pub fn refusing(self, quarantine: Arc<Quarantine>) -> Self {
        Self { quarantine, ..self }
    }

    /// The time between two calls of [`PluginHost::sweep`].
    pub const SWEEP_INTERVAL: Duration = SWEEP_INTERVAL;

    /// Drops the instances that rested too long (`instances.idle`), and updates the metrics of instances. Blocks.
    pub fn sweep(&self) {
        self.slots.sweep();
    }

    /// The quarantined versions.
    #[must_use]
    pub const fn quarantine(&self) -> &Arc<Quarantine> {
        &self.quarantine
    }

    /// The same host with these settings of the compiler.
    #[must_use]
    pub fn compiling(self, settings: CompileSettings) -> Self {
        let compiler = Compiler::new(settings, &self.engine);
        Self { compiler, ..self }
    }
}
