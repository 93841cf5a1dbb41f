//! From bytes to a plugin that can serve: digest → pin → layer → compile → kinds → link → trial instance → vectors.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant as Moment, timeout_at};
use wasmtime::Engine;
use wasmtime::component::Component;

use super::census::{Census, Retired};
use super::compile::Compiled;
use super::fault::Failure;
use super::guest::{Guest, Identity};
use super::imports::Reach;
use super::instance::Blueprint;
use super::manifest::{PluginManifest, read_manifest};
use super::needs::Needs;
use super::plugin::{Digest, Fingerprint, Plugin};
use super::probation::Probation;
use super::proof::Proof;
use super::record::Record;
use super::room::{Class, Room};
use super::worlds::{Exports, Misfit};
use super::{PluginHost, PluginSource, exports, imports, vectors};
use tidegate_core::channels::PluginKinds;
use tidegate_core::config::{ByteSize, Diagnostic, Node, SourceFile, parse_yaml};
use tidegate_core::flow::ports::{FaultKind, PluginVersion};
use tidegate_core::protocol::PluginName;
use tidegate_core::telemetry;

/// Largest component, in bytes. A CPython one has 18 MB.
pub const COMPONENT_BYTES_MAX: usize = 64 << 20;
/// How long a trial instance may take. The CPU limit of a call applies; the wall limit does not, because a compiling
/// machine is slow.
const TRIAL_TIMEOUT: Duration = Duration::from_secs(5);
/// The first bytes of a component, and of a core module: magic, version, layer.
/// <https://github.com/WebAssembly/component-model/blob/main/design/mvp/Binary.md#component-definitions>
const COMPONENT_PREAMBLE: [u8; 8] = *b"\0asm\x0d\0\x01\0";
const MODULE_PREAMBLE: [u8; 8] = *b"\0asm\x01\0\0\0";

impl PluginHost {
    /// Loads a plugin. Nothing of it serves before the caller puts it into a [`PluginSet`](super::PluginSet).
    ///
    /// Compiles according to the host's [`CompileSettings`](super::CompileSettings), one component at a time.
    ///
    /// # Errors
    /// All errors of `plugin.yaml`, the first error of the component, at the key that names it, and all golden vectors
    /// that are invalid or that the plugin fails: each file is checked whatever is wrong with the others.
    pub async fn load(&self, source: PluginSource) -> Result<Arc<Plugin>, Vec<Diagnostic>> {
        let PluginSource { name, manifest, component_path: path, component, vectors } = source;
        let manifest = match read_manifest(&manifest) {
            Ok(manifest) => manifest,
            Err(mut mistakes) => {
                // Of the component only the checks that do not depend on `plugin.yaml`.
                mistakes
                    .extend(check_preamble(&name, &component).err().map(|mistake| mistake.told_of(&manifest, &path)));
                mistakes.extend(vectors::mistakes(&vectors));
                return Err(mistakes);
            }
        };
        let candidate = Candidate { name, path, manifest };
        let plugin = self.load_component(&candidate, component).await.map(Arc::new);
        let plugin = plugin.map_err(|mistake| {
            let mut mistakes = vec![candidate.tell(mistake)];
            mistakes.extend(vectors::mistakes(&vectors));
            mistakes
        })?;
        self.prove(&plugin, &vectors).await?;
        Ok(plugin)
    }

    async fn load_component(&self, candidate: &Candidate, bytes: Vec<u8>) -> Result<Plugin, Mistake> {
        let manifest = &candidate.manifest;
        let digest = Digest::of(&bytes);
        let version = candidate.version(&digest);
        check_pin(manifest, &digest)?;
        self.check_quarantine(&candidate.name, &digest, version)?;
        check_preamble(&candidate.name, &bytes)?;
        let Compiled { component, cached, elapsed } = self.compiler.compile(&self.engine, &digest, bytes).await?;
        telemetry::plugin_compiled(candidate.name.as_str(), digest.short(), cached, elapsed);
        let kinds = exports::kinds(&component, &self.engine)?;
        imports::check(&component, &self.engine, &manifest.grants)?;
        let blueprint = self.prepare(candidate, version, &component, kinds).await?;
        let room = |class| Room::new(class, manifest, &blueprint.census, &self.slots);
        Ok(Plugin {
            name: candidate.name.clone(),
            digest,
            version,
            cached,
            kinds,
            authorizers: room(Class::Authorizer),
            workers: room(Class::Worker),
            manifest: manifest.clone(),
            blueprint,
            slots: self.slots.clone(),
            record: Record::begin(),
            probation: Probation::default(),
            proof: Proof::default(),
            shows_inputs: self.shows_inputs,
            is_trial: false,
        })
    }

