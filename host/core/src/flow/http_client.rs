//! HTTP to other servers as a port: the service behind `tidegate:http`. The caller checks grants, rates, redirects and
//! time.

use async_trait::async_trait;
use bytes::Bytes;

use crate::config::WebUrl;

/// Sends requests to other servers.
#[async_trait]
pub trait HttpClient: Send + Sync + 'static {
    /// Sends a request and reads the whole response, at most `body_bytes_max`. It follows no redirects, decodes no
    /// content encoding and keeps no cookies. A real implementation reaches no private address except the listed ones.
    /// Dropping the future ends the request.
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
    /// Header fields, without those of the connection itself.
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

/// Why there is no response. The messages do not reveal the address of a host name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The request is not a valid HTTP request.
    #[error("{0}")]
    Invalid(String),
    /// The host has only addresses that must not be reached.
    #[error("{0}")]
    Private(String),
    /// The body of the response is larger than allowed.
    #[error("the body of the response is too large")]
    TooLarge,
    /// No connection was possible, or it broke.
    #[error("{0}")]
    Unreachable(String),
}

impl HttpError {
    /// The name in traces.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "invalid",
            Self::Private(_) => "denied",
            Self::TooLarge => "too_large",
            Self::Unreachable(_) => "unreachable",
        }
    }
}
