//! The capabilities of one plugin: the services of the host, limited to the grants of the plugin and to its rates.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::http::HttpGrant;
use super::http_none::NoHttp;
use super::key_value::KeyValueGrant;
use super::queries::{NoDatabase, QueriesGrant};
use super::rate::Rate;
use super::secrets::Secrets;
use crate::manifest::Grants;
use crate::manifest::PluginLimits;
use crate::mistake::Mistake;
use tidegate_core::config::Secret;
use tidegate_core::flow::http_client::HttpClient;
use tidegate_core::flow::kv::KeyValue;
use tidegate_core::flow::ports::{SystemClock, Unwatched, Watch};
use tidegate_core::flow::queries::Queries;
use tidegate_core::flow::{Budgets, MemoryKv};
use tidegate_core::telemetry;

/// The services that the host offers to its plugins, each by grant. [`Services::in_memory`] reach nothing outside the
/// process.
#[derive(Clone)]
pub struct Services {
    /// `tidegate:host/secrets`.
    pub secrets: Secrets,
    /// Whether a plugin loads although the server lacks its secrets, as in tools that serve nothing.
    /// [`Plugin::secrets_missing`](crate::Plugin::secrets_missing) lists them, and the plugin gets the error `missing`.
    pub may_lack_secrets: bool,
    /// `tidegate:kv`. The host opens it when the first plugin with a bucket loads.
    pub kv: Arc<dyn KeyValue>,
    /// `tidegate:sql`.
    pub queries: Arc<dyn Queries>,
    /// `tidegate:http`.
    pub http: Arc<dyn HttpClient>,
    /// Hears of faults and pauses of plugins.
    pub watch: Arc<dyn Watch>,
    /// The shares of teams, in which the calls of their plugins count.
    pub budgets: Arc<Budgets>,
}

impl Services {
    /// No secrets, an empty key-value store, no database and no network.
    #[must_use]
    pub fn in_memory() -> Self {
        Self {
            secrets: Secrets::Given(Arc::default()),
            may_lack_secrets: false,
            kv: Arc::new(MemoryKv::new(Arc::new(SystemClock))),
            queries: Arc::new(NoDatabase::Unavailable("there is no database")),
            http: Arc::new(NoHttp),
            watch: Arc::new(Unwatched),
            budgets: Arc::default(),
        }
    }
}

impl std::fmt::Debug for Services {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Services").finish_non_exhaustive()
    }
}

/// The capabilities of one version of a plugin, shared by its instances.
pub(crate) struct Capabilities {
    plugin: Arc<str>,
    /// Whether the metrics count its host calls; those of a trial they do not count.
    is_counted: bool,
    /// Every granted secret; `None` when the server lacks it.
    pub(super) secrets: BTreeMap<String, Option<Secret>>,
    pub(super) log: Rate,
    pub(super) kv: KeyValueGrant,
    pub(super) queries: QueriesGrant,
    pub(super) http: HttpGrant,
}

impl Capabilities {
    /// Limits the services to the grants.
    ///
    /// # Errors
    /// [`Mistake`] with the first query that the database refuses.
    pub(crate) async fn new(
        plugin: Arc<str>,
        services: &Services,
        grants: &Grants,
        limits: &PluginLimits,
    ) -> Result<Self, Mistake> {
        let secrets = grants.secrets.iter().map(|name| (name.clone(), services.secrets.find(name))).collect();
        let kv = KeyValueGrant::new(services.kv.clone(), grants, limits);
        let queries = QueriesGrant::new(services.queries.clone(), grants, limits).await?;
        let http = HttpGrant::new(services.http.clone(), grants, limits);
        Ok(Self { plugin, is_counted: true, secrets, log: Rate::new(limits.log_lines_per_second), kv, queries, http })
    }

    /// The same for a trial, which no metric counts.
    pub(crate) fn uncounted(self) -> Self {
        Self { is_counted: false, ..self }
    }

    /// The granted secrets that the server lacks.
    pub(crate) fn secrets_missing(&self) -> impl Iterator<Item = &str> {
        self.secrets.iter().filter(|(_, secret)| secret.is_none()).map(|(name, _)| name.as_str())
    }

    /// The granted secrets that the server has, with their values: what a recording must not show.
    pub(crate) fn secret_values(&self) -> impl Iterator<Item = (&str, &str)> {
        self.secrets.iter().filter_map(|(name, secret)| Some((name.as_str(), secret.as_ref()?.expose())))
    }

    /// Begins a host call, and measures it.
    pub(crate) fn begin(self: &Arc<Self>, import: &'static str) -> HostCall {
        HostCall { capabilities: self.clone(), import, started: Instant::now(), outcome: "cancelled" }
    }
}

/// A running host call. If it is dropped before [`HostCall::end`], `limits.wall` cut the call off, and it counts as
/// `cancelled`.
#[must_use]
pub(crate) struct HostCall {
    capabilities: Arc<Capabilities>,
    import: &'static str,
    started: Instant,
    outcome: &'static str,
}

impl HostCall {
    /// The import.
    pub(crate) const fn import(&self) -> &'static str {
        self.import
    }

    /// Counts the call, and says how long it took. `outcome` is `ok` or the name of the error in the contract.
    pub(crate) fn end(mut self, outcome: &'static str) -> Duration {
        self.outcome = outcome;
        self.started.elapsed()
    }
}

impl Drop for HostCall {
    fn drop(&mut self) {
        if self.capabilities.is_counted {
            telemetry::plugin_host_call(&self.capabilities.plugin, self.import, self.outcome, self.started.elapsed());
        }
    }
}
