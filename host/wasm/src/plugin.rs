//! A loaded plugin. `kinds/` calls it; `run/` keeps its instances.

use std::sync::Arc;

use parking_lot::RwLock;
use serde_json::Value;

use crate::lifecycle::{Probation, SelfTest};
use crate::manifest::PluginManifest;
use crate::proof::Proof;
use crate::run::{Blueprint, Bulkhead, Slots, Statistics, TeamShare, TeamShares};
use crate::version::{Digest, Fingerprint};
use tidegate_core::channels::{PluginKind, PluginKinds};
use tidegate_core::config::{SourceFile, TeamId};
use tidegate_core::flow::ports::{BreakerStatus, PluginService, PluginState, PluginStatus, PluginVersion, Watch};
use tidegate_core::protocol::PluginName;

/// A plugin that can serve: verified, compiled, linked and tested.
pub struct Plugin {
    pub(crate) name: PluginName,
    pub(crate) digest: Digest,
    pub(crate) version: PluginVersion,
    pub(crate) cached: bool,
    pub(crate) kinds: PluginKinds,
    pub(crate) manifest: PluginManifest,
    pub(crate) blueprint: Blueprint,
    pub(crate) slots: Arc<Slots>,
    pub(crate) shares: Arc<TeamShares>,
    /// The share of the team that it belongs to, in the present generation.
    pub(crate) team: RwLock<Option<Arc<TeamShare>>>,
    pub(crate) authorizers: Bulkhead,
    pub(crate) workers: Bulkhead,
    pub(crate) statistics: Statistics,
    pub(crate) probation: Probation,
    /// The golden vectors that it answered.
    pub(crate) self_test: SelfTest,
    /// Hears of its faults and pauses.
    pub(crate) watcher: Arc<dyn Watch>,
    /// Whether the log shows the payload that caused a fault.
    pub(crate) shows_inputs: bool,
    /// Whether it is a trial copy, whose calls no metric counts.
    pub(crate) is_trial: bool,
    /// Who listens to its calls: a recording, a shadow.
    pub(crate) proof: Proof,
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plugin").field("name", &self.name).field("version", &self.version()).finish_non_exhaustive()
    }
}

impl Plugin {
    /// The name: the plugin's directory.
    #[must_use]
    pub const fn name(&self) -> &PluginName {
        &self.name
    }

    /// The version for logs and people: see [`PluginVersion::short`].
    #[must_use]
    pub fn version(&self) -> &str {
        &self.blueprint.identity.version
    }

    /// The digest of the component.
    #[must_use]
    pub const fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Whether its native code came from the cache.
    #[must_use]
    pub const fn cached(&self) -> bool {
        self.cached
    }

    /// The kinds that the component exports.
    #[must_use]
    pub const fn kinds(&self) -> PluginKinds {
        self.kinds
    }

    /// The feature that its `plugin.yaml` names.
    #[must_use]
    pub fn feature(&self) -> Option<&str> {
        self.manifest.feature.as_deref()
    }

    /// From now on its calls count in the budgets of this team.
    pub fn belongs_to(&self, team: Option<TeamId>) {
        let share = team.and_then(|team| self.shares.get(team));
        let mut own = self.team.write();
        if own.as_ref().map(Arc::as_ptr) == share.map(Arc::as_ptr) {
            return;
        }
        for bulkhead in [&self.authorizers, &self.workers] {
            own.iter().for_each(|before| before.loses(&bulkhead.pool));
            share.iter().for_each(|share| share.takes(&bulkhead.pool));
        }
        *own = share.cloned();
    }

    /// The share of its team, if it belongs to one.
    pub(crate) fn team(&self) -> Option<Arc<TeamShare>> {
        self.team.read().clone()
    }

    /// The granted secrets that the server lacks. Empty in a server.
    pub fn secrets_missing(&self) -> impl Iterator<Item = &str> {
        self.blueprint.capabilities.secrets_missing()
    }

    /// The fingerprint of its files.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::new(self.digest.clone(), &self.manifest.source.text)
    }

    /// Its status, for operators.
    #[must_use]
    pub fn status(&self, state: PluginState) -> PluginStatus {
        PluginStatus {
            name: self.name.as_str().to_owned(),
            state,
            version: Some(self.version.to_string()),
            digest: Some(self.digest.as_str().to_owned()),
            since_unix_s: self.statistics.loaded_at_unix_s,
            reasons: Vec::new(),
            service: Some(PluginService {
                kinds: self.kinds.iter().map(PluginKind::as_str).collect(),
                cached: self.cached,
                vectors: self.self_test.vectors(),
                instances: self.instances(),
                paused: [&self.authorizers, &self.workers]
                    .into_iter()
                    .filter(|bulkhead| bulkhead.breaker.is_open())
                    .map(|bulkhead| bulkhead.class.as_str())
                    .collect(),
                calls: self.statistics.calls(),
                faults: self.statistics.faults(),
                breaker: BreakerStatus {
                    authorizer: self.authorizers.breaker.word(),
                    worker: self.workers.breaker.word(),
                },
                memory_bytes: self.authorizers.pool.memory_bytes() + self.workers.pool.memory_bytes(),
                last_fault: self.statistics.last_fault(),
            }),
            last_faults: self.statistics.last_faults(),
            shadow: self.proof.shadow_status(),
            recording: self.proof.recording_state(),
        }
    }

    /// Its version, and what its `plugin.yaml` says of its rights and its limits: what people compare of two versions.
    #[must_use]
    pub fn policy(&self) -> Value {
        self.manifest.compared(self.kinds.iter(), Some(self.version()))
    }

    /// Whether its `plugin.yaml` has a candidate to ask beside it.
    #[must_use]
    pub const fn has_shadow(&self) -> bool {
        self.manifest.shadow.is_some()
    }

    /// Its `plugin.yaml`.
    #[must_use]
    pub const fn manifest_file(&self) -> &Arc<SourceFile> {
        &self.manifest.source
    }

    /// Drops the resting instances: the next call makes a fresh one.
    pub fn drop_resting(&self) {
        for bulkhead in [&self.authorizers, &self.workers] {
            while bulkhead.pool.take().is_some() {}
        }
    }

    /// How many instances are alive, busy or resting.
    #[must_use]
    pub fn instances(&self) -> u32 {
        self.blueprint.instance_count.alive()
    }
}
