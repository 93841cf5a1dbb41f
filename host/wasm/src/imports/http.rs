//! `tidegate:http/client`: requests to the granted origins, within a rate, sizes and the time of the call.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::time::{Instant as Moment, timeout_at};

use super::http_redirect::follow;
use super::rate::Rate;
use crate::contract::client::{self, Error, Request, Response};
use crate::manifest::Grants;
use crate::manifest::PluginLimits;
use crate::proof::{REDACTED, is_secret_header};
use crate::run::Guest;
use crate::tape::record::{self, HttpSeen};
use crate::tape::{self, Answer as _, Played, bytes_as_json};
use tidegate_core::config::{Origin, WebUrl};
use tidegate_core::flow::http_client::{HttpClient, HttpError, HttpRequest, HttpResponse};

/// Most redirects of one request.
const REDIRECTS_MAX: usize = 5;
/// Longest URL, in bytes.
const URL_BYTES_MAX: usize = 8 << 10;
/// Most header fields of a request.
const HEADERS_MAX: usize = 64;
/// Largest header of a request, names and values together, in bytes.
const HEADER_BYTES_MAX: usize = 16 << 10;
/// Longest method, in bytes.
const METHOD_BYTES_MAX: usize = 32;
/// Methods that concern the connection, or that make a server repeat the request.
const METHODS_REFUSED: [&str; 3] = ["CONNECT", "TRACE", "TRACK"];
/// Header fields that belong to the connection. A plugin that sets them could change where a request ends, or which
/// server it is for.
const HEADERS_REFUSED: [&str; 14] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

/// The function on the tape.
const IMPORT: &str = "http.send";

/// The HTTP requests that one version of a plugin may send.
pub(super) struct HttpGrant {
    client: Arc<dyn HttpClient>,
    origins: BTreeSet<Origin>,
    body_bytes_max: usize,
    rate: Rate,
}

impl HttpGrant {
    pub(super) fn new(client: Arc<dyn HttpClient>, grants: &Grants, limits: &PluginLimits) -> Self {
        Self {
            client,
            origins: grants.http.clone(),
            body_bytes_max: limits.http_body_bytes_max,
            rate: Rate::new(limits.http_per_second),
        }
    }

    /// The request, if the plugin may send it.
    fn granted(&self, request: HttpRequest) -> Result<HttpRequest, Error> {
        if !self.origins.contains(request.url.origin()) {
            return Err(Error::Denied(format!("`{}` is not in `grants.http`", request.url.origin())));
        }
        if request.body.as_ref().is_some_and(|body| body.len() > self.body_bytes_max) {
            return Err(Error::TooLarge);
        }
        Ok(request)
    }

    /// Sends a request and follows its redirects. The grants and the rate apply to each of them.
    async fn send(&self, mut request: HttpRequest) -> Result<HttpResponse, Error> {
        for _ in 0..=REDIRECTS_MAX {
            if !self.rate.admit() {
                return Err(Error::RateLimited);
            }
            let response = match tape::response(&request, self.body_bytes_max) {
                Some(answer) => answer?,
                None => self.client.exchange(&request, self.body_bytes_max).await?,
            };
            let next = follow(&request, &response);
            let Some(next) =
                next.map_err(|why| Error::Denied(format!("the host does not follow the redirect: {why}")))?
            else {
                return Ok(response);
            };
            if !self.origins.contains(next.url.origin()) {
                let origin = next.url.origin();
                return Err(Error::Denied(format!("the redirect leads to `{origin}`, which is not in `grants.http`")));
            }
            request = next;
        }
        Err(Error::Denied(format!("more than {REDIRECTS_MAX} redirects")))
    }
}

impl client::Host for Guest {
    async fn send(&mut self, request: Request) -> Result<Response, Error> {
        let call = self.begin_host_call("http");
        let (method, url) = (request.method.clone(), request.url.clone());
        let started = Moment::now();
        let capabilities = self.capabilities.clone();
        let asked = as_asked(&request);
        let played = asked.as_ref().map_or(Played::Host, |asked| tape::play(IMPORT, || asked.clone()));
        let played = played.read::<Result<HttpResponse, Error>>().await;
        let answer = match (checked(request).and_then(|request| capabilities.http.granted(request)), played) {
            (Ok(_), Some(answer)) => answer,
            (Err(error), Some(_)) => Err(error),
            (granted, None) => {
                let asked = record::asks(IMPORT, || asked.unwrap_or_default());
                // The guest gets the error early enough to answer without the response.
                let answer = timeout_at(self.answer_by(), async { capabilities.http.send(granted?).await }).await;
                let answer = answer.unwrap_or(Err(Error::Timeout));
                record::answers(asked, || answer.to_json());
                answer
            }
        };
        self.end_host_call(call, answer.as_ref().map_or_else(outcome, |_| "ok"));
        record::note(|record| {
            let result = answer.as_ref().map(|response| response.status).map_err(in_words);
            record.http.push(HttpSeen { method, url, result, took: started.elapsed() });
        });
        answer.map(|HttpResponse { status, headers, body }| Response { status, headers, body: body.into() })
    }
}

/// The request for the tape, where one plays or is written. Header fields that hold credentials stand without their values.
fn as_asked(request: &Request) -> Option<Value> {
    if !tape::plays() && !record::is_heard() {
        return None;
    }
    let shown = |(name, value): &(String, String)| {
        let name = name.to_ascii_lowercase();
        let value = if is_secret_header(&name) { REDACTED } else { value.as_str() };
        json!([name, value])
    };
    let headers: Vec<Value> = request.headers.iter().map(shown).collect();
    let body = request.body.as_deref().map(bytes_as_json);
    Some(json!({ "method": request.method, "url": request.url, "headers": headers, "body": body }))
}

