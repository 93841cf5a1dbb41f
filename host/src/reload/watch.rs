//! Notices changed files. The only home of `notify`.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::read::PLUGIN_VECTORS;
use super::{Paths, Trigger};

/// Watches the directories a generation is read from. Dropping it ends the watch.
pub struct Watcher {
    inner: Mutex<Inner>,
}

struct Inner {
    watcher: RecommendedWatcher,
    followed: BTreeSet<PathBuf>,
}

/// The operating system refused the watch.
#[derive(Debug, thiserror::Error)]
#[error("failed to watch files")]
pub struct WatchError(#[from] notify::Error);

impl Watcher {
    /// Starts watching; each change sends one trigger, and those that find the queue full are part of that burst.
    ///
    /// # Errors
    /// [`WatchError`], most often because the limit of watches is reached.
    pub fn start(paths: &Paths, triggers: mpsc::Sender<Trigger>) -> Result<Self, WatchError> {
        let surroundings = Surroundings::of(paths);
        let watch = Self::calling(move |changed| {
            if !surroundings.cover(changed) {
                let _ = triggers.try_send(Trigger::Files);
            }
        })?;
        watch.follow(paths);
        Ok(watch)
    }

    /// Watches nothing yet; calls `changed` with the paths of each change in the directories it is told to
    /// [follow](Self::follow_directories).
    ///
    /// # Errors
    /// As [`Watcher::start`].
    pub fn calling(changed: impl Fn(&[PathBuf]) + Send + 'static) -> Result<Self, WatchError> {
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            match event {
                // Reading a file is an event too, and the reload itself reads.
                Ok(event) if event.kind.is_access() => {}
                Ok(event) => changed(&event.paths),
                // Something was missed.
                Err(_) => changed(&[]),
            }
        })?;
        Ok(Self { inner: Mutex::new(Inner { watcher, followed: BTreeSet::new() }) })
    }

    /// Watches directories that appeared since, and forgets those that went away.
    pub fn follow(&self, paths: &Paths) {
        self.follow_directories(directories(paths));
    }

    /// Watches these directories and no others.
    pub fn follow_directories(&self, wanted: BTreeSet<PathBuf>) {
        let mut inner = self.inner.lock();
        let gone: Vec<PathBuf> = inner.followed.iter().filter(|path| !wanted.contains(*path)).cloned().collect();
        for path in gone {
            let _ = inner.watcher.unwatch(&path);
            inner.followed.remove(&path);
        }
        for path in wanted {
            // Again even when it is followed: a directory that was replaced has the same name and no watch.
            match inner.watcher.watch(&path, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    inner.followed.insert(path);
                }
                Err(error) => tracing::warn!(path = %path.display(), %error, "not watching a directory"),
            }
        }
    }
}

/// The directories around those that are read. They are watched because a directory that is taken away and made anew
/// shows only there; nothing else in them matters.
struct Surroundings {
    parents: Vec<PathBuf>,
    directories: [PathBuf; 2],
}

impl Surroundings {
    fn of(paths: &Paths) -> Self {
        let directories = [&paths.channels, &paths.plugins].map(absolute);
        let bridge = absolute(&paths.bridge);
        let around = directories.iter().filter_map(|directory| directory.parent());
        // The directory of the bridge table is read itself.
        let parents = around.filter(|parent| bridge.parent() != Some(*parent)).map(PathBuf::from).collect();
        Self { parents, directories }
    }

    /// Whether an event is of something beside the directories that are read.
    fn cover(&self, changed: &[PathBuf]) -> bool {
        let is_beside = |path: &PathBuf| {
            let is_around = path.parent().is_some_and(|parent| self.parents.iter().any(|around| around == parent));
            is_around && !self.directories.contains(path)
        };
        !changed.is_empty() && changed.iter().all(is_beside)
    }
}

/// Not recursive: below a plugin's directory lie build trees of thousands of files.
fn directories(paths: &Paths) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let [channels, plugins, bridge] = [&paths.channels, &paths.plugins, &paths.bridge].map(absolute);
    below(&channels, usize::MAX, &mut found);
    below(&plugins, 1, &mut found);
    let vectors: Vec<_> = found.iter().map(|plugin| plugin.join(PLUGIN_VECTORS)).collect();
    found.extend(vectors);
    for path in [bridge, channels, plugins] {
        found.extend(path.parent().map(PathBuf::from));
    }
    found.retain(|path| path.is_dir());
    found
}

/// From the root on: of a name alone the directory it is in could not be named.
fn absolute(path: &PathBuf) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.clone())
}

fn below(directory: &PathBuf, depth: usize, found: &mut BTreeSet<PathBuf>) {
    found.insert(directory.clone());
    let Ok(entries) = fs::read_dir(directory) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if depth > 0 && path.is_dir() && !path.is_symlink() {
            below(&path, depth - 1, found);
        }
    }
}
