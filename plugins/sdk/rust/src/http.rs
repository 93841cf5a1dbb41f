//! HTTP requests to granted origins.
//!
//! ```yaml
//! grants: { http: ["https://api.example.com"] }
//! limits: { wall: 2s }
//! ```
//!
//! ```
//! use tidegate_plugin::http;
//! use tidegate_plugin::testing::answer_http;
//!
//! fn name(token: &str) -> Result<String, http::Error> {
//!     http::get("https://api.example.com/users/me").bearer(token).send()?.ok()?.json()
//! }
//!
//! answer_http("GET", "https://api.example.com/users/me", 200, r#""Alice""#);
//! assert_eq!(name("s3cret").unwrap(), "Alice");
//! ```
//!
//! A request ends after nine tenths of the time that the call has left (`limits.wall`), redirects included. In unit tests off
//! wasm [`testing::answer_http`](crate::testing::answer_http) says what is answered.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Refusal;
use crate::json;

#[cfg(target_arch = "wasm32")]
use crate::bindings::granted_world::tidegate::http::client as host;
#[cfg(not(target_arch = "wasm32"))]
use crate::testing::http as host;

/// A request to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a request is sent by `send`"]
pub struct Request {
    /// `GET`, `POST`, …
    pub method: String,
    /// The whole URL.
    pub url: String,
    /// Header fields. `host`, `content-length` and others that belong to the connection are the host's own.
    pub headers: Vec<(String, String)>,
    /// The body, `limits.http_body` at most.
    pub body: Option<Vec<u8>>,
    /// Why the body has no JSON.
    pub(crate) unwritable: Option<String>,
}

/// A response, whatever its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Header fields, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The whole body, `limits.http_body` at most, as it was sent: nothing is unpacked.
    pub body: Vec<u8>,
}

/// Why there is no response, or not the one that was wanted. The sentences are for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The request is no HTTP request.
    Invalid(String),
    /// The origin, the address behind it or a redirect is not granted.
    Denied(String),
    /// The body of the request or of the response is larger than `limits.http_body`.
    TooLarge,
    /// More requests a second than `limits.http`.
    RateLimited,
    /// It took longer than the call has.
    Timeout,
    /// There was no connection, or it broke.
    Unreachable(String),
    /// The status is not one of success ([`Response::ok`]).
    Status(u16),
    /// The body is something else than was wanted.
    Body(String),
}

/// A `GET` request.
pub fn get(url: impl Into<String>) -> Request {
    request("GET", url)
}

/// A `POST` request.
pub fn post(url: impl Into<String>) -> Request {
    request("POST", url)
}

/// A `PUT` request.
pub fn put(url: impl Into<String>) -> Request {
    request("PUT", url)
}

/// A `DELETE` request.
pub fn delete(url: impl Into<String>) -> Request {
    request("DELETE", url)
}

/// A request with another method.
pub fn request(method: impl Into<String>, url: impl Into<String>) -> Request {
    Request { method: method.into(), url: url.into(), headers: Vec::new(), body: None, unwritable: None }
}

impl Request {
    /// Adds a header field.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Adds a bearer token. It follows no redirect to another origin, nor does any other header field of one's own.
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Sets a JSON body and its `content-type`. One that has no JSON is not sent: [`Error::Invalid`].
    pub fn json(mut self, body: &impl Serialize) -> Self {
        match json::write(body) {
            Ok(text) => self.header("content-type", "application/json").body(text),
            Err(error) => {
                self.unwritable = Some(format!("the body has no JSON: {error}"));
                self
            }
        }
    }