/// The request, if it is valid.
fn checked(request: Request) -> Result<HttpRequest, Error> {
    let Request { method, url, headers, body } = request;
    let is_word = !method.is_empty() && method.len() <= METHOD_BYTES_MAX && method.bytes().all(is_token);
    if !is_word || METHODS_REFUSED.iter().any(|refused| method.eq_ignore_ascii_case(refused)) {
        return Err(Error::Invalid("this method does not exist".to_owned()));
    }
    if url.len() > URL_BYTES_MAX {
        return Err(Error::Invalid(format!("the URL is longer than {URL_BYTES_MAX} bytes")));
    }
    let url = WebUrl::parse(&url).map_err(|why| Error::Invalid(format!("the URL is not accepted: {why}")))?;
    check_headers(&headers)?;
    Ok(HttpRequest { method, url, headers, body: body.map(Bytes::from) })
}

fn check_headers(headers: &[(String, String)]) -> Result<(), Error> {
    let bytes: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    if headers.len() > HEADERS_MAX || bytes > HEADER_BYTES_MAX {
        let most = format!("more than {HEADERS_MAX} header fields, or {HEADER_BYTES_MAX} bytes of them");
        return Err(Error::Invalid(most));
    }
    for (name, value) in headers {
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err(Error::Invalid(format!("`{}` is not a valid header name", name.escape_debug())));
        }
        if HEADERS_REFUSED.iter().any(|refused| name.eq_ignore_ascii_case(refused)) {
            return Err(Error::Invalid(format!("only the host may set the header field `{name}`")));
        }
        // RFC 9110 §5.5: no control characters, above all no line ends.
        if value.bytes().any(|byte| byte != b'\t' && (byte < b' ' || byte == 0x7f)) {
            return Err(Error::Invalid(format!("the value of the header field `{name}` contains a control character")));
        }
    }
    Ok(())
}

/// RFC 9110 §5.6.2.
const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
}

/// The error's name in metrics.
const fn outcome(error: &Error) -> &'static str {
    match error {
        Error::Invalid(_) => "invalid",
        Error::Denied(_) => "denied",
        Error::TooLarge => "too_large",
        Error::RateLimited => "rate_limited",
        Error::Timeout => "timeout",
        Error::Unreachable(_) => "unreachable",
    }
}

/// The error as `tidegate plugin call` shows it.
fn in_words(error: &Error) -> String {
    match error {
        Error::Invalid(why) | Error::Denied(why) | Error::Unreachable(why) => format!("{}: {why}", outcome(error)),
        Error::TooLarge | Error::RateLimited | Error::Timeout => outcome(error).to_owned(),
    }
}

impl From<HttpError> for Error {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::Invalid(why) => Self::Invalid(why),
            HttpError::Private(why) => Self::Denied(why),
            HttpError::TooLarge => Self::TooLarge,
            HttpError::Unreachable(why) => Self::Unreachable(why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, url: &str, headers: &[(&str, &str)]) -> Request {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Request { method: method.to_owned(), url: url.to_owned(), headers, body: None }
    }

    fn refused(method: &str, url: &str, headers: &[(&str, &str)]) -> String {
        match checked(request(method, url, headers)) {
            Err(Error::Invalid(why)) => why,
            other => panic!("{method} {url} {headers:?} is taken: {other:?}"),
        }
    }

    #[test]
    fn what_belongs_to_the_connection_is_the_hosts_own() {
        for name in HEADERS_REFUSED.into_iter().chain(["Host", "Content-Length", "TRANSFER-ENCODING"]) {
            assert!(refused("GET", "https://a/", &[(name, "x")]).contains("only the host may set"), "{name}");
        }
        for method in ["CONNECT", "connect", "TRACE", "", "GE T", "GET / HTTP/1.1\r\nHost: b\r\n\r\n"] {
            assert_eq!(refused(method, "https://a/", &[]), "this method does not exist");
        }
        for name in ["", " host", "host ", "a:b", "a\r\nb", "é"] {
            assert!(refused("GET", "https://a/", &[(name, "x")]).contains("not a valid header name"), "{name}");
        }
        for value in ["x\r\nhost: b", "x\n", "\0", "\u{7f}"] {
            assert!(refused("GET", "https://a/", &[("x", value)]).contains("control character"), "{value:?}");
        }
        assert!(checked(request("PATCH", "https://a/", &[("Authorization", "Bearer \tx"), ("x_y", "é")])).is_ok());
    }

    #[test]
    fn a_request_is_bounded_before_it_is_sent() {
        assert!(refused("GET", &format!("https://a/{}", "x".repeat(URL_BYTES_MAX)), &[]).contains("longer than 8192"));
        let long = "x".repeat(HEADER_BYTES_MAX);
        assert!(refused("GET", "https://a/", &[("x", &long)]).contains("more than 64 header fields"));
        assert!(refused("GET", "https://a/", &[("x", "y"); HEADERS_MAX + 1]).contains("more than 64 header fields"));
        assert!(refused("GET", "https://u:p@a/", &[]).contains("send those in a header"));
        assert!(refused("GET", "ftp://a/", &[]).contains("not a valid `http` or `https` URL"));
    }
}
