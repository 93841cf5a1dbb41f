//! Which versions of the plugins there are: those that serve, those that were replaced while they worked or are kept in case
//! what replaced them fails, those the last reload could not have, and those that are not let in again.

use std::io;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::{Plugin, Quarantine, Quarantined};
use crate::flow::ports::{PluginRoster, PluginState, PluginStatus};
use crate::telemetry;

/// The versions of the plugins of one server.
#[derive(Debug, Default)]
pub struct Roster {
    versions: Mutex<Versions>,
    quarantine: Arc<Quarantine>,
}

#[derive(Debug, Default)]
struct Versions {
    active: Vec<Arc<Plugin>>,
    /// Replaced, and kept in case what replaced them fails.
    standby: Vec<Arc<Plugin>>,
    /// Replaced; gone once the last call has ended.
    draining: Vec<Weak<Plugin>>,
    rejected: Vec<PluginStatus>,
}

impl Roster {
    /// Nothing yet but what is kept out.
    #[must_use]
    pub fn new(quarantine: Arc<Quarantine>) -> Self {
        Self { quarantine, versions: Mutex::default() }
    }

    /// These serve from now on, those stand by, and nothing is wanted beside them.
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
        versions.draining.extend(known.map(|old| Arc::downgrade(&old)));
        versions.active = plugins.to_vec();
        versions.standby = standby;
        versions.forget_drained();
        versions.reject(Vec::new());
    }

    /// Of what was replaced only these stand by from now on.
    pub fn stand_by(&self, standby: Vec<Arc<Plugin>>) {
        let mut versions = self.versions.lock();
        let known = std::mem::replace(&mut versions.standby, standby);
        versions.draining.extend(known.iter().map(Arc::downgrade));
        drop(known);
        versions.forget_drained();
    }

    /// The last reload wanted these and could not have them; what serves goes on.
    pub fn reject(&self, rejected: Vec<PluginStatus>) {
        self.versions.lock().reject(rejected);
    }
}

impl Versions {
    /// Keeps of those that drain the ones that do.
    fn forget_drained(&mut self) {
        let kept: Vec<_> = self.active.iter().chain(&self.standby).map(Arc::as_ptr).collect();
        let mut seen = Vec::new();
        self.draining.retain(|old| {
            let (at, is_new) = (old.as_ptr(), !seen.contains(&old.as_ptr()));
            seen.push(at);
            is_new && old.strong_count() > 0 && !kept.contains(&at)
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
        let draining = versions.draining.iter().filter_map(Weak::upgrade);
        let draining = draining.map(|plugin| plugin.status(PluginState::Draining));
        // That a version is kept out says why the last reload could not have it.
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