    /// Sends it and waits for the whole response.
    ///
    /// # Errors
    /// [`Error`]; a status of failure is none ([`Response::ok`]).
    pub fn send(self) -> Result<Response, Error> {
        let Self { method, url, headers, body, unwritable } = self;
        if let Some(why) = unwritable {
            return Err(Error::Invalid(why));
        }
        let answer = host::send(&host::Request { method, url, headers, body });
        answer
            .map(|response| Response { status: response.status, headers: response.headers, body: response.body })
            .map_err(|error| match error {
                host::Error::Invalid(why) => Error::Invalid(why),
                host::Error::Denied(why) => Error::Denied(why),
                host::Error::TooLarge => Error::TooLarge,
                host::Error::RateLimited => Error::RateLimited,
                host::Error::Timeout => Error::Timeout,
                host::Error::Unreachable(why) => Error::Unreachable(why),
            })
    }
}

impl Response {
    /// The response itself, if its status says success (200 to 299).
    ///
    /// # Errors
    /// [`Error::Status`].
    pub fn ok(self) -> Result<Self, Error> {
        if (200..300).contains(&self.status) { Ok(self) } else { Err(Error::Status(self.status)) }
    }

    /// The first header field of this name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    ///
    /// # Errors
    /// [`Error::Body`] when it is no UTF-8.
    pub fn text(&self) -> Result<&str, Error> {
        str::from_utf8(&self.body).map_err(|error| Error::Body(error.to_string()))
    }

    /// The body as JSON of this type.
    ///
    /// # Errors
    /// [`Error::Body`], with the place.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        json::read(self.text()?).map_err(Error::Body)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(why) => write!(f, "the request is not taken: {why}"),
            Self::Denied(why) => write!(f, "the request is not granted: {why}"),
            Self::TooLarge => f.write_str("a body is larger than `limits.http_body`"),
            Self::RateLimited => f.write_str("more requests a second than `limits.http`"),
            Self::Timeout => f.write_str("no answer within the time of the call"),
            Self::Unreachable(why) => write!(f, "no answer: {why}"),
            Self::Status(status) => write!(f, "answered with status {status}"),
            Self::Body(why) => write!(f, "answered with an unexpected body: {why}"),
        }
    }
}

impl std::error::Error for Error {}

/// So that `?` works in a handler: what may pass is `unavailable`, which clients try again; the rest is `failed`.
impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let passes =
            matches!(error, Error::RateLimited | Error::Timeout | Error::Unreachable(_) | Error::Status(429 | 500..));
        if passes { Self::Unavailable(error.to_string()) } else { Self::Failed(error.to_string()) }
    }
}

/// So that `?` works in an authorizer, a snapshot, a transform and a connection.
impl From<Error> for String {
    fn from(error: Error) -> Self {
        error.to_string()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{answer_http, http_requests};

    #[test]
    fn a_request_is_what_was_built_and_the_answer_what_the_test_set() {
        answer_http("POST", "https://a/x", 201, r#"{ "id": 7 }"#);
        let response = post("https://a/x").bearer("t").json(&json!({ "n": 1 })).send().unwrap().ok().unwrap();
        assert_eq!(response.json::<serde_json::Value>().unwrap(), json!({ "id": 7 }));
        let [sent] = &http_requests()[..] else { panic!("{:?}", http_requests()) };
        let headers = [("authorization", "Bearer t"), ("content-type", "application/json")];
        assert_eq!(sent.headers, headers.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(sent.body.as_deref(), Some(&br#"{"n":1}"#[..]));
    }

    #[test]
    fn what_no_test_answers_is_unreachable() {
        let error = get("https://a/y").send().unwrap_err();
        assert!(matches!(&error, Error::Unreachable(why) if why.contains("answer_http")), "{error}");
        assert!(matches!(Refusal::from(error), Refusal::Unavailable(_)));
    }

    #[test]
    fn a_status_is_a_failure_where_success_is_wanted() {
        for (status, passes) in [(404, false), (429, true), (503, true)] {
            answer_http("GET", "https://a/z", status, "no");
            let error = get("https://a/z").send().unwrap().ok().unwrap_err();
            assert_eq!(error, Error::Status(status));
            assert_eq!(matches!(Refusal::from(error), Refusal::Unavailable(_)), passes, "{status}");
        }
    }
}
