//! A shadow: a candidate that is asked what the version that serves was asked, after it has answered. Nothing that the
//! candidate does happens: its effects are thrown away, its keys lie in an overlay, and the host answers it what it
//! answered the version that serves.
//!
//! It has instances of its own, and a thread of its own with the lowest priority (`shadow_thread`). What comes while too
//! many calls wait is dropped and counted.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::differences::{self, Difference, DifferenceKind};
use super::listener::Ended;
use super::shadow_thread;
use crate::PluginHost;
use crate::imports::Services;
use crate::lifecycle::Candidate;
use crate::manifest::{PluginManifest, ShadowSection, Share};
use crate::mistake::Mistake;
use crate::plugin::Plugin;
use crate::tape::{Overlay, Play, playing};
use crate::vectors::ask;
use tidegate_core::flow::kv::KeyValue;
use tidegate_core::flow::ports::{Clock as _, ShadowDifference, ShadowStatus, SystemClock};
use tidegate_core::telemetry;

/// Most calls that wait for the candidate.
const WAITING_MAX: usize = 64;
/// Most differences that are remembered, the last ones.
const DIFFERENCES_MAX: usize = 20;

/// The shadow of a version.
pub(crate) struct Shadow {
    plugin: String,
    component: String,
    share: Share,
    digest: String,
    since_unix_s: u64,
    asked: AtomicU64,
    jobs: mpsc::Sender<Ended>,
    results: Arc<Results>,
}

/// What came of it.
#[derive(Default)]
pub(super) struct Results {
    calls: AtomicU64,
    same: AtomicU64,
    dropped: AtomicU64,
    found: Mutex<Found>,
}

#[derive(Default)]
struct Found {
    by_kind: BTreeMap<DifferenceKind, u64>,
    last: VecDeque<ShadowDifference>,
}

/// Whether there is a shadow, or why not.
pub(crate) enum ShadowState {
    Running(Arc<Shadow>),
    /// The candidate does not load.
    Broken {
        section: ShadowSection,
        digest: Option<String>,
        why: String,
        since_unix_s: u64,
    },
}

impl ShadowState {
    /// Whether this is the shadow of these bytes.
    fn is_of(&self, section: &ShadowSection, of: Option<&str>, error: Option<&str>) -> bool {
        match self {
            Self::Running(shadow) => {
                shadow.component == section.version
                    && shadow.share == section.share
                    && Some(shadow.digest.as_str()) == of
            }
            // What cannot be read is told once.
            Self::Broken { section: known, digest, why, .. } => {
                known.version == section.version && digest.as_deref() == of && error.is_none_or(|error| why == error)
            }
        }
    }

    /// For operators.
    pub(crate) fn status(&self) -> ShadowStatus {
        match self {
            Self::Running(shadow) => shadow.status(),
            Self::Broken { section, digest, why, since_unix_s } => ShadowStatus {
                component: section.version.clone(),
                digest: digest.clone(),
                share: section.share.to_string(),
                since_unix_s: *since_unix_s,
                error: Some(why.clone()),
                ..ShadowStatus::default()
            },
        }
    }
}

impl Shadow {
    /// Whether the call that begins is one of its share.
    pub(super) fn samples(&self) -> bool {
        self.share.has(self.asked.fetch_add(1, Ordering::Relaxed))
    }

    /// Takes a call that ended, if there is room.
    pub(super) fn take(&self, ended: &Ended) {
        let place = self.jobs.try_reserve().ok().filter(|_| !ended.heard.is_cut);
        let Some(place) = place else {
            self.results.dropped.fetch_add(1, Ordering::Relaxed);
            return telemetry::plugin_shadow_call(&self.plugin, "dropped");
        };
        place.send(ended.clone());
    }

    fn status(&self) -> ShadowStatus {
        let results = &self.results;
        let found = results.found.lock();
        let (calls, same) = (results.calls.load(Ordering::Relaxed), results.same.load(Ordering::Relaxed));
        ShadowStatus {
            component: self.component.clone(),
            digest: Some(self.digest.clone()),
            share: self.share.to_string(),
            since_unix_s: self.since_unix_s,
            error: None,
            calls,
            same,
            dropped: results.dropped.load(Ordering::Relaxed),
            differences: found.by_kind.iter().map(|(kind, count)| (kind.as_str(), *count)).collect(),
            last_differences: found.last.iter().cloned().collect(),
        }
    }
}

