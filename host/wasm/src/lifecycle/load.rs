//! From bytes to a plugin that can serve: digest → pin → layer → compile → kinds → link → trial instance → vectors.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use tokio::time::{Instant as Moment, timeout_at};
use wasmtime::Engine;
use wasmtime::component::Component;

use super::probation::Probation;
use super::self_test::SelfTest;
use crate::compile::Compiled;
use crate::compile::Needs;
use crate::contract::{check_imports, exports};
use crate::imports::Capabilities;
use crate::kinds::{Exports, Misfit};
use crate::manifest::{PluginManifest, read_manifest};
use crate::mistake::Mistake;
use crate::plugin::Plugin;
use crate::proof::Proof;
use crate::run::{Blueprint, Bulkhead, Class, Failure, Guest, Identity, InstanceCount, Retired, Statistics};
use crate::version::{Digest, Fingerprint};
use crate::{PluginHost, PluginSource, imports, vectors};
use tidegate_core::channels::PluginKinds;
use tidegate_core::config::{ByteSize, Diagnostic};
use tidegate_core::flow::ports::{FaultKind, PluginVersion};
use tidegate_core::protocol::PluginName;
use tidegate_core::telemetry;

/// Largest component, in bytes. A CPython one has 18 MB.
pub const COMPONENT_BYTES_MAX: usize = 64 << 20;
/// How long the first instance may take. The CPU limit of a call holds for it; the wall limit does not, because a
/// machine that compiles is slow.
const TRIAL_TIMEOUT: Duration = Duration::from_secs(5);
/// The first bytes of a component, and of a core module: magic, version, layer.
/// <https://github.com/WebAssembly/component-model/blob/main/design/mvp/Binary.md#component-definitions>
const COMPONENT_PREAMBLE: [u8; 8] = *b"\0asm\x0d\0\x01\0";
const MODULE_PREAMBLE: [u8; 8] = *b"\0asm\x01\0\0\0";

impl PluginHost {
    /// Loads a plugin. It serves only in a [`PluginSet`](crate::PluginSet).
    ///
    /// Compiles as the host's [`CompileSettings`](crate::CompileSettings) say, one component at a time.
    ///
    /// # Errors
    /// Every mistake of `plugin.yaml`, the first mistake of the component, at the key that names it, and every golden
    /// vector that is invalid or answered otherwise. Each file is checked even if others are wrong.
    pub async fn load(&self, source: PluginSource) -> Result<Arc<Plugin>, Vec<Diagnostic>> {
        let PluginSource { name, manifest, component_path: path, component, vectors } = source;
        let manifest = match read_manifest(&manifest) {
            Ok(manifest) => manifest,
            Err(mut mistakes) => {
                // Of the component only the mistakes that do not depend on `plugin.yaml`.
                mistakes.extend(
                    check_preamble(&name, &component).err().map(|mistake| mistake.report_in_file(&manifest, &path)),
                );
                mistakes.extend(vectors::mistakes(&vectors));
                return Err(mistakes);
            }
        };
        let candidate = Candidate { name, path, manifest };
        let plugin = self.load_component(&candidate, component).await.map(Arc::new);
        let plugin = plugin.map_err(|mistake| {
            let mut mistakes = vec![candidate.report(mistake)];
            mistakes.extend(vectors::mistakes(&vectors));
            mistakes
        })?;
        self.self_test(&plugin, &vectors).await?;
        Ok(plugin)
    }

    pub(crate) async fn load_component(&self, candidate: &Candidate, bytes: Vec<u8>) -> Result<Plugin, Mistake> {
        let manifest = &candidate.manifest;
        let digest = Digest::of(&bytes);
        let version = candidate.version(&digest);
        check_pin(manifest, &digest)?;
        self.check_quarantine(&candidate.name, &digest, version)?;
        check_preamble(&candidate.name, &bytes)?;
        let Compiled { component, cached, elapsed } = self.compiler.compile(&self.engine, &digest, bytes).await?;
        telemetry::plugin_compiled(candidate.name.as_str(), digest.short(), cached, elapsed);
        let kinds = exports::kinds(&component, &self.engine)?;
        check_imports(&component, &self.engine, &manifest.grants)?;
        let blueprint = self.prepare(candidate, version, &component, kinds).await?;
        let bulkhead = |class| Bulkhead::new(class, manifest, &blueprint.instance_count, &self.slots);
        Ok(Plugin {
            name: candidate.name.clone(),
            digest,
            version,
            cached,
            kinds,
            authorizers: bulkhead(Class::Authorizer),
            workers: bulkhead(Class::Worker),
            manifest: manifest.clone(),
            blueprint,
            slots: self.slots.clone(),
            shares: self.shares.clone(),
            team: RwLock::default(),
            statistics: Statistics::begin(),
            probation: Probation::default(),
            self_test: SelfTest::default(),
            watcher: self.services.watch.clone(),
            shows_inputs: self.shows_inputs,
            is_trial: false,
            proof: Proof::default(),
        })
    }

