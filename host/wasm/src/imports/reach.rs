//! The services that one plugin may use outside its sandbox: those of the host, limited to its grants, with its rates.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::http::HttpReach;
use super::http_none::NoHttp;
use super::kv::KvReach;
use super::queries::{NoDatabase, QueriesReach};
use super::rate::Rate;
use super::secrets::Secrets;
use crate::grants::Grants;
use crate::limits::PluginLimits;
use crate::load::Mistake;
use tidegate_core::config::Secret;
use tidegate_core::flow::MemoryKv;
use tidegate_core::flow::http_client::HttpClient;
use tidegate_core::flow::kv::KeyValue;
use tidegate_core::flow::ports::SystemClock;
use tidegate_core::flow::queries::Queries;
use tidegate_core::telemetry;

/// The services of the host for its plugins, each by grant. [`Services::in_memory`] uses nothing outside the process.
#[derive(Clone)]
pub struct Services {
    /// `tidegate:host/secrets`.
    pub secrets: Secrets,
    /// Whether a plugin loads although its secrets are missing, which is so for commands that serve nothing. The
    /// missing secrets are reported ([`Plugin::secrets_missing`](crate::plugins::Plugin::secrets_missing)), and reading
    /// one answers `missing`.
    pub may_lack_secrets: bool,
    /// `tidegate:kv`; opened when the first plugin with a granted bucket loads.
    pub kv: Arc<dyn KeyValue>,
    /// `tidegate:sql`.
    pub queries: Arc<dyn Queries>,
    /// `tidegate:http`.
    pub http: Arc<dyn HttpClient>,
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
        }
    }
}

impl std::fmt::Debug for Services {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Services").finish_non_exhaustive()
    }
}

/// The services of one plugin version; its instances share them.
pub(crate) struct Reach {
    plugin: Arc<str>,
    /// Whether its calls of imports are real traffic, and counted.
    is_counted: bool,
    /// All granted secrets; `None` if the server does not have the secret.
    pub(super) secrets: BTreeMap<String, Option<Secret>>,
    pub(super) log: Rate,
    pub(super) kv: KvReach,
    pub(super) queries: QueriesReach,
    pub(super) http: HttpReach,
}

impl Reach {
    /// Limits the services to the grants.
    ///
    /// # Errors
    /// [`Mistake`] naming the first query that cannot be granted.
    pub(crate) async fn new(
        plugin: Arc<str>,
        services: &Services,
        grants: &Grants,
        limits: &PluginLimits,
    ) -> Result<Self, Mistake> {
        let secrets = grants.secrets.iter().map(|name| (name.clone(), services.secrets.find(name))).collect();
        let kv = KvReach::new(services.kv.clone(), grants, limits);
        let queries = QueriesReach::new(services.queries.clone(), grants, limits).await?;
        let http = HttpReach::new(services.http.clone(), grants, limits);
        Ok(Self { plugin, is_counted: true, secrets, log: Rate::new(limits.log_lines_per_second), kv, queries, http })
    }

    /// The same for a trial: its calls do not count in metrics.
    pub(crate) fn uncounted(self) -> Self {
        Self { is_counted: false, ..self }
    }

    /// The granted secrets that the server does not have.
    pub(crate) fn secrets_missing(&self) -> impl Iterator<Item = &str> {
        self.secrets.iter().filter(|(_, secret)| secret.is_none()).map(|(name, _)| name.as_str())
    }

    /// Starts measuring a call of a granted import.
    pub(crate) fn begin(self: &Arc<Self>, import: &'static str) -> HostCall {
        HostCall { reach: self.clone(), import, started: Instant::now(), outcome: "cancelled" }
    }
}

/// A running call of a granted import. If it is dropped before its end, `limits.wall` cut it off: it counts as
/// `cancelled`.
#[must_use]
pub(crate) struct HostCall {
    reach: Arc<Reach>,
    import: &'static str,
    started: Instant,
    outcome: &'static str,
}

impl HostCall {
    /// The called import.
    pub(crate) const fn import(&self) -> &'static str {
        self.import
    }

    /// Counts it. `outcome` is `ok` or the name of the error in the contract. Returns how long it took.
    pub(crate) fn end(mut self, outcome: &'static str) -> Duration {
        self.outcome = outcome;
        self.started.elapsed()
    }
}

impl Drop for HostCall {
    fn drop(&mut self) {
        if self.reach.is_counted {
            telemetry::plugin_host_call(&self.reach.plugin, self.import, self.outcome, self.started.elapsed());
        }
    }
}
