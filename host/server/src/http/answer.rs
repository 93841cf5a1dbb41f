//! The forms of HTTP answers. Errors: a status and `{ error: { code, message, retry, details? } }`, the shape of a refused ack.

use std::borrow::Cow;

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;

use tidegate_core::protocol::{Code, Refusal};

/// How long a caller should wait before trying again when the server has no room now.
const RETRY_AFTER_S: u64 = 1;
/// How long an address with too many failed logins waits at most.
const RETRY_LOGIN_AFTER_S: u64 = 60;

/// An answer for this caller, as of now: nobody may keep it.
pub(super) type Fresh<T> = ([(HeaderName, HeaderValue); 1], Json<T>);

/// Makes an answer [`Fresh`].
pub(super) fn fresh<T>(value: T) -> Fresh<T> {
    ([(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(value))
}

/// The codes that exist only in HTTP, beside the closed list of [`Code`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HttpCode {
    NotFound,
    MethodNotAllowed,
    RequestTimeout,
    UnsupportedMediaType,
    Conflict,
}

impl HttpCode {
    pub(super) const ALL: [Self; 5] =
        [Self::NotFound, Self::MethodNotAllowed, Self::RequestTimeout, Self::UnsupportedMediaType, Self::Conflict];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::RequestTimeout => "request_timeout",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::Conflict => "conflict",
        }
    }

    pub(super) const fn status(self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Conflict => StatusCode::CONFLICT,
        }
    }
}

/// A request that was not served.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    error: Box<ErrorBody>,
}

#[derive(Debug, Serialize)]
struct ErrorBody {
    code: &'static str,
    message: Cow<'static, str>,
    retry: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Value>,
}

impl Problem {
    /// A refusal with another status than the usual one of its code.
    pub(super) fn with_status(status: StatusCode, refusal: Refusal) -> Self {
        let Refusal { code, message, details } = refusal;
        Self { status, error: Box::new(ErrorBody { code: code.as_str(), message, retry: code.retry(), details }) }
    }

    /// An error that exists only in HTTP.
    pub(super) fn of_http(code: HttpCode, message: impl Into<Cow<'static, str>>) -> Self {
        let error = ErrorBody { code: code.as_str(), message: message.into(), retry: false, details: None };
        Self { status: code.status(), error: Box::new(error) }
    }

    /// A request that cannot be read at all.
    pub(super) fn bad_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::with_status(StatusCode::BAD_REQUEST, Refusal::because(Code::InvalidPayload, message))
    }

    /// Something that does not exist.
    pub(super) fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::of_http(HttpCode::NotFound, message)
    }

    pub(super) fn with_details(mut self, details: Value) -> Self {
        self.error.details = Some(details);
        self
    }

    fn extra_header(&self) -> Option<(HeaderName, HeaderValue)> {
        match self.status {
            // RFC 9110, 11.6.1: a 401 says how to authenticate.
            StatusCode::UNAUTHORIZED => Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
            StatusCode::SERVICE_UNAVAILABLE => Some((header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_S))),
            // A budget renews all the time; failed logins count for a minute.
            StatusCode::TOO_MANY_REQUESTS if self.error.code == Code::OverBudget.as_str() => {
                Some((header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_S)))
            }
            StatusCode::TOO_MANY_REQUESTS => Some((header::RETRY_AFTER, HeaderValue::from(RETRY_LOGIN_AFTER_S))),
            _ => None,
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self::with_status(status_of(refusal.code), refusal)
    }
}

impl From<Code> for Problem {
    fn from(code: Code) -> Self {
        Refusal::new(code).into()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let extra = self.extra_header();
        let mut response = (self.status, Json(serde_json::json!({ "error": self.error }))).into_response();
        if let Some((name, value)) = extra {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

/// The usual status of a code.
pub(super) const fn status_of(code: Code) -> StatusCode {
    match code {
        Code::Unauthenticated | Code::TokenExpired | Code::TokenRevoked => StatusCode::UNAUTHORIZED,
        Code::Forbidden => StatusCode::FORBIDDEN,
        Code::UnknownChannel => StatusCode::NOT_FOUND,
        Code::NotSubscribed
        | Code::NoHandler
        | Code::NoHistory
        | Code::NoPresence
        | Code::NoRetained
        | Code::TooManySubscriptions => StatusCode::CONFLICT,
        Code::InvalidPayload | Code::IdempotencyConflict => StatusCode::UNPROCESSABLE_ENTITY,
        Code::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Code::RateLimited | Code::OverBudget => StatusCode::TOO_MANY_REQUESTS,
        Code::HandlerFailed => StatusCode::BAD_GATEWAY,
        Code::HandlerTimeout => StatusCode::GATEWAY_TIMEOUT,
        Code::Unavailable | Code::Draining => StatusCode::SERVICE_UNAVAILABLE,
        Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