    /// Refuses a version that was rolled back before.
    fn check_quarantine(&self, name: &PluginName, digest: &Digest, version: PluginVersion) -> Result<(), Mistake> {
        let Some(kept_out) = self.quarantine.find(name, digest, version) else { return Ok(()) };
        Err(Mistake::new(format!("is quarantined: {}", kept_out.reason())).hint(&format!(
            "build a corrected version, restore the version before, or re-admit this one: `tidegate plugin clear {name}`"
        )))
    }

    /// Checks a compiled component whose imports were checked: it has the required kinds, links and starts.
    ///
    /// # Errors
    /// The first [`Mistake`].
    pub(super) async fn prepare(
        &self,
        candidate: &Candidate,
        version: PluginVersion,
        component: &Component,
        kinds: PluginKinds,
    ) -> Result<Blueprint, Mistake> {
        exports::check_asked(kinds, &candidate.manifest.kinds)?;
        let reach = self.reach(candidate).await?;
        let blueprint = self.blueprint(candidate, version, component, kinds, reach)?;
        self.try_out(&blueprint).await?;
        Ok(blueprint)
    }

    /// Links a component: instances are created from the result.
    fn blueprint(
        &self,
        candidate: &Candidate,
        version: PluginVersion,
        component: &Component,
        kinds: PluginKinds,
        reach: Arc<Reach>,
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
            reach,
            limits: manifest.limits,
            census: Census::of(candidate.name.as_str().into()),
            places,
        })
    }

    /// How many places of the pool one instance takes: one, unless it needs more of the pool than an average instance.
    fn places(&self, component: &Component) -> Result<u32, Mistake> {
        // A component that depends on modules that it imports does not link.
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

    /// Prepares the services of the host that the plugin may use.
    async fn reach(&self, candidate: &Candidate) -> Result<Arc<Reach>, Mistake> {
        let manifest = &candidate.manifest;
        if !manifest.grants.kv.is_empty() {
            self.services.kv.open().await.map_err(|error| without_store("/grants/kv", "buckets", &error))?;
        }
        let plugin = candidate.name.as_str().into();
        let reach = Reach::new(plugin, &self.services, &manifest.grants, &manifest.limits).await?;
        if let Some(name) = reach.secrets_missing().next().filter(|_| !self.services.may_lack_secrets) {
            return Err(Mistake::at(
                "/grants/secrets",
                format!("is granted the secret `{name}`, but this variable is not set"),
            )
            .hint(&format!("run `export {name}=…` before you start the server")));
        }
        Ok(Arc::new(reach))
    }

    /// Creates one instance: only this shows an export with another type than in the contract.
    async fn try_out(&self, blueprint: &Blueprint) -> Result<(), Mistake> {
        let deadline = Moment::now() + TRIAL_TIMEOUT;
        // From the places that busy handlers never take; otherwise a flood would keep the better version out.
        let slot = self
            .slots
            .take(Class::Authorizer, blueprint.places, deadline)
            .await
            .map_err(|failure| Mistake::new(failure.detail))?;
        match timeout_at(deadline, blueprint.instantiate(slot)).await {
            Ok(Ok(mut instance)) => {
                instance.entry.reason = Retired::Trial;
                Ok(())
            }
            // No code of the guest failed: its export has another type.
            Ok(Err(Failure { kind: FaultKind::InvalidOutput, detail, .. })) => {
                Err(Mistake::new(format!("does not fit the contract: {detail}")))
            }
            Ok(Err(failure)) => Err(Mistake::new(format!("does not start: {}", failure.detail))),
            Err(_) => Err(Mistake::new(format!("did not start within {} s", TRIAL_TIMEOUT.as_secs()))),
        }
    }
}

