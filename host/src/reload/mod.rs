//! Watch → read → build → swap. A start is a reload from an empty catalog; any error keeps the old generation. A plugin
//! that fails after the swap is taken back: the version before serves again, and the one that failed is quarantined.

mod build;
mod read;
mod rejected;
mod standby;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use build::{Built, build};
pub use read::{
    Paths, Read, read, read_channel_examples, read_channels, read_component_file, read_plugin, read_vectors,
};
pub use watch::{WatchError, Watcher};

use rejected::{Candidates, candidates};
use standby::Standby;

use crate::config::{Diagnostic, Rollback};
use crate::flow::Gates;
use crate::plugins::{KeptOut, PluginHost, Quarantined, Roster};
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
    /// When a new version of a plugin is taken back.
    pub rollback: Rollback,
}

/// Who hears of what becomes of reloads.
pub struct Told<A, R> {
    /// After each swap, with the new generation in force.
    pub applied: A,
    /// Every mistake of a reload that was not applied.
    pub rejected: R,
}

/// What serves, and what could serve again.
struct State {
    current: Built,
    standby: Standby,
    was_rejected: bool,
}

impl Reloader {
    /// Takes up changes until `shutdown`, and takes back the plugins that fail after one.
    pub async fn run(
        self,
        current: Built,
        mut triggers: mpsc::Receiver<Trigger>,
        watcher: Option<Watcher>,
        shutdown: CancellationToken,
        told: Told<impl Fn(Generation) + Send, impl Fn(&[Diagnostic]) + Send>,
    ) {
        let mut state = State { current, standby: Standby::new(self.rollback.clone()), was_rejected: false };
        loop {
            let trigger = tokio::select! {
                trigger = triggers.recv() => trigger.map(Some),
                () = self.host.quarantine().cleared() => Some(Some(Trigger::Asked)),
                () = state.standby.changed() => Some(None),
                () = shutdown.cancelled() => None,
            };
            let Some(trigger) = trigger else { return };
            let Some(trigger) = trigger else {
                self.take_back(&mut state, &told.applied).await;
                continue;
            };
            let outcome = loop {
                // What fails is taken back at once, whatever is being compiled; then what was read is built on that.
                tokio::select! {
                    () = state.standby.changed() => {}
                    outcome = self.settled(&mut triggers, watcher.as_ref(), &state, trigger) => break outcome,
                }
                self.take_back(&mut state, &told.applied).await;
            };
            self.take_up(outcome, &mut state, &told);
        }
    }

    /// Waits for the end of a burst of changes, and tries what there is then.
    async fn settled(
        &self,
        triggers: &mut mpsc::Receiver<Trigger>,
        watcher: Option<&Watcher>,
        state: &State,
        trigger: Trigger,
    ) -> (Instant, Result<Option<Built>, Vec<Diagnostic>>) {
        settle(triggers).await;
        if let Some(watcher) = watcher {
            // Before anything is read: what changes from here on is a trigger of its own.
            watcher.follow(&self.paths);
        }
        let started = Instant::now();
        (started, self.attempt(state, trigger).await)
    }

    fn take_up(
        &self,
        (started, outcome): (Instant, Result<Option<Built>, Vec<Diagnostic>>),
        state: &mut State,
        told: &Told<impl Fn(Generation), impl Fn(&[Diagnostic])>,
    ) {
        let was_rejected = std::mem::take(&mut state.was_rejected);
        match outcome {
            Ok(None) => {
                // What was rejected before is taken back.
                self.serve(state);
                if was_rejected {
                    telemetry::reload_reverted(state.current.serving.catalog.generation().0);
                }
            }
            Ok(Some(next)) => {
                let generation = next.serving.catalog.generation();
                self.gates.replace(next.serving.clone());
                let before = std::mem::replace(&mut state.current, next);
                state.standby.swapped(&before.plugins, &state.current.plugins);
                self.serve(state);
                telemetry::reload_applied(generation.0, started.elapsed());
                state.current.kept_out.iter().for_each(KeptOut::tell);
                (told.applied)(generation);
            }
            Err(mistakes) => {
                state.was_rejected = true;
                let first = mistakes.first().map(|mistake| mistake.summary()).unwrap_or_default();
                telemetry::reload_rejected(mistakes.len(), &first);
                (told.rejected)(&mistakes);
            }
        }
    }

    /// Has the roster tell what serves.
    fn serve(&self, state: &State) {
        self.roster.serve(&state.current.plugins, state.standby.plugins());
        self.roster.reject(state.current.kept_out.iter().map(KeptOut::status).collect());
    }

    /// Puts the version before in the place of every plugin that failed on probation, and lets those go that stood by
    /// long enough.
    async fn take_back(&self, state: &mut State, applied: impl Fn(Generation)) {
        while let Some((bad, good)) = state.standby.take_failed(&state.current.plugins) {
            let entry = bad.quarantined(&good);
            match standby::without(&state.current, &bad, &good) {
                Ok(back) => {
                    let generation = back.serving.catalog.generation();
                    self.gates.replace(back.serving.clone());
                    state.current = back;
                    self.keep_out(entry.clone()).await;
                    self.serve(state);
                    let (name, from, to) = (bad.name().as_str(), bad.version(), good.version());
                    telemetry::plugin_rolled_back(name, from, to, generation.0, entry.reason());
                    applied(generation);
                }
                Err(mistakes) => {
                    let why = mistakes.first().map(|mistake| mistake.summary()).unwrap_or_default();
                    telemetry::plugin_not_rolled_back(bad.name().as_str(), bad.version(), &why);
                }
            }
            bad.unwatch();
        }
        state.standby.expire();
        self.roster.stand_by(state.standby.plugins());
    }

    /// Writes down that a version is not let in again.
    async fn keep_out(&self, entry: Quarantined) {
        let quarantine = self.host.quarantine().clone();
        let _ = tokio::task::spawn_blocking(move || quarantine.add(entry)).await;
    }

    /// Reads and builds the next generation aside; `None` when nothing changed.
    async fn attempt(&self, state: &State, trigger: Trigger) -> Result<Option<Built>, Vec<Diagnostic>> {
        let current = &state.current;
        let (paths, quarantine) = (self.paths.clone(), self.host.quarantine().clone());
        let reading = tokio::task::spawn_blocking(move || {
            quarantine.refresh();
            read(&paths)
        });
        let reading = reading.await;
        let next = reading.unwrap_or_else(|panic| Err(vec![Diagnostic::new(format!("reading stopped: {panic}"))]));
        let next = next.map_err(|mistakes| self.reject(&Candidates::new(), mistakes))?;
        if trigger == Trigger::Files && Some(next.fingerprint()) == current.fingerprint {
            return Ok(None);
        }
        let generation = Generation(current.serving.catalog.generation().0 + 1);
        let candidates = candidates(&next.plugins);
        let known: Vec<_> = current.plugins.iter().cloned().chain(state.standby.plugins()).collect();
        let built = build(&self.host, next, generation, &known).await;
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
