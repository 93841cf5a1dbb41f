//! The number of live instances of a version, and why the others ended. Counting costs a call nothing: it happens when
//! an instance begins and ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tidegate_core::telemetry;

/// The instance count of one version of a plugin.
#[derive(Debug)]
pub(crate) struct InstanceCount {
    /// The plugin; `None` for a trial, which no metric counts.
    plugin: Option<Arc<str>>,
    alive: AtomicU32,
}

/// Why an instance ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retired {
    /// Its call failed, timed out or was cancelled: its store is poisoned.
    Failed,
    /// It served `instances.max_calls`.
    Calls,
    /// It grew beyond `instances.memory`.
    Memory,
    /// It rested longer than `instances.idle`.
    Idle,
    /// `instances.isolation: per-call`.
    PerCall,
    /// Another plugin waited for its place.
    Wanted,
    /// Its version was replaced.
    Replaced,
    /// It only proved that its version starts.
    Trial,
}

impl Retired {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Calls => "calls",
            Self::Memory => "memory",
            Self::Idle => "idle",
            Self::PerCall => "per_call",
            Self::Wanted => "wanted",
            Self::Replaced => "replaced",
            Self::Trial => "trial",
        }
    }
}

impl InstanceCount {
    /// The count of a version that serves.
    pub(crate) fn of(plugin: Arc<str>) -> Arc<Self> {
        Arc::new(Self { plugin: Some(plugin), alive: AtomicU32::new(0) })
    }

    /// The count of a trial.
    pub(crate) fn silent() -> Arc<Self> {
        Arc::new(Self { plugin: None, alive: AtomicU32::new(0) })
    }

    /// The name of the plugin; `None` for a trial.
    pub(crate) const fn plugin(&self) -> Option<&Arc<str>> {
        self.plugin.as_ref()
    }

    /// How many instances are alive, busy or resting.
    pub(crate) fn alive(&self) -> u32 {
        self.alive.load(Ordering::Relaxed)
    }

    /// Counts a new instance.
    pub(crate) fn enter(self: &Arc<Self>) -> Counted {
        self.alive.fetch_add(1, Ordering::Relaxed);
        if let Some(plugin) = &self.plugin {
            telemetry::plugin_instance_created(plugin);
        }
        Counted { instance_count: self.clone(), reason: Retired::Failed }
    }
}

/// One counted instance; dropped with it.
#[derive(Debug)]
pub(crate) struct Counted {
    instance_count: Arc<InstanceCount>,
    /// Why the instance ends, if it ends now.
    pub(crate) reason: Retired,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.instance_count.alive.fetch_sub(1, Ordering::Relaxed);
        if let Some(plugin) = &self.instance_count.plugin {
            telemetry::plugin_instance_retired(plugin, self.reason.as_str());
        }
    }
}
