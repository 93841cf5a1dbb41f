//! Watch → read → build → swap. A start is a reload from an empty catalog; any error keeps the old generation.

mod build;
mod read;
mod rejected;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use build::{Built, build};
pub use read::{Paths, Read, read, read_component_file, read_plugin, read_vectors};
pub use watch::{WatchError, Watcher};

use rejected::{Candidates, candidates};

use crate::config::Diagnostic;
use crate::flow::Gates;
use crate::plugins::{PluginHost, Roster};
use crate::protocol::Generation;
use crate::telemetry;

/// Editors and compilers write in bursts: a change is taken up once nothing has changed for this long…
const QUIET: Duration = Duration::from_millis(200);
/// …or this long after the first change of the burst.
const QUIET_MAX: Duration = Duration::from_secs(2);

/// Why a reload is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// A watched file or directory changed.
    Files,
    /// The operator asked (SIGHUP).
    Asked,
}

/// Keeps what is served in step with the files.
pub struct Reloader {
    /// Where the files are.
    pub paths: Paths,
    /// Loads plugins.
    pub host: Arc<PluginHost>,
    /// What is swapped.
    pub gates: Arc<Gates>,
    /// Told which versions serve and which could not be had.
    pub roster: Arc<Roster>,
}

impl Reloader {
    /// Takes up changes until `shutdown`. `applied` runs after each swap, with the new generation in force; `rejected`
    /// is shown every mistake of a reload that was not applied.
    pub async fn run(
        self,
        mut current: Built,
        mut triggers: mpsc::Receiver<Trigger>,
        watcher: Option<Watcher>,
        shutdown: CancellationToken,
        applied: impl Fn(Generation) + Send,
        rejected: impl Fn(&[Diagnostic]) + Send,
    ) {
        let mut was_rejected = false;
        loop {
            let trigger = tokio::select! {
                trigger = triggers.recv() => trigger,
                () = shutdown.cancelled() => None,
            };
            let Some(trigger) = trigger else { return };
            settle(&mut triggers).await;
            if let Some(watcher) = &watcher {
                // Before anything is read: what changes from here on is a trigger of its own.
                watcher.follow(&self.paths);
            }
            let started = Instant::now();
            match self.attempt(&current, trigger).await {
                Ok(None) => {
                    // What was rejected before is taken back.
                    self.roster.serve(&current.plugins);
                    if was_rejected {
                        telemetry::reload_reverted(current.serving.catalog.generation().0);
                    }
                    was_rejected = false;
                }
                Ok(Some(next)) => {
                    was_rejected = false;
                    let generation = next.serving.catalog.generation();
                    self.gates.replace(next.serving.clone());
                    current = next;
                    self.roster.serve(&current.plugins);
                    telemetry::reload_applied(generation.0, started.elapsed());
                    applied(generation);
                }
                Err(mistakes) => {
                    was_rejected = true;
                    let first = mistakes.first().map(|mistake| mistake.summary()).unwrap_or_default();
                    telemetry::reload_rejected(mistakes.len(), &first);
                    rejected(&mistakes);
                }
            }
        }
    }

    /// Reads and builds the next generation aside; `None` when nothing changed.
    async fn attempt(&self, current: &Built, trigger: Trigger) -> Result<Option<Built>, Vec<Diagnostic>> {
        let paths = self.paths.clone();
        let reading = tokio::task::spawn_blocking(move || read(&paths)).await;
        let next = reading.unwrap_or_else(|panic| Err(vec![Diagnostic::new(format!("reading stopped: {panic}"))]));
        let next = next.map_err(|mistakes| self.reject(&Candidates::new(), mistakes))?;
        if trigger == Trigger::Files && next.fingerprint() == current.fingerprint {
            return Ok(None);
        }
        let generation = Generation(current.serving.catalog.generation().0 + 1);
        let candidates = candidates(&next.plugins);
        let built = build(&self.host, next, generation, &current.plugins).await;
        built.map(Some).map_err(|mistakes| self.reject(&candidates, mistakes))
    }

    /// Has the roster tell of the plugins that could not be had.
    fn reject(&self, candidates: &Candidates, mistakes: Vec<Diagnostic>) -> Vec<Diagnostic> {
        self.roster.reject(rejected::rejected(&self.paths.plugins, candidates, &mistakes));
        mistakes
    }
}

/// Waits for the end of a burst of triggers.
async fn settle(triggers: &mut mpsc::Receiver<Trigger>) {
    let deadline = Instant::now() + QUIET_MAX;
    while let Ok(Some(_)) = tokio::time::timeout_at(deadline.min(Instant::now() + QUIET), triggers.recv()).await {
        if Instant::now() >= deadline {
            return;
        }
    }
}
