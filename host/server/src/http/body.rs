//! Reads a request's body, with a limit of bytes and of time.

use std::error::Error as _;

use axum::body::{Body, HttpBody};

use super::answer::{HttpCode, Problem};
use tidegate_core::config::Limits;
use tidegate_core::protocol::{Code, Refusal};

/// Reads a body of at most `bytes_max` bytes of UTF-8 within `limits.body_timeout`.
///
/// # Errors
/// 413 as soon as it is known to be larger, 408 if it does not arrive in time, 400 if it is not UTF-8 or breaks off.
pub(super) async fn read(body: Body, bytes_max: usize, limits: &Limits) -> Result<String, Problem> {
    if HttpBody::size_hint(&body).lower() > bytes_max as u64 {
        return Err(too_large(bytes_max));
    }
    let Ok(read) = tokio::time::timeout(limits.body_timeout, axum::body::to_bytes(body, bytes_max)).await else {
        return Err(Problem::of_http(HttpCode::RequestTimeout, "the body did not arrive in time"));
    };
    let bytes = read.map_err(|error| {
        let limit_hit = error.source().is_some_and(<dyn std::error::Error>::is::<http_body_util::LengthLimitError>);
        if limit_hit { too_large(bytes_max) } else { Problem::bad_request("the body broke off") }
    })?;
    String::from_utf8(bytes.into()).map_err(|_| Problem::bad_request("the body is not UTF-8"))
}

/// 413, with the limit.
pub(super) fn too_large(bytes_max: usize) -> Problem {
    let details = serde_json::json!({ "bytes_max": bytes_max });
    Problem::from(Refusal::new(Code::PayloadTooLarge)).with_details(details)
}
