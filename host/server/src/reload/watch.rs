//! Notices changed files: the system reports them, or, if it refuses to, the server checks every few seconds. The only
//! home of `notify`.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use notify::{EventHandler, RecursiveMode};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::interest::Interest;
use super::look::Look;
use super::{Paths, Trigger};
use tidegate_core::telemetry;

/// How often the files are checked if the system does not report changes.
const LOOK_INTERVAL: Duration = Duration::from_secs(3);
/// The errors of a system without enough descriptors, or watches.
const EMFILE: i32 = 24;
const ENOSPC: i32 = 28;

/// Called with the paths of a change; with an empty list if changes were missed.
type Changed = dyn Fn(&[PathBuf]) + Send + Sync;
/// Asks the system for a watcher.
type Ask = dyn Fn() -> notify::Result<Box<dyn notify::Watcher + Send>> + Send + Sync;

/// Watches the directories that a generation is read from. Dropping it ends the watch.
pub struct Watcher {
    inner: Arc<Mutex<Inner>>,
    changed: Arc<Changed>,
    look_interval: Duration,
    /// The relevant parts of the watched directories.
    interest: Arc<Mutex<Interest>>,
}

struct Inner {
    ask: Box<Ask>,
    /// `None` while the system refuses one.
    system: Option<Box<dyn notify::Watcher + Send>>,
    wanted: BTreeSet<PathBuf>,
    /// The wanted directories that the system watches.
    followed: BTreeSet<PathBuf>,
    /// Whether a thread checks the wanted directories until the system watches them all.
    is_looking: bool,
}

impl Watcher {
    /// Starts watching. Each change sends one trigger; changes that find the queue full belong to that burst.
    #[must_use]
    pub fn start(paths: &Paths, triggers: mpsc::Sender<Trigger>) -> Self {
        let interest = Arc::new(Mutex::new(Interest::default()));
        let matters = interest.clone();
        let watch = Self::calling(move |changed| {
            if matters.lock().is_touched_by(changed) {
                let _ = triggers.try_send(Trigger::Files);
            }
        });
        let watch = Self { interest, ..watch };
        watch.follow(paths);
        watch
    }

    /// Watches nothing yet; calls `changed` with the paths of each change in the directories that it should
    /// [follow](Self::follow_directories).
    #[must_use]
    pub fn calling(changed: impl Fn(&[PathBuf]) + Send + Sync + 'static) -> Self {
        let changed: Arc<Changed> = Arc::new(changed);
        let told = changed.clone();
        let ask = move || {
            let system = notify::recommended_watcher(teller(told.clone()))?;
            Ok(Box::new(system) as Box<dyn notify::Watcher + Send>)
        };
        Self::asking(Box::new(ask), changed, LOOK_INTERVAL)
    }

    fn asking(ask: Box<Ask>, changed: Arc<Changed>, look_interval: Duration) -> Self {
        let inner = Inner { ask, system: None, wanted: BTreeSet::new(), followed: BTreeSet::new(), is_looking: false };
        Self { inner: Arc::new(Mutex::new(inner)), changed, look_interval, interest: Arc::default() }
    }

    /// Watches directories that appeared since, and forgets those that disappeared. Links are resolved again.
    pub fn follow(&self, paths: &Paths) {
        let interest = Interest::of(paths);
        let directories = interest.directories();
        *self.interest.lock() = interest;
        self.follow_directories(directories);
    }

    /// Watches these directories and no others.
    pub fn follow_directories(&self, wanted: BTreeSet<PathBuf>) {
        let mut inner = self.inner.lock();
        inner.wanted = wanted;
        let refused = inner.follow();
        match refused {
            _ if inner.is_looking => {}
            None => telemetry::files_watched(),
            Some(refused) => inner.is_looking = self.look(&inner.wanted, &refused),
        }
    }

