//! How many instances of a version are alive, and what became of those that are not. Counting costs a call nothing: it
//! is done when an instance is made and when it goes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tidegate_core::telemetry;

/// The instances of one version of a plugin.
#[derive(Debug)]
pub(super) struct Census {
    /// The plugin; `None` of a trial, whose instances are nobody's business.
    plugin: Option<Arc<str>>,
    alive: AtomicU32,
}

/// Why an instance goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retired {
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
    /// Its version went.
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
    /// Of a version that serves.
    pub(super) fn of(plugin: Arc<str>) -> Arc<Self> {
        Arc::new(Self { plugin: Some(plugin), alive: AtomicU32::new(0) })
    }

    /// Of a trial.
    pub(super) fn silent() -> Arc<Self> {
        Arc::new(Self { plugin: None, alive: AtomicU32::new(0) })
    }

    /// The plugin's name; of a trial there is none.
    pub(super) const fn plugin(&self) -> Option<&Arc<str>> {
        self.plugin.as_ref()
    }

    /// How many are alive, at work or at rest.
    pub(super) fn alive(&self) -> u32 {
        self.alive.load(Ordering::Relaxed)
    }

    /// Enters an instance that was made.
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
    /// Why it goes, if it goes now.
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
