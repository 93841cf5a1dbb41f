//! Watch → read → build → swap. A start is a reload from an empty catalog; any error keeps the old generation. A plugin
//! that fails after the swap is taken back: the version before serves again, and the one that failed is quarantined.
//! Where each plugin stands alone ([`Terms::EachAlone`]) what is good is swapped whatever else is bad, and nothing is
//! taken back.

mod build;
mod each;
mod interest;
mod links;
mod look;
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
pub use each::{build_each, judge_declared};
pub use read::{
    Paths, Read, Unread, is_hidden, plugin_name, read, read_channel_examples, read_channels, read_component_file,
    read_plugin, read_vectors,
};
pub use watch::Watcher;

pub use rejected::{HeldUp, by_file};

use rejected::{Candidates, candidates};
use standby::Standby;

use tidegate_core::config::{Diagnostic, Rollback};
use tidegate_core::flow::Gates;
use tidegate_core::protocol::Generation;
use tidegate_core::telemetry;
use tidegate_wasm::{KeptOut, PluginHost, Quarantined, Roster};

/// Editors and compilers write in bursts: a change is taken up once nothing has changed for this long…
const QUIET: Duration = Duration::from_millis(200);
/// …or this long after the first change of the burst.
const QUIET_MAX: Duration = Duration::from_secs(2);

/// Most files of one reload that the log tells of.
const FILES_TOLD_MAX: usize = 20;
/// The same as `QUIET` where somebody waits who just saved a file.
const QUIET_FOR_AUTHORS: Duration = Duration::from_millis(40);

/// What a mistake in a file holds up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Terms {
    /// Everything: a generation is good as a whole, or the one before serves on. A version that fails is taken back.
    #[default]
    Whole,
    /// Itself alone: what is good goes live, what is bad serves as it was before, and golden vectors that are answered
    /// otherwise are told and hold nothing up. A version that fails is told and serves on.
    EachAlone,
}

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
    /// What a mistake holds up.
    pub terms: Terms,
}

/// Who hears of what becomes of reloads.
pub struct Told<A, R, W> {
    /// After each swap, with the new generation in force.
    pub applied: A,
    /// Every mistake that held up a reload, or a part of it. Mistakes that are still the same are not told again.
    pub rejected: R,
    /// What is answered otherwise than golden vectors say, and serves all the same.
    pub warned: W,
}

/// Why there is something to do.
enum Woken {
    Triggered(Trigger),
    /// A version on probation fails, or one has stood its time.
    Failed,
    /// What a plugin that serves makes of its golden vectors.
    Proven(Result<(), Vec<Diagnostic>>),
    Ended,
}

/// What serves, and what could serve again.
struct State {
    current: Built,
    standby: Standby,
    /// Why the last reload was not applied; empty when it was.
    rejected: Vec<Diagnostic>,
}

