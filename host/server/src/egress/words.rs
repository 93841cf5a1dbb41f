//! Errors on the way to another server, as messages without addresses.

use std::error::Error;
use std::io;

use super::connect::ConnectError;
use tidegate_core::flow::http_client::HttpError;

/// Reads the client's error.
pub(super) fn of_client(error: &(dyn Error + 'static)) -> HttpError {
    let mut cause = Some(error);
    let mut said = "the connection broke".to_owned();
    while let Some(error) = cause {
        if let Some(refused) = error.downcast_ref::<ConnectError>() {
            return match refused {
                ConnectError::Private(_) => HttpError::Private(refused.to_string()),
                ConnectError::NoOrigin => HttpError::Invalid(refused.to_string()),
                ConnectError::NoHost(_) | ConnectError::Refused(..) => HttpError::Unreachable(refused.to_string()),
            };
        }
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return HttpError::Unreachable(format!("TLS: {tls}"));
        }
        if let Some(http) = error.downcast_ref::<hyper::Error>()
            && http.is_parse()
        {
            said = "the answer is not HTTP, or its head is too large".to_owned();
        }
        cause = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    HttpError::Unreachable(said)
}
