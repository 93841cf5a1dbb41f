//! Watch → read → build → swap. A start is a reload from an empty catalog; after any error the old generation stays. A
//! plugin that fails after the swap is rolled back: the version before serves again, and the failed one is quarantined.
//! Where each plugin stands alone ([`Terms::EachAlone`]), valid parts are swapped whatever else has errors, and nothing
//! is rolled back.

mod build;
mod changed;
mod each;
mod interest;
mod links;
mod look;
mod read;
mod rejected;
mod shadows;
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
    read_plugin, read_plugin_manifest, read_vectors,
};
pub use watch::Watcher;

pub use rejected::{HeldUp, by_file};

use rejected::{Candidates, candidates};
use standby::Standby;

use tidegate_core::config::{Diagnostic, Rollback};
use tidegate_core::flow::{Gates, OwnEvent, Reload, ReloadLog, ReloadOutcome};
use tidegate_core::protocol::Generation;
use tidegate_core::telemetry;
use tidegate_wasm::{Inventory, KeptOut, PluginHost, Quarantined};

/// Editors and compilers write in bursts: a change is handled once nothing has changed for this long…
const QUIET: Duration = Duration::from_millis(200);
/// …or this long after the first change of the burst.
const QUIET_MAX: Duration = Duration::from_secs(2);

/// Most files of one reload that the log names.
const FILES_TOLD_MAX: usize = 20;
/// The same as `QUIET`, but for an author who waits after saving a file.
const QUIET_FOR_AUTHORS: Duration = Duration::from_millis(40);

/// What an error in a file holds up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Terms {
    /// Everything: a generation is valid as a whole, or the one before serves on. A failing version is rolled back.
    #[default]
    Whole,
    /// Only itself: valid parts go live, parts with errors stay as they were, and failed golden vectors are reported
    /// but stop nothing. A failing version is reported and serves on.
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

/// Most waiting triggers; more of them say nothing new.
const TRIGGERS_MAX: usize = 1;

/// The queue of triggers.
pub struct Triggers {
    /// Asks for a reload. If the queue is full, one that has not begun is asked for already.
    pub sender: mpsc::Sender<Trigger>,
    /// For [`Reloader::run`].
    pub receiver: mpsc::Receiver<Trigger>,
}

impl Default for Triggers {
    fn default() -> Self {
        let (sender, receiver) = mpsc::channel(TRIGGERS_MAX);
        Self { sender, receiver }
    }
}

/// Keeps the served generation up to date with the files.
pub struct Reloader {
    /// Where the files are.
    pub paths: Paths,
    /// Loads plugins.
    pub host: Arc<PluginHost>,
    /// What is swapped.
    pub gates: Arc<Gates>,
    /// Keeps the list of serving and rejected versions.
    pub inventory: Arc<Inventory>,
    /// When to roll a new plugin version back.
    pub rollback: Rollback,
    /// What an error holds up.
    pub terms: Terms,
    /// Remembers the last reloads for operators.
    pub log: Arc<ReloadLog>,
}

/// Receives the results of reloads.
pub struct Observer<A, R, W> {
    /// Called after each swap, with the new generation in force.
    pub applied: A,
    /// Called with every error that held up a reload, or a part of it. Unchanged errors are not reported again.
    pub rejected: R,
    /// Called with failed golden vectors of plugins that serve nevertheless.
    pub warned: W,
}

/// Why there is something to do.
enum Woken {
    Triggered(Trigger),
    /// A version on probation failed, or one has ended its probation.
    Failed,
    /// The result of a serving plugin's golden vectors.
    Tested(Result<(), Vec<Diagnostic>>),
    Ended,
}

/// What serves, and what could serve again.
struct State {
    current: Built,
    standby: Standby,
    /// Why the last reload was not applied; empty if it was.
    rejected: Vec<Diagnostic>,
}

