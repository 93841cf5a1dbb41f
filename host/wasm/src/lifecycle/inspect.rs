//! A report for the author of a plugin: the kinds, needs and costs of a component. Nothing of it serves.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use wasmtime::component::Component;

use super::load::{Candidate, check_pin, check_preamble};
use crate::compile::Compiled;
use crate::compile::Needs;
use crate::contract::{Standing, check_imports, exports, standings};
use crate::manifest::read_manifest;
use crate::mistake::Mistake;
use crate::run::{Blueprint, Class, Instance};
use crate::version::Digest;
use crate::{PluginHost, PluginSource};
use tidegate_core::channels::PluginKinds;
use tidegate_core::config::{Diagnostic, SourceFile};
use tidegate_core::protocol::PluginName;

/// How many fresh instances the measurement makes.
const FRESH_INSTANCES: usize = 20;
/// How long the measurement waits for one place; nobody else uses the host.
const SLOT_TIMEOUT: Duration = Duration::from_secs(5);

/// The kinds, needs and costs of a component.
#[derive(Debug)]
pub struct Inspection {
    /// Its digest.
    pub digest: Digest,
    /// Its size, in bytes.
    pub component_bytes: usize,
    /// How long its compilation took.
    pub compile: Duration,
    /// The size of its native code and data, in bytes.
    pub native_bytes: usize,
    /// The kinds it exports.
    pub kinds: PluginKinds,
    /// Its imports, and whether it may have each of them.
    pub imports: Vec<(String, Standing)>,
    /// What one instance takes of the pool; `None` when that depends on imported modules.
    pub needs: Option<Needs>,
    /// The cost of its instances, if it can be instantiated.
    pub instance: Option<InstanceCost>,
    /// Why the server would not load it, if so.
    pub mistake: Option<Diagnostic>,
}

/// The cost of instances of a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InstanceCost {
    /// Core instances of one instance; `None` on a machine without the pool.
    pub core_instances: Option<u64>,
    /// Linear memory of a fresh instance, in bytes, all its memories together.
    pub memory_bytes: usize,
    /// How long the first instance took.
    pub first: Duration,
    /// How long a later instance takes: the median of twenty.
    pub fresh: Duration,
}

/// Whose component it is.
enum Owner {
    /// A plugin, with known grants.
    Plugin,
    /// Nobody: a file without grants.
    Nobody,
}

impl PluginHost {
    /// Looks at a plugin: compiles it, and makes instances of it.
    ///
    /// # Errors
    /// The mistakes of `plugin.yaml`, or why the component is not a plugin at all. Reasons that only prevent loading
    /// are in [`Inspection::mistake`].
    pub async fn inspect(&self, source: PluginSource) -> Result<Inspection, Vec<Diagnostic>> {
        let manifest = read_manifest(&source.manifest)?;
        let candidate = Candidate { name: source.name, path: source.component_path, manifest };
        let looked = self.look(&candidate, source.component, &Owner::Plugin).await;
        looked.map_err(|mistake| vec![candidate.report(mistake)])
    }

    /// Looks at a component without a `plugin.yaml`. Its imports need no grants.
    ///
    /// # Errors
    /// Why the component is not a plugin at all.
    pub async fn inspect_component(&self, path: &str, component: Vec<u8>) -> Result<Inspection, Vec<Diagnostic>> {
        let manifest = SourceFile { path: path.to_owned(), text: "component: component.wasm".to_owned() };
        let manifest = read_manifest(&Arc::new(manifest))?;
        // A file mostly has the name of its plugin, which hints like `tidegate plugin build NAME` need.
        let name = Path::new(path).file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let candidate = Candidate { name: PluginName::new(name), path: path.to_owned(), manifest };
        let placeless = |mistake: Diagnostic| Diagnostic { place: None, ..mistake };
        match self.look(&candidate, component, &Owner::Nobody).await {
            Ok(inspection) => Ok(Inspection { mistake: inspection.mistake.map(placeless), ..inspection }),
            Err(mistake) => Err(vec![placeless(candidate.report(mistake))]),
        }
    }

    async fn look(&self, candidate: &Candidate, bytes: Vec<u8>, owner: &Owner) -> Result<Inspection, Mistake> {
        check_preamble(&candidate.name, &bytes)?;
        let (digest, component_bytes) = (Digest::of(&bytes), bytes.len());
        let Compiled { component, elapsed, .. } = self.compiler.compile(&self.engine, &digest, bytes).await?;
        let kinds = exports::kinds(&component, &self.engine)?;
        let grants = &candidate.manifest.grants;
        let granted = match owner {
            Owner::Plugin => {
                check_pin(&candidate.manifest, &digest).and_then(|()| check_imports(&component, &self.engine, grants))
            }
            Owner::Nobody => Ok(()),
        };
        // Instances are made whatever is granted: only start functions of the plugin run.
        let (instance, fault) = match self.prepare(candidate, candidate.version(&digest), &component, kinds).await {
            Ok(blueprint) => (self.cost(&blueprint).await, None),
            Err(mistake) => (None, Some(mistake)),
        };
        Ok(Inspection {
            digest,
            component_bytes,
            compile: elapsed,
            native_bytes: native_bytes(&component),
            kinds,
            imports: standings(&component, &self.engine, grants),
            needs: Needs::of(&component),
            instance,
            mistake: granted.err().or(fault).map(|mistake| candidate.report(mistake)),
        })
    }

    async fn cost(&self, blueprint: &Blueprint) -> Option<InstanceCost> {
        let before = self.core_instances();
        let (mut instance, first) = self.timed(blueprint).await?;
        let core_instances = before.and_then(|before| self.core_instances()?.checked_sub(before));
        let memory_bytes = instance.guest().memory.bytes();
        drop(instance);
        let mut times = Vec::new();
        for _ in 0..FRESH_INSTANCES {
            let (_instance, took) = self.timed(blueprint).await?;
            times.push(took);
        }
        times.sort_unstable();
        Some(InstanceCost { core_instances, memory_bytes, first, fresh: times[FRESH_INSTANCES / 2] })
    }

    async fn timed(&self, blueprint: &Blueprint) -> Option<(Box<Instance>, Duration)> {
        let slot = self.slots.take(Class::Authorizer, blueprint.places, Instant::now() + SLOT_TIMEOUT).await.ok()?;
        let started = Instant::now();
        let instance = blueprint.instantiate(slot, None).await.ok()?;
        Some((instance, started.elapsed()))
    }

    fn core_instances(&self) -> Option<u64> {
        Some(self.engine.pooling_allocator_metrics()?.core_instances())
    }
}

fn native_bytes(component: &Component) -> usize {
    let image = component.image_range();
    (image.end as usize).saturating_sub(image.start as usize)
}