    /// Checks the files from now on, on its own thread.
    fn look(&self, wanted: &BTreeSet<PathBuf>, refused: &notify::Error) -> bool {
        let limit = limit_behind(refused);
        telemetry::files_unwatched(limit, &refused.to_string(), self.look_interval);
        let looker = Looker {
            inner: Arc::downgrade(&self.inner),
            changed: self.changed.clone(),
            interval: self.look_interval,
            seen: Look::at(wanted),
        };
        let started = thread::Builder::new().name("look".to_owned()).spawn(move || looker.run());
        started.inspect_err(|error| tracing::error!(%error, "the thread that checks files does not start")).is_ok()
    }
}

/// Passes on the events of the system.
fn teller(changed: Arc<Changed>) -> impl EventHandler {
    move |event: notify::Result<notify::Event>| match event {
        // Reading a file is an event, too, and the reload itself reads.
        Ok(event) if event.kind.is_access() => {}
        Ok(event) => changed(&event.paths),
        // Events were missed.
        Err(_) => changed(&[]),
    }
}

impl Inner {
    /// Makes the system watch the wanted directories; returns an error if the system refuses because a limit is
    /// reached.
    fn follow(&mut self) -> Option<notify::Error> {
        if self.system.is_none() {
            match (self.ask)() {
                Ok(system) => self.system = Some(system),
                Err(refused) => return Some(refused),
            }
        }
        let system = self.system.as_mut()?;
        let gone: Vec<PathBuf> = self.followed.difference(&self.wanted).cloned().collect();
        for path in gone {
            let _ = system.unwatch(&path);
            self.followed.remove(&path);
        }
        let mut refused = None;
        for path in &self.wanted {
            // Again even if it is watched: a directory that was replaced has the same name but no watch.
            match system.watch(path, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.followed.insert(path.clone());
                }
                Err(error) if limit_behind(&error).is_some() => refused = Some(error),
                Err(error) => tracing::warn!(path = %path.display(), %error, "cannot watch a directory"),
            }
        }
        refused
    }
}

/// The limit behind a refused watch, if it is one.
fn limit_behind(refused: &notify::Error) -> Option<&'static str> {
    const WATCHES: &str = "fs.inotify.max_user_watches";
    match &refused.kind {
        notify::ErrorKind::MaxFilesWatch => Some(WATCHES),
        notify::ErrorKind::Io(error) => match error.raw_os_error() {
            Some(ENOSPC) => Some(WATCHES),
            // One error for two limits: if the process's own is reached, no file can be opened.
            Some(EMFILE) if fs::File::open("/dev/null").is_ok() => Some("fs.inotify.max_user_instances"),
            Some(EMFILE) => Some("open files (ulimit -n)"),
            _ => None,
        },
        _ => None,
    }
}

/// Checks the files instead of the system.
struct Looker {
    inner: Weak<Mutex<Inner>>,
    changed: Arc<Changed>,
    interval: Duration,
    seen: Look,
}

