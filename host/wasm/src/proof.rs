//! The self-test of a version before it serves: its golden vectors run on a trial of it that nobody else calls.
//!
//! The trial has its own instances and its own services in memory (except for secrets), so a test changes nothing
//! permanent. It uses the places that busy handlers never take, and more time than a call: the test checks answers, not
//! how busy the machine is.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant as Moment, timeout};
use tracing::Instrument as _;

use super::PluginHost;
use super::census::Census;
use super::imports::{Reach, Services};
use super::instance::Blueprint;
use super::limits::PluginLimits;
use super::load::Mistake;
use super::plugin::Plugin;
use super::probation::Probation;
use super::record::Record;
use super::room::{Class, Room};
use super::vectors::self_test;
use super::worlds::Exports;
use tidegate_core::config::{Diagnostic, HumanDuration, Place, SourceFile};
use tidegate_core::telemetry;

/// How long one call of a trial may take, instead of `limits.wall`.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// How many times `limits.cpu` a call of a trial may use: the first calls of a component read its code from the disk.
const CPU_FACTOR: u32 = 10;

/// The vectors that a version passed.
#[derive(Debug, Default)]
pub(super) struct Proof(Mutex<Proven>);

#[derive(Debug, Clone, Copy, Default)]
struct Proven {
    vectors: usize,
    fingerprint: Option<u64>,
}

impl Proof {
    /// How many there are.
    pub(super) fn vectors(&self) -> usize {
        self.0.lock().vectors
    }

    fn is_of(&self, vectors: &[Arc<SourceFile>]) -> bool {
        self.0.lock().fingerprint == Some(fingerprint(vectors))
    }

    fn remember(&self, vectors: &[Arc<SourceFile>]) {
        *self.0.lock() = Proven { vectors: vectors.len(), fingerprint: Some(fingerprint(vectors)) };
    }
}

fn fingerprint(vectors: &[Arc<SourceFile>]) -> u64 {
    let mut hasher = DefaultHasher::new();
    vectors.iter().for_each(|vector| (&vector.path, &vector.text).hash(&mut hasher));
    hasher.finish()
}

impl PluginHost {
    /// Runs a plugin's golden vectors, for [`HostSettings::self_test_max`](super::HostSettings::self_test_max) at most.
    /// Vectors that it passed before do not run again. Calls of the plugin itself are not affected.
    ///
    /// # Errors
    /// Every invalid vector and every vector with a different answer, at its place.
    pub async fn prove(&self, plugin: &Plugin, vectors: &[Arc<SourceFile>]) -> Result<(), Vec<Diagnostic>> {
        if plugin.proof.is_of(vectors) {
            return Ok(());
        }
        let Some(first) = vectors.first() else {
            plugin.proof.remember(vectors);
            return Ok(());
        };
        let at = Place { source: first.clone(), line: 1, column: 1, width: 1 };
        let started = Moment::now();
        let span = tracing::info_span!("plugin.self_test", plugin = %plugin.name());
        let trial = self.trial(plugin).await.map_err(|error| vec![Diagnostic::at(at.clone(), error)])?;
        let tested = timeout(self.self_test_max, self_test(&trial, vectors).instrument(span)).await;
        let (name, component) = (plugin.name().as_str(), plugin.digest().short());
        let told = |failed| telemetry::plugin_tested(name, component, vectors.len(), failed, started.elapsed());
        match tested {
            Ok(Ok(())) => {
                told(0);
                plugin.proof.remember(vectors);
                Ok(())
            }
            Ok(Err(mistakes)) => {
                told(mistakes.len());
                Err(mistakes)
            }
            Err(_) => {
                told(vectors.len());
                let most = HumanDuration::new(self.self_test_max);
                let message = format!("`{name}` did not answer its {} vectors within {most}", vectors.len());
                let hint = "`tidegate plugin test` shows which vector takes long; `limits.plugin_self_test` is the time for all vectors";
                Err(vec![Diagnostic::at(at, message).hint(hint)])
            }
        }
    }

    /// A copy of a plugin for a test, with the time of a trial.
    ///
    /// # Errors
    /// A sentence, if the component no longer fits the contract.
    pub async fn trial(&self, plugin: &Plugin) -> Result<Plugin, String> {
        let Plugin { manifest, blueprint, .. } = plugin;
        let mut services = Services::in_memory();
        services.secrets = self.services.secrets.clone();
        services.may_lack_secrets = true;
        let limits = PluginLimits { cpu: manifest.limits.cpu * CPU_FACTOR, ..manifest.limits };
        let reach = Reach::new(blueprint.identity.plugin.clone(), &services, &manifest.grants, &limits).await;
        let blueprint = Blueprint {
            identity: blueprint.identity.clone(),
            exports: Exports::find(blueprint.component.component(), plugin.kinds)
                .map_err(|misfit| misfit.to_string())?,
            component: blueprint.component.clone(),
            config: blueprint.config.clone(),
            reach: Arc::new(reach.map_err(Mistake::into_message)?.uncounted()),
            limits,
            census: Census::silent(),
            places: blueprint.places,
        };
        // A flood of messages must not keep the better version out.
        let room = || Room::new(Class::Authorizer, manifest, &blueprint.census, &self.slots);
        Ok(Plugin {
            name: plugin.name.clone(),
            digest: plugin.digest.clone(),
            version: plugin.version,
            cached: plugin.cached,
            kinds: plugin.kinds,
            authorizers: room(),
            workers: room(),
            manifest: manifest.clone(),
            blueprint,
            slots: self.slots.clone(),
            record: Record::begin(),
            probation: Probation::default(),
            proof: Proof::default(),
            shows_inputs: false,
            is_trial: true,
        })
    }
}
