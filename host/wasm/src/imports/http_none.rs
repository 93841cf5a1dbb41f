//! The HTTP client that sends nothing, for tests and for calls outside a server.

use async_trait::async_trait;

use tidegate_core::flow::http_client::{HttpClient, HttpError, HttpRequest, HttpResponse};

/// Fails every request: there is no network.
pub(super) struct NoHttp;

#[async_trait]
impl HttpClient for NoHttp {
    async fn exchange(&self, _: &HttpRequest, _: usize) -> Result<HttpResponse, HttpError> {
        let why = "this command sends no requests; a server does, and `tidegate plugin call --http ORIGIN`";
        Err(HttpError::Unreachable(why.to_owned()))
    }
}