impl Reloader {
    /// Handles changes until `shutdown`, and rolls back plugins that fail after one.
    pub async fn run(
        self,
        current: Built,
        mut triggers: mpsc::Receiver<Trigger>,
        watcher: Option<Watcher>,
        shutdown: CancellationToken,
        observer: Observer<
            impl Fn(Generation) + Send,
            impl Fn(&[Diagnostic]) + Send,
            impl Fn(&[Diagnostic]) + Send + Sync,
        >,
    ) {
        let standby = Standby::new(self.rollback.clone(), self.terms);
        let mut state = State { current, standby, rejected: Vec::new() };
        state.standby.swapped(&[], &state.current.plugins);
        shadows::follow(&self.host, &self.paths.plugins, &state.current.plugins);
        if !state.current.held_up.is_empty() {
            self.tell_rejected(&state.current.held_up, Instant::now(), &observer.rejected);
        }
        loop {
            let woken = tokio::select! {
                trigger = triggers.recv() => trigger.map_or(Woken::Ended, Woken::Triggered),
                () = self.host.quarantine().cleared() => Woken::Triggered(Trigger::Asked),
                () = state.standby.changed() => Woken::Failed,
                // A saved file has priority: the vectors run again afterwards.
                tested = self.self_test(&state.current), if !state.current.untested.is_empty() => Woken::Tested(tested),
                () = shutdown.cancelled() => Woken::Ended,
            };
            let trigger = match woken {
                Woken::Ended => return,
                Woken::Triggered(trigger) => trigger,
                Woken::Failed => {
                    self.take_back(&mut state, &observer.applied).await;
                    continue;
                }
                Woken::Tested(tested) => {
                    state.current.untested.pop();
                    if let Err(differences) = tested {
                        (observer.warned)(&differences);
                    }
                    continue;
                }
            };
            let outcome = loop {
                // A failed version is rolled back at once, whatever is being compiled; then the files that were read
                // are built on that.
                tokio::select! {
                    () = state.standby.changed() => {}
                    outcome = self.settled(&mut triggers, watcher.as_ref(), &state, trigger) => break outcome,
                }
                self.take_back(&mut state, &observer.applied).await;
            };
            self.take_up(trigger, outcome, &mut state, &observer);
        }
    }

