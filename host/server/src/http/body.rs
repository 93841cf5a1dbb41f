//! Reads a request's body, with a limit of bytes and of time.

use axum::body::{Body, HttpBody};
use http_body_util::BodyExt as _;
use serde_json::{Map, Value};

use super::answer::{HttpCode, Problem};
use tidegate_core::config::Limits;
use tidegate_core::protocol::{Code, Refusal, Unambiguous};

/// How much of a body that is too large is read and thrown away: callers that still write when the connection closes hear
/// of that, and not of the answer.
const REST_BYTES_MAX: usize = 32 << 20;

/// Reads a body of at most `bytes_max` bytes of UTF-8 within `limits.body_timeout`.
///
/// # Errors
/// 413 if it is larger, 408 if it does not arrive in time, 400 if it is not UTF-8 or breaks off.
pub(super) async fn read(body: Body, bytes_max: usize, limits: &Limits) -> Result<String, Problem> {
    if HttpBody::size_hint(&body).lower() > (bytes_max + REST_BYTES_MAX) as u64 {
        return Err(too_large(bytes_max));
    }
    let Ok(read) = tokio::time::timeout(limits.body_timeout, bytes(body, bytes_max)).await else {
        return Err(Problem::of_http(HttpCode::RequestTimeout, "the body did not arrive in time"));
    };
    String::from_utf8(read?).map_err(|_| Problem::bad_request("the body is not UTF-8"))
}

/// The fields of a JSON object that names each once. Who makes a struct of a body makes it of these: of a list, serde takes
/// the values in their order for those of the struct.
pub(super) fn fields(text: &str) -> Result<Map<String, Value>, serde_json::Error> {
    let Unambiguous(value) = serde_json::from_str(text)?;
    serde_json::from_value(value)
}

async fn bytes(mut body: Body, bytes_max: usize) -> Result<Vec<u8>, Problem> {
    let (mut kept, mut read) = (Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Problem::bad_request("the body broke off"))?;
        let Ok(data) = frame.into_data() else { continue };
        read += data.len();
        if read <= bytes_max {
            kept.extend_from_slice(&data);
        } else if read > bytes_max + REST_BYTES_MAX {
            break;
        }
    }
    if read > bytes_max { Err(too_large(bytes_max)) } else { Ok(kept) }
}

/// 413, with the limit.
pub(super) fn too_large(bytes_max: usize) -> Problem {
    let details = serde_json::json!({ "bytes_max": bytes_max });
    Problem::from(Refusal::new(Code::PayloadTooLarge)).with_details(details)
}
