//! What one plugin reaches beyond itself: the services of the host, cut down to its grants, with its rates.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::Instant;

use super::rate::Rate;
use super::secrets::Secrets;
use crate::config::Secret;
use crate::plugins::grants::Grants;
use crate::plugins::limits::PluginLimits;
use crate::telemetry;

/// What the host offers its plugins, each by grant. [`Services::in_memory`] reaches nothing outside the process.
#[derive(Clone)]
pub struct Services {
    /// `tidegate:host/secrets`.
    pub secrets: Secrets,
    /// Whether a plugin loads whose secrets are not there: so it does where nothing is served. It is told which
    /// ([`Plugin::secrets_missing`](crate::plugins::Plugin::secrets_missing)), and asking for one answers `missing`.
    pub may_lack_secrets: bool,
}

impl Services {
    /// No secrets, and nothing that leaves the process.
    #[must_use]
    pub fn in_memory() -> Self {
        Self { secrets: Secrets::Given(Arc::default()), may_lack_secrets: false }
    }
}

impl std::fmt::Debug for Services {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Services").finish_non_exhaustive()
    }
}

/// What one version of a plugin reaches; shared by its instances.
pub(in crate::plugins) struct Reach {
    plugin: Arc<str>,
    /// Every granted secret; `None` when the server has none of this name.
    pub(super) secrets: BTreeMap<String, Option<Secret>>,
    pub(super) log: Rate,
}

impl Reach {
    /// Cuts the services down to what the grants say.
    pub(in crate::plugins) fn new(
        plugin: Arc<str>,
        services: &Services,
        grants: &Grants,
        limits: &PluginLimits,
    ) -> Self {
        let secrets = grants.secrets.iter().map(|name| (name.clone(), services.secrets.find(name))).collect();
        Self { plugin, secrets, log: Rate::new(limits.log_lines_per_second) }
    }

    /// The granted secrets that the server does not have.
    pub(in crate::plugins) fn secrets_missing(&self) -> impl Iterator<Item = &str> {
        self.secrets.iter().filter(|(_, secret)| secret.is_none()).map(|(name, _)| name.as_str())
    }

    /// Begins the account of a call of a granted import.
    pub(in crate::plugins) fn begin(self: &Arc<Self>, import: &'static str) -> HostCall {
        HostCall { reach: self.clone(), import, started: Instant::now() }
    }
}

/// A call of a granted import under way.
#[must_use]
pub(in crate::plugins) struct HostCall {
    reach: Arc<Reach>,
    import: &'static str,
    started: Instant,
}

impl HostCall {
    /// Counts it. `outcome` is `ok` or the name of the error in the contract.
    pub(super) fn end(self, outcome: &'static str) {
        telemetry::plugin_host_call(&self.reach.plugin, self.import, outcome, self.started.elapsed());
    }
}