impl Looker {
    /// Runs until the watcher is gone, or the system watches again.
    fn run(mut self) {
        loop {
            thread::sleep(self.interval);
            let Some(inner) = self.inner.upgrade() else { return };
            let (wanted, is_watched) = {
                let mut inner = inner.lock();
                let is_watched = inner.follow().is_none();
                inner.is_looking = !is_watched;
                (inner.wanted.clone(), is_watched)
            };
            // Once more when the system watches: it does not report earlier changes.
            let now = Look::at(&wanted);
            let changed = now.changed_since(&self.seen);
            if !changed.is_empty() {
                (self.changed)(&changed);
            }
            self.seen = now;
            if is_watched {
                telemetry::files_watched_again();
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc::{Receiver, sync_channel};

    use super::*;

    const INTERVAL: Duration = Duration::from_millis(10);
    /// Longer than anything takes; a test that runs into it has found a hang.
    const PATIENCE: Duration = Duration::from_secs(20);

    /// Accepts as many watches as the system has, and never reports a change.
    struct Silent {
        watches: usize,
    }

    impl notify::Watcher for Silent {
        fn new<F: EventHandler>(_: F, _: notify::Config) -> notify::Result<Self> {
            unreachable!("made by the test")
        }

        fn watch(&mut self, _: &std::path::Path, _: RecursiveMode) -> notify::Result<()> {
            if self.watches == 0 {
                return Err(notify::Error::new(notify::ErrorKind::MaxFilesWatch));
            }
            self.watches -= 1;
            Ok(())
        }

        fn unwatch(&mut self, _: &std::path::Path) -> notify::Result<()> {
            Ok(())
        }

        fn kind() -> notify::WatcherKind {
            notify::WatcherKind::NullWatcher
        }
    }

    /// A watcher of a system that `ask` stands for, and the changes that it reports.
    fn watcher(
        ask: impl Fn(Arc<Changed>) -> notify::Result<Box<dyn notify::Watcher + Send>> + Send + Sync + 'static,
    ) -> (Watcher, Receiver<Vec<PathBuf>>) {
        let (sender, changes) = sync_channel(64);
        let changed: Arc<Changed> = Arc::new(move |paths: &[PathBuf]| drop(sender.try_send(paths.to_vec())));
        let told = changed.clone();
        (Watcher::asking(Box::new(move || ask(told.clone())), changed, INTERVAL), changes)
    }

    fn no_instances() -> notify::Error {
        notify::Error::io(std::io::Error::from_raw_os_error(EMFILE))
    }

    /// Waits until a change of this file was reported.
    fn await_change(changes: &Receiver<Vec<PathBuf>>, path: &PathBuf) {
        while !changes.recv_timeout(PATIENCE).unwrap().contains(path) {}
    }

    #[test]
    fn without_a_watch_of_the_system_changes_are_found_by_looking() {
        let directory = tempfile::tempdir().unwrap();
        let (watcher, changes) = watcher(|_| Err(no_instances()));
        watcher.follow_directories(BTreeSet::from([directory.path().to_owned()]));
        for name in ["a.yaml", "b.yaml"] {
            let path = directory.path().join(name);
            fs::write(&path, "text").unwrap();
            await_change(&changes, &path);
        }
    }

    #[test]
    fn a_directory_beyond_the_limit_of_watches_is_looked_at() {
        let directory = tempfile::tempdir().unwrap();
        let [first, second] = ["first", "second"].map(|name| directory.path().join(name));
        for path in [&first, &second] {
            fs::create_dir(path).unwrap();
        }
        let (watcher, changes) = watcher(|_| Ok(Box::new(Silent { watches: 1 })));
        watcher.follow_directories(BTreeSet::from([first, second.clone()]));
        let path = second.join("a.yaml");
        fs::write(&path, "text").unwrap();
        await_change(&changes, &path);
    }

    #[test]
    fn the_system_watches_again_once_it_can_and_nothing_is_looked_at_any_more() {
        let directory = tempfile::tempdir().unwrap();
        let can = Arc::new(AtomicBool::new(false));
        let asked = can.clone();
        let (watcher, changes) = watcher(move |changed| {
            if !asked.load(Ordering::Relaxed) {
                return Err(no_instances());
            }
            Ok(Box::new(notify::recommended_watcher(teller(changed))?))
        });
        watcher.follow_directories(BTreeSet::from([directory.path().to_owned()]));
        can.store(true, Ordering::Relaxed);
        while watcher.inner.lock().is_looking {
            thread::yield_now();
        }
        let path = directory.path().join("a.yaml");
        fs::write(&path, "text").unwrap();
        await_change(&changes, &path);
    }

    #[test]
    fn the_limit_that_is_in_the_way_is_named() {
        let watches = notify::Error::new(notify::ErrorKind::MaxFilesWatch);
        assert_eq!(limit_behind(&watches), Some("fs.inotify.max_user_watches"));
        assert_eq!(limit_behind(&no_instances()), Some("fs.inotify.max_user_instances"));
        assert_eq!(limit_behind(&notify::Error::path_not_found()), None);
    }
}