impl Reloader {
    /// Takes up changes until `shutdown`, and takes back the plugins that fail after one.
    pub async fn run(
        self,
        current: Built,
        mut triggers: mpsc::Receiver<Trigger>,
        watcher: Option<Watcher>,
        shutdown: CancellationToken,
        told: Told<impl Fn(Generation) + Send, impl Fn(&[Diagnostic]) + Send, impl Fn(&[Diagnostic]) + Send + Sync>,
    ) {
        let standby = Standby::new(self.rollback.clone(), self.terms);
        let mut state = State { current, standby, rejected: Vec::new() };
        state.standby.swapped(&[], &state.current.plugins);
        if !state.current.held_up.is_empty() {
            reject(&state.current.held_up, &told.rejected);
        }
        loop {
            let woken = tokio::select! {
                trigger = triggers.recv() => trigger.map_or(Woken::Ended, Woken::Triggered),
                () = self.host.quarantine().cleared() => Woken::Triggered(Trigger::Asked),
                () = state.standby.changed() => Woken::Failed,
                // A save comes first: then they are asked again.
                proven = self.prove(&state.current), if !state.current.unproven.is_empty() => Woken::Proven(proven),
                () = shutdown.cancelled() => Woken::Ended,
            };
            let trigger = match woken {
                Woken::Ended => return,
                Woken::Triggered(trigger) => trigger,
                Woken::Failed => {
                    self.take_back(&mut state, &told.applied).await;
                    continue;
                }
                Woken::Proven(proven) => {
                    state.current.unproven.pop();
                    if let Err(differences) = proven {
                        (told.warned)(&differences);
                    }
                    continue;
                }
            };
            let outcome = loop {
                // What fails is taken back at once, whatever is being compiled; then what was read is built on that.
                tokio::select! {
                    () = state.standby.changed() => {}
                    outcome = self.settled(&mut triggers, watcher.as_ref(), &state, trigger) => break outcome,
                }
                self.take_back(&mut state, &told.applied).await;
            };
            self.take_up(trigger, outcome, &mut state, &told);
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
        settle(triggers, self.terms).await;
        if let Some(watcher) = watcher {
            // Before anything is read: what changes from here on is a trigger of its own.
            watcher.follow(&self.paths);
        }
        let started = Instant::now();
        (started, self.attempt(state, trigger).await)
    }

    fn take_up(
        &self,
        trigger: Trigger,
        (started, outcome): (Instant, Result<Option<Built>, Vec<Diagnostic>>),
        state: &mut State,
        told: &Told<impl Fn(Generation), impl Fn(&[Diagnostic]), impl Fn(&[Diagnostic])>,
    ) {
        let mut before = std::mem::take(&mut state.rejected);
        before.extend(state.current.held_up.iter().cloned());
        let is_news = |mistake: &&Diagnostic| trigger == Trigger::Asked || !before.contains(mistake);
        match outcome {
            Ok(None) => {
                // What was rejected before is taken back.
                self.serve(state);
                if !before.is_empty() && state.current.held_up.is_empty() {
                    telemetry::reload_reverted(state.current.serving.catalog.generation().0);
                }
            }
            Ok(Some(next)) => {
                let held_up: Vec<_> = next.held_up.iter().filter(is_news).cloned().collect();
                if next.serves_as(&state.current) {
                    state.current.stay(next);
                    self.serve(state);
                } else {
                    self.swap(next, started, state, &told.applied);
                }
                if !held_up.is_empty() {
                    reject(&held_up, &told.rejected);
                }
            }
            Err(mistakes) => {
                // The same files, looked at again: one save is several changes of a directory.
                let is_told = trigger == Trigger::Files && mistakes == before;
                if !is_told {
                    reject(&mistakes, &told.rejected);
                }
                state.rejected = mistakes;
            }
        }
    }

    fn swap(&self, next: Built, started: Instant, state: &mut State, applied: impl Fn(Generation)) {
        let generation = next.serving.catalog.generation();
        self.gates.replace(next.serving.clone());
        let before = std::mem::replace(&mut state.current, next);
        state.standby.swapped(&before.plugins, &state.current.plugins);
        self.serve(state);
        telemetry::reload_applied(generation.0, started.elapsed());
        state.current.tell_notes(Some(&before));
        state.current.kept_out.iter().for_each(KeptOut::tell);
        applied(generation);
    }

    /// Puts golden vectors to the last of the plugins that serve already and were not asked them.
    async fn prove(&self, current: &Built) -> Result<(), Vec<Diagnostic>> {
        let Some(plugin) = current.unproven.last() else { return Ok(()) };
        let Some(vectors) = current.vectors.get(plugin.name()) else { return Ok(()) };
        self.host.prove(plugin, vectors).await
    }

    /// Has the roster tell what serves.
    fn serve(&self, state: &State) {
        self.roster.serve(&state.current.plugins, state.standby.plugins());
        let kept_out = state.current.kept_out.iter().map(KeptOut::status);
        self.roster.reject(kept_out.chain(state.current.rejected.iter().cloned()).collect());
    }

    /// Puts the version before in the place of every plugin that failed on probation, and lets those go that stood by
    /// long enough.
    async fn take_back(&self, state: &mut State, applied: impl Fn(Generation)) {
        while let Some((bad, good)) = state.standby.take_failed(&state.current.plugins) {
            let Some(good) = good else {
                telemetry::plugin_failing(bad.name().as_str(), bad.version(), &bad.failing());
                bad.unwatch();
                continue;
            };
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
        let next = reading.await.map_err(|panic| vec![Diagnostic::new(format!("reading stopped: {panic}"))])?;
        if trigger == Trigger::Files && Some(next.fingerprint()) == current.fingerprint {
            return Ok(None);
        }
        let generation = Generation(current.serving.catalog.generation().0 + 1);
        if self.terms == Terms::EachAlone {
            return build_each(&self.host, &self.paths, next, generation, Some(current)).await.map(Some);
        }
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

/// Tells of mistakes, of each file by itself.
fn reject(mistakes: &[Diagnostic], rejected: impl Fn(&[Diagnostic])) {
    let first = mistakes.first().map(|mistake| mistake.summary()).unwrap_or_default();
    telemetry::reload_rejected(mistakes.len(), &first);
    for file in by_file(mistakes).iter().take(FILES_TOLD_MAX) {
        telemetry::reload_held_up(&file.path, file.mistakes, &file.first);
    }
    rejected(mistakes);
}

/// Waits for the end of a burst of triggers.
async fn settle(triggers: &mut mpsc::Receiver<Trigger>, terms: Terms) {
    let quiet = if terms == Terms::EachAlone { QUIET_FOR_AUTHORS } else { QUIET };
    let deadline = Instant::now() + QUIET_MAX;
    while let Ok(Some(_)) = tokio::time::timeout_at(deadline.min(Instant::now() + quiet), triggers.recv()).await {
        if Instant::now() >= deadline {
            return;
        }
    }
}
