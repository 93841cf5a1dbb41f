//! A loaded plugin: how it is called, and what becomes of each call.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant as Moment, timeout_at};
use tracing::Instrument as _;

use super::answer;
use super::contract::{self, authorizer, shorten};
use super::fault::Failure;
use super::instance::{Blueprint, Instance};
use super::manifest::{Isolation, PluginManifest};
use super::pool::{Pool, Slots};
use super::record;
use crate::channels::PluginKinds;
use crate::flow::CallContext;
use crate::flow::ports::{Answer, AuthorizerCall, Decision, Fault, FaultKind, HandlerCall, PluginVersion};
use crate::protocol::PluginName;
use crate::telemetry;

/// The SHA-256 of a component, in lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Digest(String);

/// A plugin that can serve: verified, compiled, linked and tried.
pub struct Plugin {
    pub(super) name: PluginName,
    pub(super) digest: Digest,
    pub(super) cached: bool,
    pub(super) kinds: PluginKinds,
    pub(super) manifest: PluginManifest,
    pub(super) blueprint: Blueprint,
    pub(super) slots: Arc<Slots>,
    pub(super) pool: Arc<Pool>,
    /// One permit a call at once (`limits.concurrency`).
    pub(super) calls: Semaphore,
}

/// What a plugin is made of: equal fingerprints serve alike, so a reload keeps the one with the warm instances.
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
    /// The fingerprint a plugin of this manifest and component will have.
    #[must_use]
    pub fn of(manifest: &str, component: &[u8]) -> Self {
        Self { digest: Digest::of(component), manifest: manifest.to_owned() }
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

/// An instance during a call. Dropped before [`Lease::end`] – by an error, a timeout or a caller that went away – the
/// instance goes with it: its store is poisoned.
struct Lease<'a> {
    plugin: &'a Plugin,
    instance: Instance,
    _call: SemaphorePermit<'a>,
}

impl Lease<'_> {
    /// The call went well: the instance may serve another, unless it has served enough.
    fn end(self) {
        let instances = &self.plugin.manifest.instances;
        if instances.isolation == Isolation::Pooled && self.instance.calls < instances.calls_max {
            self.plugin.pool.put(self.instance);
        }
    }
}

impl Plugin {
    /// The name: the plugin's directory.
    #[must_use]
    pub const fn name(&self) -> &PluginName {
        &self.name
    }

    /// What logs and people tell versions apart by: the first 12 digits of the digest.
    #[must_use]
    pub fn version(&self) -> &str {
        self.digest.short()
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

    /// The granted secrets that the server does not have. None where plugins are served.
    pub fn secrets_missing(&self) -> impl Iterator<Item = &str> {
        self.blueprint.reach.secrets_missing()
    }

    /// What the plugin is made of.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint { digest: self.digest.clone(), manifest: self.manifest.source.text.clone() }
    }

    /// Drops the instances at rest: the next call makes a fresh one.
    pub fn drop_resting(&self) {
        while self.pool.take().is_some() {}
    }

    /// Has the handler answer a message.
    ///
    /// # Errors
    /// [`Fault`], logged and counted.
    pub async fn handle(&self, call: HandlerCall<'_>) -> Result<Answer, Fault> {
        let span = self.span(call.context);
        self.observed("handler", call.context, self.try_handle(call)).instrument(span).await
    }

    /// Asks the authorizer.
    ///
    /// # Errors
    /// [`Fault`], logged and counted.
    pub async fn authorize(&self, call: AuthorizerCall<'_>) -> Result<Decision, Fault> {
        let span = self.span(call.context);
        self.observed("authorizer", call.context, self.try_authorize(call)).instrument(span).await
    }

    async fn try_handle(&self, call: HandlerCall<'_>) -> Result<Answer, Failure> {
        let limits = &self.manifest.limits;
        let context = contract::context(call.context, limits.wall);
        let (mut lease, deadline) = self.lease().await?;
        let result = timeout_at(deadline, lease.instance.handle(&context, call.payload.as_str())).await;
        let result = result.map_err(|_| Failure::wall(limits))?.ok_or_else(|| self.lacks("handler"))?;
        let result = result.map_err(|error| Failure::of_guest(&error, lease.instance.guest(), limits))?;
        self.log_output(&mut lease.instance);
        lease.end();
        match result {
            Ok(outcome) => Ok(Ok(answer::take(outcome, &self.manifest.grants, limits)?)),
            Err(refusal) => Ok(Err(refusal.into())),
        }
    }

