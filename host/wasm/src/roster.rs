//! The plugin versions of a server: active, draining, standby, rejected and quarantined versions.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::{Plugin, Quarantine, Quarantined};
use tidegate_core::flow::ports::{PluginRoster, PluginState, PluginStatus};
use tidegate_core::protocol::PluginName;
use tidegate_core::telemetry;

/// The versions of the plugins of one server.
#[derive(Debug, Default)]
pub struct Roster {
    versions: Mutex<Versions>,
    quarantine: Arc<Quarantine>,
}

#[derive(Debug, Default)]
struct Versions {
    active: Vec<Arc<Plugin>>,
    /// Replaced versions, kept ready in case their successors fail.
    standby: Vec<Arc<Plugin>>,
    /// Replaced versions; each is dropped when its last call has ended.
    draining: Vec<Draining>,
    rejected: Vec<PluginStatus>,
    /// The plugins with a lingering version.
    lingering: BTreeSet<PluginName>,
}

/// A replaced version.
#[derive(Debug)]
struct Draining {
    plugin: Weak<Plugin>,
    since: Instant,
    /// Whether it was reported that it takes too long.
    told: bool,
}

impl Draining {
    fn begin(plugin: &Arc<Plugin>) -> Self {
        Self { plugin: Arc::downgrade(plugin), since: Instant::now(), told: false }
    }
}

impl Roster {
    /// Empty, except for the quarantined versions.
    #[must_use]
    pub fn new(quarantine: Arc<Quarantine>) -> Self {
        Self { quarantine, versions: Mutex::default() }
    }

    /// Sets the active and the standby versions, and removes the rejected ones.
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
    }

    /// Sets the standby versions.
    pub fn stand_by(&self, standby: Vec<Arc<Plugin>>) {
        let mut versions = self.versions.lock();
        let known = std::mem::replace(&mut versions.standby, standby);
        versions.draining.extend(known.iter().map(Draining::begin));
        drop(known);
        versions.forget_drained();
    }

    /// Reports replaced versions that still have calls after `drain_max`: once in the log, and in the metrics as long
    /// as it lasts. Call it about once a second.
    pub fn sweep(&self, drain_max: Duration) {
        let mut versions = self.versions.lock();
        let known: BTreeSet<PluginName> = std::mem::take(&mut versions.lingering);
        versions.forget_drained();
        let mut lingering: BTreeMap<PluginName, usize> = BTreeMap::new();
        for old in versions.draining.iter_mut().filter(|old| old.since.elapsed() > drain_max) {
            let Some(plugin) = old.plugin.upgrade() else { continue };
            *lingering.entry(plugin.name().clone()).or_default() += 1;
            if !std::mem::replace(&mut old.told, true) {
                let (name, version) = (plugin.name().as_str(), plugin.version());
                telemetry::plugin_lingers(name, version, plugin.instances(), old.since.elapsed());
            }
        }
        for plugin in known.iter().chain(lingering.keys()) {
            let count = lingering.get(plugin).copied().unwrap_or_default();
            telemetry::plugin_versions_lingering(plugin.as_str(), count);
        }
        versions.lingering = lingering.into_keys().collect();
    }

    /// Sets the versions that the last reload could not load; the active ones stay.
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

impl PluginRoster for Roster {
    fn list(&self) -> Vec<PluginStatus> {
        let quarantined: Vec<_> = self.quarantine.list().iter().map(Quarantined::status).collect();
        let versions = self.versions.lock();
        let active = versions.active.iter().map(|plugin| plugin.status(PluginState::Active));
        let standby = versions.standby.iter().map(|plugin| plugin.status(PluginState::Standby));
        let draining = versions.draining.iter().filter_map(|old| old.plugin.upgrade());
        let draining = draining.map(|plugin| plugin.status(PluginState::Draining));
        // The quarantine is the reason why the last reload could not load it.
        let same = |one: &PluginStatus, other: &PluginStatus| one.name == other.name && one.version == other.version;
        let rejected = versions.rejected.iter().filter(|wanted| !quarantined.iter().any(|kept| same(wanted, kept)));
        let mut statuses: Vec<_> = active.chain(standby).chain(draining).chain(rejected.cloned()).collect();
        statuses.extend(quarantined);
        statuses.sort_by(|one, other| (&one.name, one.state).cmp(&(&other.name, other.state)));
        statuses
    }

    fn clear(&self, what: &str) -> io::Result<Vec<PluginStatus>> {
        Ok(self.quarantine.clear(what)?.iter().map(Quarantined::status).collect())
    }
}
