//! HTTP to other servers as a port: what lies behind `tidegate:http`. Grants, rates, redirects and time are the caller's
//! business.

use async_trait::async_trait;
use bytes::Bytes;

use crate::config::WebUrl;

/// Sends requests to other servers.
#[async_trait]
pub trait HttpClient: Send + Sync + 'static {
    /// Sends a request and reads the whole response, `body_bytes_max` at most. Follows no redirect, decodes no content
    /// encoding, keeps no cookies. An implementation that leaves the process reaches no private address but those the
    /// operator listed. Dropping the future ends the request.
    ///
    /// # Errors
    /// [`HttpError`].
    async fn exchange(&self, request: &HttpRequest, body_bytes_max: usize) -> Result<HttpResponse, HttpError>;
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// `GET`, `POST`, …
    pub method: String,
    /// Where to.
    pub url: WebUrl,
    /// Header fields, without those that belong to the connection.
    pub headers: Vec<(String, String)>,
    /// The body; `None` is an empty one.
    pub body: Option<Bytes>,
}

/// A response, whatever its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpResponse {
    /// The status code.
    pub status: u16,
    /// Header fields, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Bytes,
}

impl HttpResponse {
    /// The first header field of this name, given in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

/// Why there is no response. The sentences name no address that a host name stands for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The request is no HTTP request.
    #[error("{0}")]
    Invalid(String),
    /// There are only addresses behind the host that are not to be reached.
    #[error("{0}")]
    Private(String),
    /// The body of the response is larger than was asked for.
    #[error("the body of the response is too large")]
    TooLarge,
    /// There was no connection, or it broke.
    #[error("{0}")]
    Unreachable(String),
}
