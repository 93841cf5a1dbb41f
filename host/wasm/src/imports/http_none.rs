//! No HTTP at all: for tests, and for calls outside a server.

use async_trait::async_trait;

use tidegate_core::flow::http_client::{HttpClient, HttpError, HttpRequest, HttpResponse};

/// Answers every request that there is no network.
pub(super) struct NoHttp;

#[async_trait]
impl HttpClient for NoHttp {
    async fn exchange(&self, _: &HttpRequest, _: usize) -> Result<HttpResponse, HttpError> {
        let why = "this command sends no requests; a server does, and `tidegate plugin call --http ORIGIN`";
        Err(HttpError::Unreachable(why.to_owned()))
    }
}
