//! Creates the providers of gate 1.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::AppError;
use crate::auth::{self, AuthServices, Providers};
use crate::egress::{Asker, Egress, EgressSettings, SystemResolver};
use tidegate_core::config::{Config, JwksPlace, Origin, Provider};
use tidegate_core::flow::ports::SystemClock;
use tidegate_core::flow::queries::Queries;
use tidegate_core::flow::sessions::Sessions;

/// The providers of the configuration.
pub(super) async fn providers(
    config: &Config,
    queries: Arc<dyn Queries>,
    sessions: Arc<dyn Sessions>,
) -> Result<Providers, AppError> {
    // An operator who writes a URL into the server's own configuration means it, wherever it leads.
    let private_origins: BTreeSet<Origin> = config.auth.providers.iter().filter_map(origin_asked).collect();
    let requests_max = config.limits.auth_requests_max;
    let settings = EgressSettings { private_origins, requests_max, asker: Asker::Providers };
    let http = Egress::new(settings, Arc::new(SystemResolver::default()))?;
    let services = AuthServices { clock: Arc::new(SystemClock), http: Arc::new(http), queries, sessions };
    auth::prepare(config, &services).await.map_err(AppError::Diagnostics)
}

fn origin_asked(provider: &Provider) -> Option<Origin> {
    match provider {
        Provider::Jwt(jwt) => match &jwt.jwks {
            Some(JwksPlace::Url(url)) => Some(url.origin().clone()),
            _ => None,
        },
        Provider::Introspect(introspect) => Some(introspect.url.origin().clone()),
        Provider::Session(_) | Provider::Plugin(_) => None,
    }
}
