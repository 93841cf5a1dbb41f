//! The inventory of plugin versions: active, standby, draining, rejected and quarantined versions.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::quarantine::{Quarantine, Quarantined};
use crate::plugin::Plugin;
use crate::proof::Recordings;
use tidegate_core::flow::ports::{
    NoRecording, PluginRoster, PluginState, PluginStatus, RecordingEnd, RecordingPage, RecordingWish,
};
use tidegate_core::protocol::{Payload, PluginName};
use tidegate_core::telemetry;

/// The versions of the plugins of one server.
#[derive(Debug, Default)]
pub struct Inventory {
    versions: Mutex<Versions>,
    quarantine: Arc<Quarantine>,
    recordings: Recordings,
}

#[derive(Debug, Default)]
struct Versions {
    active: Vec<Arc<Plugin>>,
    /// Replaced, and kept for a rollback.
    standby: Vec<Arc<Plugin>>,
    /// Replaced, and gone after their last call.
    draining: Vec<Draining>,
    rejected: Vec<PluginStatus>,
    /// The plugins with a lingering version.
    lingering: BTreeSet<PluginName>,
}

/// A version that was replaced.
#[derive(Debug)]
struct Draining {
    plugin: Weak<Plugin>,
    since: Instant,
    /// Whether the log says that it lingers.
    is_logged: bool,
}

impl Draining {
    fn begin(plugin: &Arc<Plugin>) -> Self {
        Self { plugin: Arc::downgrade(plugin), since: Instant::now(), is_logged: false }
    }
}

impl Inventory {
    /// An inventory of the quarantined versions only.
    #[must_use]
    pub fn new(quarantine: Arc<Quarantine>) -> Self {
        Self { quarantine, versions: Mutex::default(), recordings: Recordings::default() }
    }

    /// Makes these versions active, and those standby. Nothing is rejected.
    pub fn serve(&self, plugins: &[Arc<Plugin>], standby: Vec<Arc<Plugin>>) {
        let mut versions = self.versions.lock();
        for old in &versions.active {
            if plugins.iter().all(|plugin| plugin.name() != old.name()) {
                telemetry::plugin_state(old.name().as_str(), PluginState::Active.as_str(), false);
            }
        }
        for plugin in plugins {
            telemetry::plugin_state(plugin.name().as_str(), PluginState::Active.as_str(), true);
        }
        let known = std::mem::take(&mut versions.active);
        let known = known.into_iter().chain(std::mem::take(&mut versions.standby));
        versions.draining.extend(known.map(|old| Draining::begin(&old)));
        versions.active = plugins.to_vec();
        versions.standby = standby;
        versions.forget_drained();
        versions.reject(Vec::new());
        self.recordings.sweep(plugins);
    }

    /// Keeps only these versions on standby.
    pub fn stand_by(&self, standby: Vec<Arc<Plugin>>) {
        let mut versions = self.versions.lock();
        let known = std::mem::replace(&mut versions.standby, standby);
        versions.draining.extend(known.iter().map(Draining::begin));
        drop(known);
        versions.forget_drained();
    }

    /// Reports versions that were replaced longer than `drain_max` ago and still have calls: once in the log, and in
    /// the metrics as long as it lasts. Call it every second.
    pub fn sweep(&self, drain_max: Duration) {
        let mut versions = self.versions.lock();
        let known: BTreeSet<PluginName> = std::mem::take(&mut versions.lingering);
        versions.forget_drained();
        let mut lingering: BTreeMap<PluginName, usize> = BTreeMap::new();
        for old in versions.draining.iter_mut().filter(|old| old.since.elapsed() > drain_max) {
            let Some(plugin) = old.plugin.upgrade() else { continue };
            *lingering.entry(plugin.name().clone()).or_default() += 1;
            if !std::mem::replace(&mut old.is_logged, true) {
                let (name, version) = (plugin.name().as_str(), plugin.version());
                telemetry::plugin_lingers(name, version, plugin.instances(), old.since.elapsed());
            }
        }
        for plugin in known.iter().chain(lingering.keys()) {
            let count = lingering.get(plugin).copied().unwrap_or_default();
            telemetry::plugin_versions_lingering(plugin.as_str(), count);
        }
        versions.lingering = lingering.into_keys().collect();
        self.recordings.sweep(&versions.active);
    }

    /// Notes the versions that the last reload rejected.
    pub fn reject(&self, rejected: Vec<PluginStatus>) {
        self.versions.lock().reject(rejected);
    }
}

impl Versions {
    /// Forgets the versions that have drained.
    fn forget_drained(&mut self) {
        let kept: Vec<_> = self.active.iter().chain(&self.standby).map(Arc::as_ptr).collect();
        let mut seen = Vec::new();
        self.draining.retain(|old| {
            let (at, is_new) = (old.plugin.as_ptr(), !seen.contains(&old.plugin.as_ptr()));
            seen.push(at);
            is_new && old.plugin.strong_count() > 0 && !kept.contains(&at)
        });
    }

    fn reject(&mut self, rejected: Vec<PluginStatus>) {
        for (statuses, is) in [(&self.rejected, false), (&rejected, true)] {
            for status in statuses {
                telemetry::plugin_state(&status.name, PluginState::Rejected.as_str(), is);
            }
        }
        self.rejected = rejected;
    }
}

impl PluginRoster for Inventory {
    fn list(&self) -> Vec<PluginStatus> {
        let quarantined: Vec<_> = self.quarantine.list().iter().map(Quarantined::status).collect();
        let versions = self.versions.lock();
        let active = versions.active.iter().map(|plugin| plugin.status(PluginState::Active));
        let standby = versions.standby.iter().map(|plugin| plugin.status(PluginState::Standby));
        let draining = versions.draining.iter().filter_map(|old| old.plugin.upgrade());
        let draining = draining.map(|plugin| plugin.status(PluginState::Draining));
        // A quarantined version is listed once, although the last reload rejected it too.
        let same = |one: &PluginStatus, other: &PluginStatus| one.name == other.name && one.version == other.version;
        let rejected = versions.rejected.iter().filter(|wanted| !quarantined.iter().any(|kept| same(wanted, kept)));
        let mut statuses: Vec<_> = active.chain(standby).chain(draining).chain(rejected.cloned()).collect();
        statuses.extend(quarantined);
        statuses.sort_by(|one, other| (&one.name, one.state).cmp(&(&other.name, other.state)));
        statuses
    }

    fn record(&self, wish: RecordingWish<'_>) -> Result<Payload, NoRecording> {
        let versions = self.versions.lock();
        let active = versions.active.iter().find(|plugin| plugin.name().as_str() == wish.plugin);
        self.recordings.begin(active.ok_or(NoRecording::NoPlugin)?, wish)
    }

    fn recording(&self, plugin: &str, after: usize) -> Option<RecordingPage> {
        self.recordings.page(plugin, after)
    }

    fn recording_file(&self, plugin: &str) -> Option<Vec<Payload>> {
        self.recordings.file(plugin)
    }

    fn end_recording(&self, plugin: &str) -> Option<RecordingEnd> {
        self.recordings.end(plugin)
    }

    fn clear(&self, what: &str) -> io::Result<Vec<PluginStatus>> {
        Ok(self.quarantine.clear(what)?.iter().map(Quarantined::status).collect())
    }
}