    async fn try_authorize(&self, call: AuthorizerCall<'_>) -> Result<Decision, Failure> {
        let limits = &self.manifest.limits;
        let context = contract::context(call.context, limits.wall);
        let payload = call.payload.map(|payload| payload.as_str());
        let (mut lease, deadline) = self.lease().await?;
        let result = timeout_at(deadline, lease.instance.authorize(&context, call.action.into(), payload)).await;
        let result = result.map_err(|_| Failure::wall(limits))?.ok_or_else(|| self.lacks("authorizer"))?;
        let result = result.map_err(|error| Failure::of_guest(&error, lease.instance.guest(), limits))?;
        self.log_output(&mut lease.instance);
        lease.end();
        match result {
            Ok(authorizer::Decision::Allow(grant)) => {
                Ok(Decision::allow_for(Duration::from_millis(grant.ttl_ms.into())))
            }
            Ok(authorizer::Decision::Deny(reason)) => Ok(Decision::Deny { reason: shorten(reason) }),
            Err(reason) => Err(Failure { kind: FaultKind::Failed, detail: shorten(reason) }),
        }
    }

    /// An instance to call, and until when the call may take. Waiting for the plugin's turn comes before that time.
    async fn lease(&self) -> Result<(Lease<'_>, Moment), Failure> {
        let wall = self.manifest.limits.wall;
        let turn = timeout_at(Moment::now() + wall, self.calls.acquire()).await;
        let Ok(Ok(call)) = turn else {
            let most = self.manifest.limits.concurrency_max;
            return Err(Failure::overloaded(&format!("{most} calls at once (`limits.concurrency`)")));
        };
        let deadline = Moment::now() + wall;
        let instance = match self.pool.take() {
            Some(instance) => instance,
            None => self.instantiate(deadline).await?,
        };
        Ok((Lease { plugin: self, instance, _call: call }, deadline))
    }

    async fn instantiate(&self, deadline: Moment) -> Result<Instance, Failure> {
        let slot = self.slots.take(deadline).await?;
        let instance = timeout_at(deadline, self.blueprint.instantiate(slot)).await;
        instance.map_err(|_| Failure::wall(&self.manifest.limits))?
    }

    /// Counts the call; logs and counts its fault.
    async fn observed<T>(
        &self,
        kind: &'static str,
        context: &CallContext,
        call: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Fault> {
        let started = Moment::now();
        let result = call.await;
        let outcome = result.as_ref().map_or_else(|failure| failure.kind.as_str(), |_| "ok");
        telemetry::plugin_call(self.name.as_str(), kind, outcome, started.elapsed());
        result.map_err(|Failure { kind, detail }| {
            telemetry::plugin_fault(self.name.as_str(), kind.as_str(), context.channel(), &detail);
            Fault { plugin: self.name.clone(), kind, detail }
        })
    }

    fn span(&self, context: &CallContext) -> tracing::Span {
        let user = context.user.as_ref().map(|user| user.id.as_str());
        tracing::info_span!("plugin.call", channel = context.channel(), plugin = %self.name, version = self.version(), user)
    }

    fn log_output(&self, instance: &mut Instance) {
        let printed = instance.guest().take_output();
        if !printed.is_empty() {
            tracing::info!(target: "plugin", plugin = %self.name, "{printed}");
        }
        let dropped = instance.guest().log.dropped();
        record::note(|record| {
            record.printed.push_str(&printed);
            record.log_dropped += dropped;
            record.memory_bytes = Some(instance.guest().memory.bytes());
        });
        if dropped > 0 {
            telemetry::plugin_log_dropped(self.name.as_str(), dropped);
            tracing::debug!(target: "plugin", plugin = %self.name, dropped, "too many log lines");
        }
    }

    fn lacks(&self, kind: &str) -> Failure {
        Failure { kind: FaultKind::Missing, detail: format!("`{}` is no {kind}", self.name) }
    }
}
