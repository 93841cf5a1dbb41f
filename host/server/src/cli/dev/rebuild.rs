//! Builds plugins again when their source changes. The ordinary reload swaps the result in.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::super::complain;
use super::super::failure::Failure;
use super::super::plugin::{PluginDirectory, all_plugins, build_plugin, is_built, plugin_sources};
use crate::reload::{Trigger, Watcher};
use tidegate_wasm::{BuildInputs, BuildOutput};

/// Editors save several files at once: a build begins once nothing has changed for this long…
const QUIET: Duration = Duration::from_millis(40);
/// …or this long after the first change.
const QUIET_MAX: Duration = Duration::from_secs(2);
/// Most builds at once: a toolchain uses several cores by itself.
const BUILDS_MAX: usize = 4;

/// Builds the plugins that are due. A change during a build is built after it, so the newest source wins.
pub(super) struct Rebuilder {
    plugins: PathBuf,
    watcher: Watcher,
    changes: Receiver<()>,
    /// The digest of the sources from which each plugin was last built, successfully or not.
    tried: BTreeMap<String, String>,
}

/// A plugin to build.
struct Due {
    plugin: PluginDirectory,
    /// The digest of its sources.
    digest: String,
}

impl Rebuilder {
    /// Watches the sources, and builds every plugin whose component was not built from its present sources. A failed
    /// build is told to `failed` and does not stop the others.
    ///
    /// # Errors
    /// If the directory of the plugins cannot be read.
    pub(super) fn start(plugins: PathBuf, failed: &(dyn Fn(Failure) + Sync)) -> Result<Self, Failure> {
        // One waiting change says as much as many.
        let (sender, changes) = sync_channel(1);
        let watcher = Watcher::calling(move |_changed| {
            let _ = sender.try_send(());
        });
        all_plugins(&plugins)?;
        let mut rebuilder = Self { plugins, watcher, changes, tried: BTreeMap::new() };
        rebuilder.round(&|| (), failed);
        Ok(rebuilder)
    }

    /// Runs until the process ends, on its own thread, which a build may block. Every finished build asks for a reload.
    pub(super) fn spawn(mut self, triggers: mpsc::Sender<Trigger>) -> std::io::Result<()> {
        let work = move || {
            while self.settled() {
                let built = || {
                    // If it is full, a reload is due already.
                    let _ = triggers.try_send(Trigger::Files);
                };
                while self.round(&built, &|failure| complain_of(&failure)) {}
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

    /// Builds the due plugins in parallel; `true` if any was built, successfully or not.
    fn round(&mut self, built: &(dyn Fn() + Sync), failed: &(dyn Fn(Failure) + Sync)) -> bool {
        self.watch();
        let due = self.due();
        self.tried.extend(due.iter().map(|due| (due.plugin.name.clone(), due.digest.clone())));
        let at_once = thread::available_parallelism().map_or(1, usize::from).clamp(1, BUILDS_MAX);
        let (count, waiting) = (due.len(), Mutex::new(due.into_iter()));
        let work = || {
            loop {
                let next = waiting.lock().next();
                let Some(due) = next else { return };
                match build(&due.plugin, count > 1) {
                    Ok(text) => complain(&text),
                    Err(failure) => failed(failure),
                }
                built();
            }
        };
        thread::scope(|scope| {
            // This thread is one of them.
            for _ in 1..at_once.min(count) {
                scope.spawn(work);
            }
            work();
        });
        count > 0
    }

    /// The plugins whose component was not built from their present sources, and that were not tried with these
    /// sources.
    fn due(&self) -> Vec<Due> {
        let due = |plugin: PluginDirectory| {
            // The reload reports errors in plugin.yaml.
            let sources = plugin_sources(&plugin)?;
            let digest = self.digest(&sources);
            let was_tried = self.tried.get(&plugin.name) == Some(&digest);
            let is_made = sources.is_complete() && is_built(&plugin, &digest);
            (!was_tried && !is_made).then_some(Due { plugin, digest })
        };
        self.all().into_iter().filter_map(due).collect()
    }

    /// The digest of a plugin's sources, as far as they are known.
    fn digest(&self, sources: &BuildInputs) -> String {
        if sources.is_complete() {
            return sources.digest();
        }
        let mut hash = Sha256::new();
        for sources in self.all().iter().filter_map(plugin_sources) {
            hash.update(sources.digest());
        }
        format!("{:x}", hash.finalize())
    }

    /// Watches every directory with a source, and those where a plugin may appear.
    fn watch(&self) {
        let mut directories = BTreeSet::from([self.plugins.clone()]);
        let entries = fs::read_dir(&self.plugins).into_iter().flatten().flatten().map(|entry| entry.path());
        directories.extend(entries.filter(|path| path.is_dir() && BuildInputs::may_hold(path)));
        for plugin in self.all() {
            directories.extend(plugin_sources(&plugin).into_iter().flat_map(|sources| sources.directories().clone()));
        }
        self.watcher.follow_directories(directories);
    }

    fn all(&self) -> Vec<PluginDirectory> {
        // The reload reports a directory that cannot be read.
        all_plugins(&self.plugins).unwrap_or_default()
    }
}

/// Builds a plugin; if others are built at the same time, with its name in front of each line of its toolchain.
fn build(plugin: &PluginDirectory, is_beside_others: bool) -> Result<String, Failure> {
    let named = |line: &str| complain(&format!("{}: {line}\n", plugin.name));
    let output = if is_beside_others { BuildOutput::Lines(&named) } else { BuildOutput::Inherit };
    build_plugin(plugin, output)
}

/// Reports a failed build that stops nothing else.
pub(super) fn complain_of(failure: &Failure) {
    complain(&format!("{}the server continues with the version before\n", failure.render()));
}