    /// Waits for the end of a burst of changes, and then tries the present files.
    async fn settled(
        &self,
        triggers: &mut mpsc::Receiver<Trigger>,
        watcher: Option<&Watcher>,
        state: &State,
        trigger: Trigger,
    ) -> (Instant, Result<Option<Built>, Vec<Diagnostic>>) {
        settle(triggers, self.terms).await;
        if let Some(watcher) = watcher {
            // Before reading anything: every change from here on is a trigger of its own.
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
        observer: &Observer<impl Fn(Generation), impl Fn(&[Diagnostic]), impl Fn(&[Diagnostic])>,
    ) {
        let mut before = std::mem::take(&mut state.rejected);
        before.extend(state.current.held_up.iter().cloned());
        let is_news = |mistake: &&Diagnostic| trigger == Trigger::Asked || !before.contains(mistake);
        match outcome {
            Ok(None) => {
                // The files match again what is served: the earlier rejection is void.
                self.serve(state);
                if !before.is_empty() && state.current.held_up.is_empty() {
                    let generation = state.current.serving.catalog.generation().0;
                    telemetry::reload_reverted(generation);
                    self.gates.saw(OwnEvent::ReloadReverted { generation });
                }
            }
            Ok(Some(next)) => {
                let held_up: Vec<_> = next.held_up.iter().filter(is_news).cloned().collect();
                if next.serves_as(&state.current) {
                    state.current.stay(next);
                    self.serve(state);
                } else {
                    self.swap(next, started, state, &observer.applied);
                }
                if !held_up.is_empty() {
                    self.tell_rejected(&held_up, started, &observer.rejected);
                }
            }
            Err(mistakes) => {
                // The same files again: one save causes several changes of a directory.
                let is_told = trigger == Trigger::Files && mistakes == before;
                if !is_told {
                    self.tell_rejected(&mistakes, started, &observer.rejected);
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
        let elapsed = started.elapsed();
        let elapsed_ms = in_ms(elapsed);
        let applied_reload = Reload::new(self.gates.now_unix_ms(), ReloadOutcome::Applied, elapsed_ms);
        let changes = changed::changes(&before, &state.current);
        let applied_reload = applied_reload.applied(generation.0, &changes);
        // Before the log tells of it: whoever reads the line finds the reload in the list.
        self.log.note(applied_reload.by(changed::files(&before, &state.current)));
        telemetry::reload_applied(generation.0, elapsed);
        changed::log(&changes);
        self.gates.saw(OwnEvent::ReloadApplied { generation: generation.0, elapsed_ms });
        state.current.tell_notes(Some(&before));
        for kept_out in &state.current.kept_out {
            kept_out.tell();
            self.gates.saw(kept_out.event());
        }
        applied(generation);
    }

    /// Runs the golden vectors of the last serving plugin whose vectors did not run yet.
    async fn self_test(&self, current: &Built) -> Result<(), Vec<Diagnostic>> {
        let Some(plugin) = current.untested.last() else { return Ok(()) };
        let Some(vectors) = current.vectors.get(plugin.name()) else { return Ok(()) };
        self.host.self_test(plugin, vectors).await
    }

    /// Updates the inventory with what serves.
    fn serve(&self, state: &State) {
        self.inventory.serve(&state.current.plugins, state.standby.plugins());
        shadows::follow(&self.host, &self.paths.plugins, &state.current.plugins);
        let kept_out = state.current.kept_out.iter().map(KeptOut::status);
        self.inventory.reject(kept_out.chain(state.current.rejected.iter().cloned()).collect());
    }

    /// Replaces every plugin that failed on probation with the version before, and drops the standby versions whose
    /// time has ended.
    async fn take_back(&self, state: &mut State, applied: impl Fn(Generation)) {
        while let Some((bad, good)) = state.standby.take_failed(&state.current.plugins) {
            let started = Instant::now();
            let Some(good) = good else {
                telemetry::plugin_failing(bad.name().as_str(), bad.version(), &bad.failing());
                self.gates.saw(OwnEvent::PluginFailing { plugin: bad.name().as_str(), version: bad.version() });
                bad.unwatch();
                continue;
            };
            let entry = bad.quarantined(&good);
            match standby::without(&state.current, &bad, &good) {
                Ok(back) => {
                    let generation = back.serving.catalog.generation();
                    self.gates.replace(back.serving.clone());
                    let before = std::mem::replace(&mut state.current, back);
                    let at_ms = self.gates.now_unix_ms();
                    let rolled_back = Reload::new(at_ms, ReloadOutcome::RolledBack, in_ms(started.elapsed()));
                    let changes = changed::changes(&before, &state.current);
                    self.log.note(rolled_back.applied(generation.0, &changes).saying(entry.reason()));
                    self.keep_out(entry.clone()).await;
                    self.serve(state);
                    let (name, from, to) = (bad.name().as_str(), bad.version(), good.version());
                    telemetry::plugin_rolled_back(name, from, to, generation.0, entry.reason());
                    changed::log(&changes);
                    let generation = generation.0;
                    self.gates.saw(OwnEvent::PluginRolledBack { plugin: name, from, to, generation });
                    applied(Generation(generation));
                }
                Err(mistakes) => {
                    let why = mistakes.first().map(|mistake| mistake.summary()).unwrap_or_default();
                    telemetry::plugin_not_rolled_back(bad.name().as_str(), bad.version(), &why);
                    self.gates.saw(OwnEvent::PluginFailing { plugin: bad.name().as_str(), version: bad.version() });
                }
            }
            bad.unwatch();
        }
        state.standby.expire();
        self.inventory.stand_by(state.standby.plugins());
    }

    /// Quarantines a version.
    async fn keep_out(&self, entry: Quarantined) {
        let quarantine = self.host.quarantine().clone();
        let _ = tokio::task::spawn_blocking(move || quarantine.add(entry)).await;
    }

    /// Reads and builds the next generation while the present one serves; `None` if nothing changed.
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

    /// Reports errors, separately for each file.
    fn tell_rejected(&self, mistakes: &[Diagnostic], started: Instant, rejected: impl Fn(&[Diagnostic])) {
        let first = mistakes.first().map(|mistake| mistake.summary()).unwrap_or_default();
        let files = by_file(mistakes);
        let reload = Reload::new(self.gates.now_unix_ms(), ReloadOutcome::Rejected, in_ms(started.elapsed()));
        let paths = files.iter().map(|file| file.path.clone()).filter(|path| !path.is_empty());
        self.log.note(reload.by(paths).with_errors(mistakes));
        telemetry::reload_rejected(mistakes.len(), &first);
        self.gates.saw(OwnEvent::ReloadRejected { mistakes: mistakes.len(), first: &first });
        for file in files.iter().take(FILES_TOLD_MAX) {
            telemetry::reload_held_up(&file.path, file.mistakes, &file.first);
        }
        rejected(mistakes);
    }

    /// Updates the inventory with the plugins that could not be loaded.
    fn reject(&self, candidates: &Candidates, mistakes: Vec<Diagnostic>) -> Vec<Diagnostic> {
        self.inventory.reject(rejected::rejected(&self.paths.plugins, candidates, &mistakes));
        mistakes
    }
}

fn in_ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
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
