//! The network of `tidegate plugin call`: only the origins that the command line names.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;

use super::super::failure::Failure;
use crate::app::AppError;
use crate::egress::{Asker, Egress, EgressSettings, SystemResolver};
use tidegate_core::config::Origin;
use tidegate_core::flow::http_client::{HttpClient, HttpError, HttpRequest, HttpResponse};
use tidegate_wasm::Services;

/// The most requests at once: as many as the command has instances.
const REQUESTS_MAX: usize = 16;

/// Sends requests to the named origins.
struct Named {
    client: Egress,
    origins: BTreeSet<Origin>,
}

/// The services for a plugin: no network, or these origins at any address.
///
/// # Errors
/// [`Failure::App`] if TLS cannot be set up.
pub(super) fn services(origins: &[Origin]) -> Result<Services, Failure> {
    if origins.is_empty() {
        return Ok(Services::in_memory());
    }
    let origins: BTreeSet<Origin> = origins.iter().cloned().collect();
    // Who names an origin by hand means it: a server on this very machine, most often.
    let settings =
        EgressSettings { private_origins: origins.clone(), requests_max: REQUESTS_MAX, asker: Asker::Plugins };
    let client = Egress::new(settings, Arc::new(SystemResolver::default()));
    let client = client.map_err(|error| Failure::App(AppError::from(error)))?;
    Ok(Services { http: Arc::new(Named { client, origins }), ..Services::in_memory() })
}

#[async_trait]
impl HttpClient for Named {
    async fn exchange(&self, request: &HttpRequest, body_bytes_max: usize) -> Result<HttpResponse, HttpError> {
        let origin = request.url.origin();
        if self.origins.contains(origin) {
            return self.client.exchange(request, body_bytes_max).await;
        }
        Err(HttpError::Unreachable(format!("the command sends no request there; to allow it, add `--http {origin}`")))
    }
}