    /// Refuses a quarantined version.
    fn check_quarantine(&self, name: &PluginName, digest: &Digest, version: PluginVersion) -> Result<(), Mistake> {
        let Some(kept_out) = self.quarantine.find(name, digest, version) else { return Ok(()) };
        Err(Mistake::new(format!("is quarantined: {}", kept_out.reason())).hint(&format!(
            "build a corrected version, restore the version before, or re-admit this one: `tidegate plugin clear {name}`"
        )))
    }

    /// Checks a compiled component whose imports are granted: that it has the wanted kinds, links and starts.
    ///
    /// # Errors
    /// The first [`Mistake`].
    pub(crate) async fn prepare(
        &self,
        candidate: &Candidate,
        version: PluginVersion,
        component: &Component,
        kinds: PluginKinds,
    ) -> Result<Blueprint, Mistake> {
        exports::check_asked(kinds, &candidate.manifest.kinds)?;
        let capabilities = self.capabilities(candidate).await?;
        let blueprint = self.blueprint(candidate, version, component, kinds, capabilities)?;
        self.try_out(&blueprint).await?;
        Ok(blueprint)
    }

    /// Links a component, to make instances from it.
    fn blueprint(
        &self,
        candidate: &Candidate,
        version: PluginVersion,
        component: &Component,
        kinds: PluginKinds,
        capabilities: Arc<Capabilities>,
    ) -> Result<Blueprint, Mistake> {
        let manifest = &candidate.manifest;
        let places = self.places(component)?;
        let pre = self.linker.instantiate_pre(component).map_err(|error| {
            Mistake::new(format!("does not link: {error:#}"))
                .hint("build it with the SDK of this server's version; of WASI the server offers only an empty 0.2")
        })?;
        let misfit = |misfit: Misfit| Mistake::new(format!("does not fit the contract: {misfit}"));
        Ok(Blueprint {
            identity: Identity { plugin: candidate.name.as_str().into(), version: version.short().into() },
            exports: Exports::find(pre.component(), kinds).map_err(misfit)?,
            component: pre,
            config: manifest.config.clone(),
            capabilities,
            limits: manifest.limits,
            instance_count: InstanceCount::of(candidate.name.as_str().into()),
            places,
        })
    }

    /// The places that one instance of a component takes: one, unless it needs more of the pool than the average share
    /// of an instance.
    fn places(&self, component: &Component) -> Result<u32, Mistake> {
        // A component with imported modules does not link anyway.
        let Some(needs) = Needs::of(component) else { return Ok(1) };
        let (places, most) = (needs.places(), self.slots.workers_max());
        if places > most {
            let message = format!(
                "one instance needs the places of {places} instances ({} memories, {} tables), but there are only {most}",
                needs.memories, needs.tables
            );
            return Err(Mistake::new(message).hint("raise `limits.plugin_instances` in the server's configuration"));
        }
        Ok(places)
    }

    /// Prepares the services that the plugin is granted.
    async fn capabilities(&self, candidate: &Candidate) -> Result<Arc<Capabilities>, Mistake> {
        let manifest = &candidate.manifest;
        if !manifest.grants.kv.is_empty() {
            self.services.kv.open().await.map_err(|error| without_store("/grants/kv", "buckets", &error))?;
        }
        let plugin = candidate.name.as_str().into();
        let capabilities = Capabilities::new(plugin, &self.services, &manifest.grants, &manifest.limits).await?;
        if let Some(name) = capabilities.secrets_missing().next().filter(|_| !self.services.may_lack_secrets) {
            return Err(Mistake::at(
                "/grants/secrets",
                format!("is granted the secret `{name}`, but this variable is not set"),
            )
            .hint(&format!("run `export {name}=…` before you start the server")));
        }
        Ok(Arc::new(capabilities))
    }

