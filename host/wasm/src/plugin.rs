//! A loaded plugin: its parts, and the instances that it lends to calls.

use std::fmt::Write as _;
use std::pin::Pin;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use tokio::sync::SemaphorePermit;
use tokio::task::spawn_blocking;
use tokio::time::{Instant as Moment, timeout_at};

use super::breaker::Turned;
use super::census::Retired;
use super::fault::Failure;
use super::instance::{Blueprint, Instance};
use super::manifest::{Isolation, PluginManifest};
use super::pool::Slots;
use super::probation::Probation;
use super::proof::{self, Proof};
use super::record::Record;
use super::recording;
use super::room::Room;
use tidegate_core::channels::{PluginKind, PluginKinds};
use tidegate_core::flow::ports::{PluginService, PluginState, PluginStatus, PluginVersion};
use tidegate_core::protocol::PluginName;
use tidegate_core::telemetry;

/// Largest memory of a failed instance, in bytes, that the calling thread frees itself.
const DROPPED_HERE_BYTES_MAX: usize = 4 << 20;

/// The SHA-256 of a component, in lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Digest(String);

/// A plugin that can serve: verified, compiled, linked and tried.
pub struct Plugin {
    pub(super) name: PluginName,
    pub(super) digest: Digest,
    pub(super) version: PluginVersion,
    pub(super) cached: bool,
    pub(super) kinds: PluginKinds,
    pub(super) manifest: PluginManifest,
    pub(super) blueprint: Blueprint,
    pub(super) slots: Arc<Slots>,
    pub(super) authorizers: Room,
    pub(super) workers: Room,
    pub(super) record: Record,
    pub(super) probation: Probation,
    /// The golden vectors that it passed.
    pub(super) proof: Proof,
    /// Whether a fault is logged with its input.
    pub(super) shows_inputs: bool,
    /// Whether it is only a trial for golden vectors: its calls are not real traffic.
    pub(super) is_trial: bool,
}

/// The identity of a plugin: plugins with equal fingerprints behave alike, so a reload keeps the one with the warm
/// instances.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Fingerprint {
    digest: Digest,
    manifest: String,
}

impl Digest {
    /// The digest of a component.
    #[must_use]
    pub fn of(component: &[u8]) -> Self {
        Self(Self::hexadecimal(&Sha256::digest(component)))
    }

    /// Bytes as lower-case hexadecimal digits.
    pub(super) fn hexadecimal(bytes: &[u8]) -> String {
        let mut digits = String::with_capacity(2 * bytes.len());
        for byte in bytes {
            // Writing to a string cannot fail.
            let _ = write!(digits, "{byte:02x}");
        }
        digits
    }

    /// All 64 digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first 12 digits, for people.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

impl Fingerprint {
    /// The fingerprint of a plugin with this manifest and component.
    #[must_use]
    pub fn of(manifest: &str, component: &[u8]) -> Self {
        Self::new(Digest::of(component), manifest)
    }

    pub(super) fn new(digest: Digest, manifest: &str) -> Self {
        Self { digest, manifest: manifest.to_owned() }
    }

    /// The digest of the component.
    #[must_use]
    pub const fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The same in 32 bytes.
    #[must_use]
    pub fn version(&self) -> PluginVersion {
        PluginVersion(Sha256::new().chain_update(&self.digest.0).chain_update(&self.manifest).finalize().into())
    }
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plugin").field("name", &self.name).field("version", &self.version()).finish_non_exhaustive()
    }
}

/// An instance during a call. If it is dropped before [`Lease::end`] – after an error, a timeout or a cancelled call –
/// the instance is dropped, too: its store is not usable any more.
pub(super) struct Lease<'a> {
    plugin: &'a Plugin,
    room: &'a Room,
    /// Boxed because it is large and is moved often.
    pub(super) instance: Box<Instance>,
    _call: SemaphorePermit<'a>,
}

impl Lease<'_> {
    /// Ends a successful call: the instance may serve another call, unless it has served enough.
    pub(super) fn end(mut self) {
        self.plugin.log_output(&mut self.instance);
        match self.retires() {
            None => self.room.pool.put(self.instance),
            Some(reason) => self.instance.entry.reason = reason,
        }
    }

    /// Ends a failed call and drops the instance. Freeing much memory takes the kernel time, for which others would
    /// wait on this thread.
    pub(super) fn discard(self) {
        let Self { mut instance, .. } = self;
        if instance.guest().memory.bytes() > DROPPED_HERE_BYTES_MAX {
            // Limited by the places for instances; it is gone when the runtime is.
            drop(spawn_blocking(move || drop(instance)));
        }
    }

    /// Why the instance serves no further call, if so.
    fn retires(&mut self) -> Option<Retired> {
        let instances = &self.plugin.manifest.instances;
        if instances.isolation == Isolation::PerCall {
            Some(Retired::PerCall)
        } else if self.instance.calls >= instances.calls_max {
            Some(Retired::Calls)
        } else if self.instance.grown_to().is_some_and(|bytes| bytes > instances.memory_bytes_max) {
            Some(Retired::Memory)
        } else if self.plugin.slots.wanted() {
            // If it stayed, it would keep the place that another plugin waits for.
            Some(Retired::Wanted)
        } else {
            None
        }
    }
}