/// Asks the candidate what a call asked, and counts how it differs.
pub(super) async fn judge(candidate: &Plugin, below: &Arc<dyn KeyValue>, call: Ended, results: &Results) {
    let Ended { question, answer, heard, .. } = call;
    let tape = Play::new(heard.entries, Overlay::over(below.clone()), heard.received_at_ms);
    let (found, rest) = playing(tape, ask(candidate, &question)).await;
    let differences = differences::of(&answer, &found, &rest);
    let plugin = candidate.name().as_str();
    results.calls.fetch_add(1, Ordering::Relaxed);
    telemetry::plugin_shadow_call(plugin, if differences.is_empty() { "same" } else { "differs" });
    if differences.is_empty() {
        results.same.fetch_add(1, Ordering::Relaxed);
        return;
    }
    let at_ms = SystemClock.now_unix_ms();
    let kind_of_plugin = question.kind().as_str();
    let mut found = results.found.lock();
    for Difference { kind, shown } in differences {
        telemetry::plugin_shadow_difference(plugin, kind.as_str());
        *found.by_kind.entry(kind).or_default() += 1;
        if found.last.len() == DIFFERENCES_MAX {
            found.last.pop_back();
        }
        found.last.push_front(ShadowDifference { at_ms, of: kind_of_plugin, kind: kind.as_str(), shown: Some(shown) });
    }
}

impl PluginHost {
    /// Begins, changes or ends the shadow of a version that serves: as its `plugin.yaml` says, with the component that
    /// `read` finds. A candidate that does not load is told in the log and in the status; the version serves on.
    pub async fn shadow(&self, plugin: &Arc<Plugin>, read: impl FnOnce(&str) -> std::io::Result<Vec<u8>> + Send) {
        let Some(section) = plugin.manifest.shadow.clone() else { return };
        let name = plugin.name().as_str();
        let bytes = read(&section.version).map_err(|error| format!("`{}`: {error}", section.version));
        let digest = bytes.as_ref().ok().map(|bytes| crate::Digest::of(bytes).as_str().to_owned());
        let error = bytes.as_ref().err().map(String::as_str);
        if plugin.proof.shadow_is(|state| state.is_of(&section, digest.as_deref(), error)) {
            return;
        }
        let started = match bytes {
            Ok(bytes) => self.start_shadow(plugin, &section, bytes).await,
            Err(why) => Err(why),
        };
        let state = match started {
            Ok(shadow) => {
                telemetry::plugin_shadow_begun(name, plugin.version(), &shadow.digest, &section.share.to_string());
                ShadowState::Running(Arc::new(shadow))
            }
            Err(why) => {
                telemetry::plugin_shadow_broken(name, plugin.version(), &section.version, &why);
                ShadowState::Broken { section, digest, why, since_unix_s: SystemClock.now_unix_s() }
            }
        };
        plugin.proof.shadow(state);
    }

    async fn start_shadow(&self, plugin: &Plugin, section: &ShadowSection, bytes: Vec<u8>) -> Result<Shadow, String> {
        let digest = crate::Digest::of(&bytes).as_str().to_owned();
        let manifest = PluginManifest { sha256: None, shadow: None, ..plugin.manifest.clone() };
        let candidate = Candidate { name: plugin.name().clone(), path: section.version.clone(), manifest };
        let candidate = self.load_component(&candidate, bytes).await.map_err(Mistake::into_message)?;
        // It reaches nothing outside: the tape answers it.
        let secrets = self.services.secrets.clone();
        let kv = shadow_thread::reading(self.services.kv.clone());
        let services = Services { secrets, may_lack_secrets: true, kv: kv.clone(), ..Services::in_memory() };
        let candidate = self.apart(&candidate, &services, &self.shadow_slots).await?;
        let (jobs, waiting) = mpsc::channel(WAITING_MAX);
        let results = Arc::new(Results::default());
        shadow_thread::begin(candidate, kv, waiting, results.clone()).map_err(|error| error.to_string())?;
        Ok(Shadow {
            plugin: plugin.name().as_str().to_owned(),
            component: section.version.clone(),
            share: section.share,
            digest,
            since_unix_s: SystemClock.now_unix_s(),
            asked: AtomicU64::new(0),
            jobs,
            results,
        })
    }
}