    /// Makes one instance: only this shows an export of a wrong type.
    async fn try_out(&self, blueprint: &Blueprint) -> Result<(), Mistake> {
        let deadline = Moment::now() + TRIAL_TIMEOUT;
        // From the places of authorizers, which busy handlers never take: a flood of messages must not prevent the fix.
        let slot = self
            .slots
            .take(Class::Authorizer, blueprint.places, deadline)
            .await
            .map_err(|failure| Mistake::new(failure.detail))?;
        match timeout_at(deadline, blueprint.instantiate(slot, None)).await {
            Ok(Ok(mut instance)) => {
                instance.counted.reason = Retired::Trial;
                Ok(())
            }
            // No guest code failed: an export has a wrong type.
            Ok(Err(Failure { kind: FaultKind::InvalidOutput, detail, .. })) => {
                Err(Mistake::new(format!("does not fit the contract: {detail}")))
            }
            Ok(Err(failure)) => Err(Mistake::new(format!("does not start: {}", failure.detail))),
            Err(_) => Err(Mistake::new(format!("did not start within {} s", TRIAL_TIMEOUT.as_secs()))),
        }
    }
}

/// A plugin that is being loaded.
pub(crate) struct Candidate {
    pub(crate) name: PluginName,
    /// The path of the component, for messages.
    pub(crate) path: String,
    pub(crate) manifest: PluginManifest,
}

impl Candidate {
    /// The version of the plugin with a component of this digest.
    pub(crate) fn version(&self, digest: &Digest) -> PluginVersion {
        Fingerprint::new(digest.clone(), &self.manifest.source.text).version()
    }

    /// Places a mistake at its key of `plugin.yaml`.
    pub(crate) fn report(&self, mistake: Mistake) -> Diagnostic {
        mistake.report(&self.manifest.node, &format!("component `{}`", self.path))
    }
}

/// A grant needs the store, and the store does not open.
fn without_store(key: &'static str, what: &str, why: &dyn std::fmt::Display) -> Mistake {
    Mistake::at(key, format!("is granted {what} of the store, but the store does not open: {why}"))
        .hint("`store` in tidegate.yaml names the file; the server must be able to create and write it")
}

impl Plugin {
    /// The error if the store does not open, for this reason; `None` if the plugin does not need the store.
    #[must_use]
    pub fn without_store(&self, why: &str) -> Option<Diagnostic> {
        let grants = &self.manifest.grants;
        let mistake = match (grants.kv.is_empty(), grants.queries.is_empty()) {
            (false, _) => without_store("/grants/kv", "buckets", &why),
            (true, false) => without_store("/grants/queries", "queries", &why),
            (true, true) => return None,
        };
        Some(mistake.report(&self.manifest.node, &format!("plugin `{}`", self.name)))
    }
}

/// Checks that the component is the pinned one, if `sha256` pins one.
///
/// # Errors
/// [`Mistake`] with the actual digest.
pub(crate) fn check_pin(manifest: &PluginManifest, digest: &Digest) -> Result<(), Mistake> {
    if manifest.sha256.as_ref().is_some_and(|pin| pin != digest.as_str()) {
        return Err(Mistake::at("/sha256", format!("the component's SHA-256 is {}", digest.as_str()))
            .hint("build the pinned component, or pin this one"));
    }
    Ok(())
}

/// Checks that the bytes can be a component.
///
/// # Errors
/// [`Mistake`] when they are too many, or not a component.
pub(crate) fn check_preamble(plugin: &PluginName, bytes: &[u8]) -> Result<(), Mistake> {
    let none =
        |what: &str| Mistake::new(what.to_owned()).hint(&format!("build it with `tidegate plugin build {plugin}`"));
    if bytes.len() > COMPONENT_BYTES_MAX {
        let (bytes, most) = (bytes.len(), ByteSize::from_bytes(COMPONENT_BYTES_MAX as u64));
        return Err(Mistake::new(format!("has {bytes} bytes, at most {most} are allowed")));
    }
    match bytes.first_chunk::<8>() {
        Some(&COMPONENT_PREAMBLE) => Ok(()),
        Some(&MODULE_PREAMBLE) => Err(none("is a core module, not a component")),
        _ if bytes.is_empty() => Err(none("is empty")),
        _ => Err(none("is not WebAssembly")),
    }
}

/// The linker of every plugin, built once.
///
/// # Errors
/// The error of wasmtime, when two imports have one name.
pub(crate) fn linker(engine: &Engine) -> wasmtime::Result<wasmtime::component::Linker<Guest>> {
    let mut linker = wasmtime::component::Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    imports::add_to(&mut linker)?;
    Ok(linker)
}
