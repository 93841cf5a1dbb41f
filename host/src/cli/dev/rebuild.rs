//! Builds plugins again when their source changes. The ordinary reload swaps what comes of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::super::complain;
use super::super::failure::Failure;
use super::super::plugin::{PluginDirectory, all_plugins, build_plugin, plugin_sources};
use crate::app::AppError;
use crate::plugins::Sources;
use crate::reload::Watcher;

/// Editors save several files at once: a build begins once nothing has changed for this long…
const QUIET: Duration = Duration::from_millis(200);
/// …or this long after the first change.
const QUIET_MAX: Duration = Duration::from_secs(2);

/// Builds one plugin at a time. What changes during a build is built after it, so the newest source wins.
pub(super) struct Rebuilder {
    plugins: PathBuf,
    watcher: Watcher,
    changes: Receiver<()>,
    /// Of the sources each plugin was last built from, well or not.
    built: BTreeMap<String, u64>,
}

/// What a plugin is built from, as a build finds it.
struct Before {
    sources: Sources,
    /// Of these sources.
    own: u64,
    /// Of all that makes the plugin due.
    due: u64,
}

impl Rebuilder {
    /// Watches, and builds every plugin; the first that fails ends it.
    ///
    /// # Errors
    /// [`Failure::Build`], the mistakes of a `plugin.yaml`, or that files cannot be watched.
    pub(super) fn start(plugins: PathBuf) -> Result<Self, Failure> {
        // One change waiting says as much as many.
        let (sender, changes) = sync_channel(1);
        let watcher = Watcher::calling(move |_changed| {
            let _ = sender.try_send(());
        });
        let watcher = watcher.map_err(|error| Failure::App(AppError::Watch(error)))?;
        let mut rebuilder = Self { plugins, watcher, changes, built: BTreeMap::new() };
        rebuilder.watch();
        for plugin in all_plugins(&rebuilder.plugins)? {
            let before = rebuilder.before(&plugin);
            build_plugin(&plugin)?;
            if let Some(before) = before {
                rebuilder.remember(&plugin, &before);
            }
        }
        Ok(rebuilder)
    }

    /// Goes on until the process ends: on a thread of its own, which a build may block. `changed` is told of every
    /// build that made another component.
    pub(super) fn spawn(mut self, changed: mpsc::Sender<()>) -> std::io::Result<()> {
        let work = move || {
            while self.settled() {
                while self.round() {
                    // Full: it is told already.
                    let _ = changed.try_send(());
                }
            }
        };
        thread::Builder::new().name("rebuild".to_owned()).spawn(work).map(drop)
    }

    /// Waits for a change and for the end of its burst.
    fn settled(&self) -> bool {
        if self.changes.recv().is_err() {
            return false;
        }
        let deadline = Instant::now() + QUIET_MAX;
        loop {
            match self.changes.recv_timeout(QUIET) {
                Ok(()) if Instant::now() < deadline => {}
                Ok(()) | Err(RecvTimeoutError::Timeout) => return true,
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
    }

    /// Builds what changed; `true` when something was built, well or not.
    fn round(&mut self) -> bool {
        self.watch();
        let mut any = false;
        for plugin in self.all() {
            // A mistake in plugin.yaml is told by the reload.
            let Some(before) = self.before(&plugin) else { continue };
            if self.built.get(&plugin.name) == Some(&before.due) {
                continue;
            }
            any = true;
            match build_plugin(&plugin) {
                Ok(built) => complain(&built),
                Err(failure) => complain(&format!("{}the version that serves goes on serving\n", failure.render())),
            }
            self.remember(&plugin, &before);
        }
        any
    }

    /// Keeps what a plugin was built from, unless that changed meanwhile: then it is due again.
    fn remember(&mut self, plugin: &PluginDirectory, before: &Before) {
        let now = plugin_sources(plugin).map(|now| self.fingerprint(&now));
        // Looked at last: what was saved before this is a change, and what is saved after it was not counted above.
        let is_as_before = before.sources.fingerprint() == before.own;
        let fingerprint = now.filter(|_| is_as_before).unwrap_or(before.due);
        self.built.insert(plugin.name.clone(), fingerprint);
    }

    /// What a plugin is about to be built from; `None` when its plugin.yaml has a mistake.
    fn before(&self, plugin: &PluginDirectory) -> Option<Before> {
        let sources = plugin_sources(plugin)?;
        Some(Before { own: sources.fingerprint(), due: self.fingerprint(&sources), sources })
    }

    /// Of what a plugin is built from: of everything, as long as that is not known.
    fn fingerprint(&self, sources: &Sources) -> u64 {
        if sources.is_complete() {
            return sources.fingerprint();
        }
        let mut hasher = DefaultHasher::new();
        for plugin in self.all() {
            plugin_sources(&plugin).map(|sources| sources.fingerprint()).hash(&mut hasher);
        }
        hasher.finish()
    }

    /// Follows every directory that holds a source, and those where a plugin may appear.
    fn watch(&self) {
        let mut directories = BTreeSet::from([self.plugins.clone()]);
        let entries = fs::read_dir(&self.plugins).into_iter().flatten().flatten().map(|entry| entry.path());
        directories.extend(entries.filter(|path| path.is_dir() && Sources::may_hold(path)));
        for plugin in self.all() {
            directories.extend(plugin_sources(&plugin).into_iter().flat_map(|sources| sources.directories().clone()));
        }
        self.watcher.follow_directories(directories);
    }

    fn all(&self) -> Vec<PluginDirectory> {
        // A directory that cannot be read is told by the reload.
        all_plugins(&self.plugins).unwrap_or_default()
    }
}
