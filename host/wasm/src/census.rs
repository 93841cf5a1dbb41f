//! Counts the live instances of a version, and why others were dropped. This costs a call nothing: it happens when an
//! instance is created and when it is dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tidegate_core::telemetry;

/// The instances of one version of a plugin.
#[derive(Debug)]
pub(super) struct Census {
    /// The plugin; `None` for a trial, whose instances are not counted in metrics.
    plugin: Option<Arc<str>>,
    alive: AtomicU32,
}

/// Why an instance is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retired {
    /// Its call failed, timed out or was cancelled: its store is not usable any more.
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
    /// Its version was dropped.
    Replaced,
    /// It only showed that its version starts.
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

impl Census {
    /// The census of a version that serves.
    pub(super) fn of(plugin: Arc<str>) -> Arc<Self> {
        Arc::new(Self { plugin: Some(plugin), alive: AtomicU32::new(0) })
    }

    /// The census of a trial.
    pub(super) fn silent() -> Arc<Self> {
        Arc::new(Self { plugin: None, alive: AtomicU32::new(0) })
    }

    /// The plugin's name; `None` for a trial.
    pub(super) const fn plugin(&self) -> Option<&Arc<str>> {
        self.plugin.as_ref()
    }

    /// How many instances are alive, working or resting.
    pub(super) fn alive(&self) -> u32 {
        self.alive.load(Ordering::Relaxed)
    }

    /// Counts a new instance.
    pub(super) fn enter(self: &Arc<Self>) -> Entry {
        self.alive.fetch_add(1, Ordering::Relaxed);
        if let Some(plugin) = &self.plugin {
            telemetry::plugin_instance_created(plugin);
        }
        Entry { census: self.clone(), reason: Retired::Failed }
    }
}

/// The entry of one instance; dropped with it.
#[derive(Debug)]
pub(super) struct Entry {
    census: Arc<Census>,
    /// The reason, if the instance is dropped now.
    pub(super) reason: Retired,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.census.alive.fetch_sub(1, Ordering::Relaxed);
        if let Some(plugin) = &self.census.plugin {
            telemetry::plugin_instance_retired(plugin, self.reason.as_str());
        }
    }
}
