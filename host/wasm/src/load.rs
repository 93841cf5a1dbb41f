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
/// How long a trial instance may take. The CPU limit of a call holds for it; the wall limit does not, because a
/// machine that is compiling is slow.
const TRIAL_TIMEOUT: Duration = Duration::from_secs(5);
/// The first bytes of a component, and of a core module: magic, version, layer.
/// <https://github.com/WebAssembly/component-model/blob/main/design/mvp/Binary.md#component-definitions>
const COMPONENT_PREAMBLE: [u8; 8] = *b"\0asm\x0d\0\x01\0";
const MODULE_PREAMBLE: [u8; 8] = *b"\0asm\x01\0\0\0";

impl PluginHost {
    /// Loads a plugin. Nothing of it serves before the caller puts it into a [`PluginSet`](super::PluginSet).
    ///
    /// Compiles as the host's [`CompileSettings`](super::CompileSettings) say, one component at a time.
    ///
    /// # Errors
    /// Every mistake of `plugin.yaml`, the first of the component, at the key that names it, and every golden vector
    /// that is none or that it does not answer: each file is judged whatever is wrong with the others.
    pub async fn load(&self, source: PluginSource) -> Result<Arc<Plugin>, Vec<Diagnostic>> {
        let PluginSource { name, manifest, component_path: path, component, vectors } = source;
        let manifest = match read_manifest(&manifest) {
            Ok(manifest) => manifest,
            Err(mut mistakes) => {
                // Of the component only what no key of `plugin.yaml` has a say in.
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

    /// Keeps out what was taken back before.
    fn check_quarantine(&self, name: &PluginName, digest: &Digest, version: PluginVersion) -> Result<(), Mistake> {
        let Some(kept_out) = self.quarantine.find(name, digest, version) else { return Ok(()) };
        Err(Mistake::new(format!("is quarantined: {}", kept_out.reason())).hint(&format!(
            "build it anew, put the version before in its place, or let it in again: `tidegate plugin clear {name}`"
        )))
    }

    /// What is asked of a compiled component once its imports are its to have: that it is of the kinds asked for, links and starts.
    ///
    /// # Errors
    /// [`Mistake`], the first.
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

    /// Links a component: what its instances are made from.
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
                .hint("build it with the SDK of this server's version; of WASI there is 0.2, empty")
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

    /// The places one instance of a component takes: one, unless it takes more of the pool than an instance has on
    /// average.
    fn places(&self, component: &Component) -> Result<u32, Mistake> {
        // What depends on modules it imports does not link.
        let Some(needs) = Needs::of(component) else { return Ok(1) };
        let (places, most) = (needs.places(), self.slots.workers_max());
        if places > most {
            let message = format!(
                "one instance takes the places of {places} ({} memories, {} tables), and there are {most}",
                needs.memories, needs.tables
            );
            return Err(Mistake::new(message).hint("raise `limits.plugin_instances` in the server's configuration"));
        }
        Ok(places)
    }

    /// What the plugin reaches of the host's services: they are made ready for it.
    async fn reach(&self, candidate: &Candidate) -> Result<Arc<Reach>, Mistake> {
        let manifest = &candidate.manifest;
        if !manifest.grants.kv.is_empty() {
            self.services.kv.open().await.map_err(|error| without_store("/grants/kv", "buckets", &error))?;
        }
        let plugin = candidate.name.as_str().into();
        let reach = Reach::new(plugin, &self.services, &manifest.grants, &manifest.limits).await?;
        if let Some(name) = reach.secrets_missing().next().filter(|_| !self.services.may_lack_secrets) {
            return Err(Mistake::at("/grants/secrets", format!("is granted secret `{name}`, which is not set"))
                .hint(&format!("`export {name}=…` before the server starts")));
        }
        Ok(Arc::new(reach))
    }

    /// Instantiates once: an export of another type than the contract's shows only here.
    async fn try_out(&self, blueprint: &Blueprint) -> Result<(), Mistake> {
        let deadline = Moment::now() + TRIAL_TIMEOUT;
        // From the places that busy handlers never take: else a flood would keep the better version out.
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
            // No guest code failed: what it exports has another type.
            Ok(Err(Failure { kind: FaultKind::InvalidOutput, detail, .. })) => {
                Err(Mistake::new(format!("does not fit the contract: {detail}")))
            }
            Ok(Err(failure)) => Err(Mistake::new(format!("does not start: {}", failure.detail))),
            Err(_) => Err(Mistake::new(format!("did not start within {} s", TRIAL_TIMEOUT.as_secs()))),
        }
    }
}

/// What is being loaded.
pub(super) struct Candidate {
    pub(super) name: PluginName,
    /// The component's, as messages show it.
    pub(super) path: String,
    pub(super) manifest: PluginManifest,
}

impl Candidate {
    /// The version it is with a component of this digest.
    pub(super) fn version(&self, digest: &Digest) -> PluginVersion {
        Fingerprint::new(digest.clone(), &self.manifest.source.text).version()
    }

    /// A mistake at the key of `plugin.yaml` that it is about.
    pub(super) fn tell(&self, mistake: Mistake) -> Diagnostic {
        mistake.told(&self.manifest.node, &format!("component `{}`", self.path))
    }
}

/// What is wrong with a component.
#[derive(Debug)]
pub(super) struct Mistake {
    /// The key of `plugin.yaml` it is told at, as a JSON Pointer.
    key: Cow<'static, str>,
    message: String,
    hint: Option<String>,
}

impl Mistake {
    pub(super) fn into_message(self) -> String {
        self.message
    }

    /// Told of a component where a `plugin.yaml` that has mistakes of its own names it.
    fn told_of(self, manifest: &Arc<SourceFile>, path: &str) -> Diagnostic {
        let whose = format!("component `{path}`");
        match parse_yaml(manifest, &mut Vec::new()) {
            Some(node) => self.told(&node, &whose),
            None => Diagnostic { hint: self.hint, ..Diagnostic::new(format!("{whose}: {}", self.message)) },
        }
    }

    /// Told of `whose` at its key of `plugin.yaml`.
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

/// A store that is needed for a grant and is none.
fn without_store(key: &'static str, what: &str, why: &dyn std::fmt::Display) -> Mistake {
    Mistake::at(key, format!("is granted {what} of the store, which does not open: {why}"))
        .hint("`store` in tidegate.yaml names the file; the server must be able to make and write it")
}

impl Plugin {
    /// What a start is told where the store does not open, for this reason; `None` when the plugin needs none.
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

/// Whether it is the component that was pinned, if one was.
///
/// # Errors
/// [`Mistake`] with the digest it has.
pub(super) fn check_pin(manifest: &PluginManifest, digest: &Digest) -> Result<(), Mistake> {
    if manifest.sha256.as_ref().is_some_and(|pin| pin != digest.as_str()) {
        return Err(Mistake::at("/sha256", format!("the component's SHA-256 is {}", digest.as_str()))
            .hint("build the component that was pinned, or pin this one"));
    }
    Ok(())
}

/// Whether the bytes may be a component at all.
///
/// # Errors
/// [`Mistake`] when they are too many, or something else.
pub(super) fn check_preamble(plugin: &PluginName, bytes: &[u8]) -> Result<(), Mistake> {
    let none =
        |what: &str| Mistake::new(what.to_owned()).hint(&format!("build it with `tidegate plugin build {plugin}`"));
    if bytes.len() > COMPONENT_BYTES_MAX {
        let (bytes, most) = (bytes.len(), ByteSize::from_bytes(COMPONENT_BYTES_MAX as u64));
        return Err(Mistake::new(format!("has {bytes} bytes, at most {most} are taken")));
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
/// Wasmtime's, when two imports have one name.
pub(super) fn linker(engine: &Engine) -> wasmtime::Result<wasmtime::component::Linker<Guest>> {
    let mut linker = wasmtime::component::Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    imports::add_to(&mut linker)?;
    Ok(linker)
}