/// A plugin that is being loaded.
pub(super) struct Candidate {
    pub(super) name: PluginName,
    /// The component's path, for messages.
    pub(super) path: String,
    pub(super) manifest: PluginManifest,
}

impl Candidate {
    /// The version that it is with a component of this digest.
    pub(super) fn version(&self, digest: &Digest) -> PluginVersion {
        Fingerprint::new(digest.clone(), &self.manifest.source.text).version()
    }

    /// Reports an error at the key of `plugin.yaml` that it belongs to.
    pub(super) fn tell(&self, mistake: Mistake) -> Diagnostic {
        mistake.told(&self.manifest.node, &format!("component `{}`", self.path))
    }
}

/// An error in a component.
#[derive(Debug)]
pub(super) struct Mistake {
    /// The key of `plugin.yaml` where it is reported, as a JSON Pointer.
    key: Cow<'static, str>,
    message: String,
    hint: Option<String>,
}

impl Mistake {
    pub(super) fn into_message(self) -> String {
        self.message
    }

    /// For a component whose `plugin.yaml` has errors of its own.
    fn told_of(self, manifest: &Arc<SourceFile>, path: &str) -> Diagnostic {
        let whose = format!("component `{path}`");
        match parse_yaml(manifest, &mut Vec::new()) {
            Some(node) => self.told(&node, &whose),
            None => Diagnostic { hint: self.hint, ..Diagnostic::new(format!("{whose}: {}", self.message)) },
        }
    }

    /// For `whose`, at its key of `plugin.yaml`.
    fn told(self, manifest: &Node, whose: &str) -> Diagnostic {
        let place = manifest.nearest(&self.key).place.clone();
        let mut diagnostic = Diagnostic::at(place, format!("{whose}: {}", self.message));
        diagnostic.hint = self.hint;
        diagnostic
    }

    pub(super) fn new(message: String) -> Self {
        Self::at("/component", message)
    }

    pub(super) fn at(key: impl Into<Cow<'static, str>>, message: String) -> Self {
        Self { key: key.into(), message, hint: None }
    }

    pub(super) fn hint(self, hint: &str) -> Self {
        Self { hint: Some(hint.to_owned()), ..self }
    }
}

/// A grant needs the store, but there is none.
fn without_store(key: &'static str, what: &str, why: &dyn std::fmt::Display) -> Mistake {
    Mistake::at(key, format!("is granted {what} of the store, but the store does not open: {why}"))
        .hint("`store` in tidegate.yaml names the file; the server must be able to create and write it")
}

impl Plugin {
    /// The error of a start if the store does not open, for this reason; `None` if the plugin does not need the store.
    #[must_use]
    pub fn without_store(&self, why: &str) -> Option<Diagnostic> {
        let grants = &self.manifest.grants;
        let mistake = match (grants.kv.is_empty(), grants.queries.is_empty()) {
            (false, _) => without_store("/grants/kv", "buckets", &why),
            (true, false) => without_store("/grants/queries", "queries", &why),
            (true, true) => return None,
        };
        Some(mistake.told(&self.manifest.node, &format!("plugin `{}`", self.name)))
    }
}

/// Whether the component is the pinned one, if there is a pin.
///
/// # Errors
/// [`Mistake`] with the component's digest.
pub(super) fn check_pin(manifest: &PluginManifest, digest: &Digest) -> Result<(), Mistake> {
    if manifest.sha256.as_ref().is_some_and(|pin| pin != digest.as_str()) {
        return Err(Mistake::at("/sha256", format!("the component's SHA-256 is {}", digest.as_str()))
            .hint("build the pinned component, or pin this one"));
    }
    Ok(())
}

/// Whether the bytes may be a component.
///
/// # Errors
/// [`Mistake`] if they are too many, or something else.
pub(super) fn check_preamble(plugin: &PluginName, bytes: &[u8]) -> Result<(), Mistake> {
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

/// The linker for all plugins, built once.
///
/// # Errors
/// Wasmtime's error, if two imports have the same name.
pub(super) fn linker(engine: &Engine) -> wasmtime::Result<wasmtime::component::Linker<Guest>> {
    let mut linker = wasmtime::component::Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    imports::add_to(&mut linker)?;
    Ok(linker)
}
