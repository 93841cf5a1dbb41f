//! Which versions of the plugins there are: those that serve, those that were replaced while they worked, and those the
//! last reload could not have.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::Plugin;
use crate::flow::ports::{PluginRoster, PluginState, PluginStatus};
use crate::telemetry;

/// The versions of the plugins of one server.
#[derive(Debug, Default)]
pub struct Roster(Mutex<Versions>);

#[derive(Debug, Default)]
struct Versions {
    active: Vec<Arc<Plugin>>,
    /// Replaced; gone once the last call has ended.
    draining: Vec<Weak<Plugin>>,
    rejected: Vec<PluginStatus>,
}

impl Roster {
    /// These serve from now on, and nothing is wanted beside them.
    pub fn serve(&self, plugins: &[Arc<Plugin>]) {
        let mut versions = self.0.lock();
        let stays = |old: &Arc<Plugin>| plugins.iter().any(|plugin| Arc::ptr_eq(plugin, old));
        let replaced: Vec<_> = versions.active.iter().filter(|old| !stays(old)).map(Arc::downgrade).collect();
        for old in &versions.active {
            if plugins.iter().all(|plugin| plugin.name() != old.name()) {
                telemetry::plugin_state(old.name().as_str(), PluginState::Active.as_str(), false);
            }
        }
        for plugin in plugins {
            telemetry::plugin_state(plugin.name().as_str(), PluginState::Active.as_str(), true);
        }
        versions.draining.retain(|old| old.strong_count() > 0);
        versions.draining.extend(replaced);
        versions.active = plugins.to_vec();
        versions.reject(Vec::new());
    }

    /// The last reload wanted these and could not have them; what serves goes on.
    pub fn reject(&self, rejected: Vec<PluginStatus>) {
        self.0.lock().reject(rejected);
    }
}

impl Versions {
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
        let versions = self.0.lock();
        let active = versions.active.iter().map(|plugin| plugin.status(PluginState::Active));
        let draining = versions.draining.iter().filter_map(Weak::upgrade);
        let draining = draining.map(|plugin| plugin.status(PluginState::Draining));
        let mut statuses: Vec<_> = active.chain(draining).chain(versions.rejected.iter().cloned()).collect();
        statuses.sort_by(|one, other| (&one.name, one.state).cmp(&(&other.name, other.state)));
        statuses
    }
}