impl Plugin {
    /// The name: that of the plugin's directory.
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

    /// What the component exports.
    #[must_use]
    pub const fn kinds(&self) -> PluginKinds {
        self.kinds
    }

    /// The granted secrets that the server does not have. Empty where plugins are served.
    pub fn secrets_missing(&self) -> impl Iterator<Item = &str> {
        self.blueprint.reach.secrets_missing()
    }

    /// The plugin's identity.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::new(self.digest.clone(), &self.manifest.source.text)
    }

    /// The plugin's status for an operator.
    #[must_use]
    pub fn status(&self, state: PluginState) -> PluginStatus {
        PluginStatus {
            name: self.name.as_str().to_owned(),
            state,
            version: Some(self.version.to_string()),
            digest: Some(self.digest.as_str().to_owned()),
            since_unix_s: self.record.loaded_at_unix_s,
            reasons: Vec::new(),
            service: Some(PluginService {
                kinds: self.kinds.iter().map(PluginKind::as_str).collect(),
                cached: self.cached,
                vectors: self.proof.vectors(),
                instances: self.instances(),
                paused: [&self.authorizers, &self.workers]
                    .into_iter()
                    .filter(|room| room.breaker.is_open())
                    .map(|room| room.class.as_str())
                    .collect(),
                calls: self.record.calls(),
                faults: self.record.faults(),
                last_fault: self.record.last_fault(),
            }),
        }
    }

    /// Drops the resting instances: the next call creates a fresh one.
    pub fn drop_resting(&self) {
        for room in [&self.authorizers, &self.workers] {
            while room.pool.take().is_some() {}
        }
    }

    /// An instance to call, and until when the call may take. The wait for the plugin's turn counts for that time.
    pub(super) async fn lease<'a>(&'a self, room: &'a Room) -> Result<(Lease<'a>, Moment), Failure> {
        let wall = if self.is_trial { proof::CALL_TIMEOUT } else { self.manifest.limits.wall };
        let began = Moment::now();
        let call = match room.enter_now() {
            Some(call) => call,
            None => {
                let call = room.enter(began + wall).await?;
                self.waited("turn", began);
                call
            }
        };
        let deadline = Moment::now() + wall;
        let mut instance = match room.pool.take() {
            Some(instance) => instance,
            None => self.instantiate(room, deadline).await?,
        };
        instance.guest().ends_at(deadline);
        Ok((Lease { plugin: self, room, instance, _call: call }, deadline))
    }

    async fn instantiate(&self, room: &Room, deadline: Moment) -> Result<Box<Instance>, Failure> {
        let (class, places) = (room.class, self.blueprint.places);
        let slot = match self.slots.take_now(class, places) {
            Some(slot) => slot,
            None => {
                let began = Moment::now();
                let slot = self.slots.take(class, places, deadline).await?;
                self.waited("instance", began);
                slot
            }
        };
        let instance = timeout_at(deadline, room.run(self.blueprint.instantiate(slot))).await;
        instance.map_err(|_| Failure::wall(&self.manifest.limits))?
    }

    /// Records how long a call waited, for its turn or for an instance.
    fn waited(&self, what: &'static str, since: Moment) {
        if !self.is_trial {
            telemetry::plugin_waited(self.name.as_str(), what, since.elapsed());
        }
    }

    /// How many instances are alive, working or resting.
    #[must_use]
    pub fn instances(&self) -> u32 {
        self.blueprint.census.alive()
    }

    /// Runs a call if the breaker admits it, and reports its end to the breaker.
    pub(super) async fn admitted<T>(
        &self,
        room: &Room,
        call: Pin<&mut impl Future<Output = Result<T, Failure>>>,
    ) -> Result<T, Failure> {
        let admission = room.breaker.admit().ok_or_else(Failure::paused)?;
        let result = call.await;
        self.record.note(result.as_ref().err());
        let verdict = result.as_ref().map_or_else(Failure::verdict, |_| Some(false));
        let (name, class) = (self.name.as_str(), room.class.as_str());
        let turned = verdict.and_then(|fault| admission.end(fault));
        self.probation.note(verdict, matches!(turned, Some(Turned::Open(_))));
        match turned {
            Some(Turned::Open(pause)) => telemetry::plugin_paused(name, class, pause),
            Some(Turned::Closed) => telemetry::plugin_resumed(name, class),
            None => {}
        }
        result
    }

    fn log_output(&self, instance: &mut Instance) {
        let printed = instance.guest().take_output();
        if !printed.is_empty() {
            let caller = &instance.guest().caller;
            let (plugin, version) = (self.name.as_str(), self.version());
            let (channel, user) = (caller.channel(), caller.user());
            tracing::info!(target: "plugin", plugin, version, channel, user, "{printed}");
        }
        let dropped = instance.guest().log.dropped();
        recording::note(|record| {
            record.printed.push_str(&printed);
            record.log_dropped += dropped;
            record.memory_bytes = Some(instance.guest().memory.bytes());
        });
        if dropped > 0 {
            if !self.is_trial {
                telemetry::plugin_log_dropped(self.name.as_str(), dropped);
            }
            let (plugin, version) = (self.name.as_str(), self.version());
            tracing::debug!(target: "plugin", plugin, version, dropped, "too many log lines");
        }
    }
}
