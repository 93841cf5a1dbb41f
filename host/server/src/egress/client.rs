//! The client: a request out, a bounded response back.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::{Body as _, Incoming};
use hyper::header::{HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Request, Response};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::Semaphore;

use super::connect::Guarded;
use super::resolve::Resolve;
use super::{tls, words};
use tidegate_core::config::Origin;
use tidegate_core::flow::http_client::{HttpClient, HttpError, HttpRequest, HttpResponse};
use tidegate_core::protocol::TraceContext;
use tidegate_core::telemetry::{self, Span, SpanKind};

/// The default user agent of a request.
const AGENT: &str = concat!("tidegate/", env!("CARGO_PKG_VERSION"));
/// The headers of W3C Trace Context.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// Largest head of a response, in bytes; also how much is read at once.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// How long an unused connection is kept.
const IDLE_MAX: Duration = Duration::from_secs(30);
/// Most unused connections for one origin.
const IDLE_PER_ORIGIN_MAX: usize = 8;

/// The limits of requests.
#[derive(Debug, Clone, Default)]
pub struct EgressSettings {
    /// Origins that may be reached although their addresses are private.
    pub private_origins: BTreeSet<Origin>,
    /// Most concurrent requests; more of them wait.
    pub requests_max: usize,
    /// Who sends these requests.
    pub asker: Asker,
}

/// Who sends requests, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Asker {
    /// Plugins, by grant.
    #[default]
    Plugins,
    /// Providers of gate 1, as configured.
    Providers,
    /// The exporter of traces and metrics.
    Exporter,
}

impl Asker {
    fn under_way(self) -> Option<telemetry::UnderWay> {
        match self {
            Self::Plugins => Some(telemetry::plugin_http_request()),
            Self::Providers => Some(telemetry::auth_http_request()),
            Self::Exporter => None,
        }
    }
}

/// Sends requests over HTTP/1.1, with TLS if the URL says so.
pub struct Egress {
    client: Client<HttpsConnector<Guarded>, Full<Bytes>>,
    places: Semaphore,
    asker: Asker,
}

/// The client cannot be created.
#[derive(Debug, thiserror::Error)]
#[error("TLS cannot be set up: {0}")]
pub struct EgressError(#[from] rustls::Error);

impl Egress {
    /// Creates a client. The first one of the process reads the certificate authorities of the system.
    ///
    /// # Errors
    /// [`EgressError`].
    pub fn new(settings: EgressSettings, resolver: Arc<dyn Resolve>) -> Result<Self, EgressError> {
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls::config()?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(Guarded::new(resolver, settings.private_origins));
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_MAX)
            .pool_max_idle_per_host(IDLE_PER_ORIGIN_MAX)
            .http1_max_buf_size(HEAD_BYTES_MAX)
            .build(connector);
        Ok(Self { client, places: Semaphore::new(settings.requests_max), asker: settings.asker })
    }
}

#[async_trait]
impl HttpClient for Egress {
    async fn exchange(&self, request: &HttpRequest, body_bytes_max: usize) -> Result<HttpResponse, HttpError> {
        let mut request = prepared(request)?;
        let mut span = Span::inside("HTTP request", SpanKind::Client);
        if let Some(trace) = span.context() {
            carry_trace(request.headers_mut(), trace);
        }
        span.describe(|| {
            let (method, uri) = (request.method(), request.uri());
            [
                ("http.request.method", method.as_str().to_owned().into()),
                ("server.address", uri.host().unwrap_or_default().to_owned().into()),
                ("url.path", uri.path().to_owned().into()),
            ]
        });
        let exchanged = self.exchanged(request, body_bytes_max).await;
        match &exchanged {
            Ok(response) => {
                span.describe(|| [("http.response.status_code", usize::from(response.status).into())]);
                if response.status >= 400 {
                    span.fail("refused");
                }
            }
            Err(error) => span.fail(error.name()),
        }
        exchanged
    }
}

impl Egress {
    async fn exchanged(&self, request: Request<Full<Bytes>>, body_bytes_max: usize) -> Result<HttpResponse, HttpError> {
        let away = |_| HttpError::Unreachable("the client is closed".to_owned());
        let _place = self.places.acquire().await.map_err(away)?;
        let _under_way = self.asker.under_way();
        let response = self.client.request(request).await.map_err(|error| {
            tracing::debug!(error = &error as &dyn std::error::Error, "a request failed");
            words::of_client(&error)
        })?;
        received(response, body_bytes_max).await
    }
}

/// Tells the other server where in a trace the request belongs, unless whoever sends it says so itself.
fn carry_trace(headers: &mut HeaderMap, trace: &TraceContext) {
    if headers.contains_key(TRACEPARENT) {
        return;
    }
    headers.extend(HeaderValue::try_from(trace.to_string()).map(|value| (TRACEPARENT, value)));
    headers.remove(TRACESTATE);
    let state = trace.state().and_then(|state| HeaderValue::try_from(state).ok());
    headers.extend(state.map(|value| (TRACESTATE, value)));
}

fn prepared(request: &HttpRequest) -> Result<Request<Full<Bytes>>, HttpError> {
    let mut builder = Request::builder().method(request.method.as_str()).uri(request.url.as_str());
    if let Some(headers) = builder.headers_mut() {
        for (name, value) in &request.headers {
            let name = HeaderName::try_from(name.as_str())
                .map_err(|_| HttpError::Invalid(format!("`{name}` is not a valid header name")))?;
            let value = HeaderValue::try_from(value.as_str())
                .map_err(|_| HttpError::Invalid(format!("the value of the header `{name}` is not valid")))?;
            headers.append(name, value);
        }
        headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(AGENT));
    }
    let body = Full::new(request.body.clone().unwrap_or_default());
    builder
        .body(body)
        .map_err(|_| HttpError::Invalid("it is not a valid HTTP request: check its method and URL".to_owned()))
}

/// Reads the body without decoding it, so that its size is the received size.
async fn received(response: Response<Incoming>, body_bytes_max: usize) -> Result<HttpResponse, HttpError> {
    let (head, body) = response.into_parts();
    // An announced size that is too large need not be waited for.
    if body.size_hint().lower() > body_bytes_max as u64 {
        return Err(HttpError::TooLarge);
    }
    let body = Limited::new(body, body_bytes_max).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() { HttpError::TooLarge } else { words::of_client(error.as_ref()) }
    })?;
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = head.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value)));
    Ok(HttpResponse { status: head.status.as_u16(), headers: headers.collect(), body: body.to_bytes() })
}
