//! The self-test: before a version serves, a trial copy of it must answer its golden vectors.
//!
//! The trial has its own instances, and services in memory except for the secrets, so a test changes no data. It uses
//! the places of authorizers, which busy handlers never take, and has more time than a call, because a busy machine
//! must not fail the test.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio::time::{Instant as Moment, timeout};
use tracing::Instrument as _;

use super::probation::Probation;
use crate::PluginHost;
use crate::imports::{Capabilities, Services};
use crate::kinds::Exports;
use crate::manifest::PluginLimits;
use crate::mistake::Mistake;
use crate::plugin::Plugin;
use crate::proof::Proof;
use crate::run::{Blueprint, Bulkhead, Class, InstanceCount, Slots, Statistics};
use crate::vectors;
use tidegate_core::config::{Diagnostic, HumanDuration, Place, SourceFile};
use tidegate_core::telemetry;

/// How long one call of a trial may take, instead of `limits.wall`.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// A call of a trial may use this many times `limits.cpu`: the first calls of a component read its code from the disk.
const CPU_FACTOR: u32 = 10;

/// The golden vectors that a version answered as expected.
#[derive(Debug, Default)]
pub(crate) struct SelfTest(Mutex<Passed>);

#[derive(Debug, Clone, Copy, Default)]
struct Passed {
    vectors: usize,
    fingerprint: Option<u64>,
}

impl SelfTest {
    /// How many vectors there are.
    pub(crate) fn vectors(&self) -> usize {
        self.0.lock().vectors
    }

    fn is_of(&self, vectors: &[Arc<SourceFile>]) -> bool {
        self.0.lock().fingerprint == Some(fingerprint(vectors))
    }

    fn remember(&self, vectors: &[Arc<SourceFile>]) {
        *self.0.lock() = Passed { vectors: vectors.len(), fingerprint: Some(fingerprint(vectors)) };
    }
}

fn fingerprint(vectors: &[Arc<SourceFile>]) -> u64 {
    let mut hasher = DefaultHasher::new();
    vectors.iter().for_each(|vector| (&vector.path, &vector.text).hash(&mut hasher));
    hasher.finish()
}

impl PluginHost {
    /// Tests a plugin with its golden vectors, within
    /// [`HostSettings::self_test_max`](crate::HostSettings::self_test_max). The same vectors are not tested twice.
    /// Calls of the plugin itself do not notice.
    ///
    /// # Errors
    /// Every vector that is invalid or answered otherwise, at its place.
    pub async fn self_test(&self, plugin: &Plugin, vectors: &[Arc<SourceFile>]) -> Result<(), Vec<Diagnostic>> {
        if plugin.self_test.is_of(vectors) {
            return Ok(());
        }
        let Some(first) = vectors.first() else {
            plugin.self_test.remember(vectors);
            return Ok(());
        };
        let at = Place { source: first.clone(), line: 1, column: 1, width: 1 };
        let started = Moment::now();
        let span = tracing::info_span!("plugin.self_test", plugin = %plugin.name());
        let trial = self.trial(plugin).await.map_err(|error| vec![Diagnostic::at(at.clone(), error)])?;
        let tested = timeout(self.self_test_max, vectors::judge_all(&trial, vectors).instrument(span)).await;
        let (name, component) = (plugin.name().as_str(), plugin.digest().short());
        let report = |failed| telemetry::plugin_tested(name, component, vectors.len(), failed, started.elapsed());
        match tested {
            Ok(Ok(())) => {
                report(0);
                plugin.self_test.remember(vectors);
                Ok(())
            }
            Ok(Err(mistakes)) => {
                report(mistakes.len());
                Err(mistakes)
            }
            Err(_) => {
                report(vectors.len());
                let most = HumanDuration::new(self.self_test_max);
                let message = format!("`{name}` did not answer its {} vectors within {most}", vectors.len());
                let hint = "`tidegate plugin test` shows which vector takes long; `limits.plugin_self_test` is the time for all vectors";
                Err(vec![Diagnostic::at(at, message).hint(hint)])
            }
        }
    }

    /// A copy of a plugin for tests, with the time limits of a trial.
    ///
    /// # Errors
    /// A sentence, when the component no longer fits the contract.
    pub async fn trial(&self, plugin: &Plugin) -> Result<Plugin, String> {
        let secrets = self.services.secrets.clone();
        let services = Services { secrets, may_lack_secrets: true, ..Services::in_memory() };
        self.apart(plugin, &services, &self.slots).await
    }

    /// A copy of a plugin with these services, and with instances that take these places.
    ///
    /// # Errors
    /// As [`PluginHost::trial`].
    pub(crate) async fn apart(
        &self,
        plugin: &Plugin,
        services: &Services,
        slots: &Arc<Slots>,
    ) -> Result<Plugin, String> {
        let Plugin { manifest, blueprint, .. } = plugin;
        let limits = PluginLimits { cpu: manifest.limits.cpu * CPU_FACTOR, wall: CALL_TIMEOUT, ..manifest.limits };
        let capabilities =
            Capabilities::new(blueprint.identity.plugin.clone(), services, &manifest.grants, &limits).await;
        let blueprint = Blueprint {
            identity: blueprint.identity.clone(),
            exports: Exports::find(blueprint.component.component(), plugin.kinds)
                .map_err(|misfit| misfit.to_string())?,
            component: blueprint.component.clone(),
            config: blueprint.config.clone(),
            capabilities: Arc::new(capabilities.map_err(Mistake::into_message)?.uncounted()),
            limits,
            instance_count: InstanceCount::silent(),
            places: blueprint.places,
        };
        // A flood of messages must not prevent the fix.
        let bulkhead = || Bulkhead::new(Class::Authorizer, manifest, &blueprint.instance_count, slots);
        Ok(Plugin {
            name: plugin.name.clone(),
            digest: plugin.digest.clone(),
            version: plugin.version,
            cached: plugin.cached,
            kinds: plugin.kinds,
            authorizers: bulkhead(),
            workers: bulkhead(),
            manifest: manifest.clone(),
            blueprint,
            slots: slots.clone(),
            shares: self.shares.clone(),
            team: RwLock::default(),
            statistics: Statistics::begin(),
            probation: Probation::default(),
            self_test: SelfTest::default(),
            watcher: plugin.watcher.clone(),
            shows_inputs: false,
            is_trial: true,
            proof: Proof::default(),
        })
    }
}
