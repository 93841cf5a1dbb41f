//! The HTTP side of a websocket's beginning. <https://www.rfc-editor.org/rfc/rfc6455#section-4.2>

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};

/// The only version that there is.
const VERSION: &str = "13";

/// A request that cannot become a websocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// It does not ask for one, or not rightly: 400.
    Request,
    /// It asks for another version: 426.
    Version,
}

/// Judges a request. Returns the key that the answer is made from.
pub(crate) fn judge<'a>(method: &Method, headers: &'a HeaderMap) -> Result<&'a HeaderValue, Unfit> {
    if method != Method::GET || !lists(headers, &UPGRADE, "websocket") || !lists(headers, &CONNECTION, "upgrade") {
        return Err(Unfit::Request);
    }
    if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != VERSION) {
        return Err(Unfit::Version);
    }
    // Base64 of 16 bytes.
    let is_key = |key: &&HeaderValue| STANDARD.decode(key.as_bytes()).is_ok_and(|bytes| bytes.len() == 16);
    headers.get(SEC_WEBSOCKET_KEY).filter(is_key).ok_or(Unfit::Request)
}

/// Whether a header's list has an entry, in whatever case.
fn lists(headers: &HeaderMap, name: &HeaderName, entry: &str) -> bool {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|found| found.trim().eq_ignore_ascii_case(entry))
}

/// The answer after which the connection is a websocket, with this extension. No subprotocol is chosen, whatever the
/// client offers.
pub(crate) fn switch<B: Default>(key: &HeaderValue, extension: Option<HeaderValue>) -> Response<B> {
    let accept = tungstenite::handshake::derive_accept_key(key.as_bytes());
    let mut response = Response::new(B::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(accept) = HeaderValue::from_str(&accept) {
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    if let Some(extension) = extension {
        headers.insert(SEC_WEBSOCKET_EXTENSIONS, extension);
    }
    response
}

/// The answer to a request that cannot become a websocket.
pub(crate) fn refuse_version<B: Default>() -> Response<B> {
    let mut response = Response::new(B::default());
    *response.status_mut() = StatusCode::UPGRADE_REQUIRED;
    response.headers_mut().insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static(VERSION));
    response.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(rows: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        rows.iter().map(pair).collect()
    }

    #[test]
    fn a_websocket_begins_as_rfc_6455_says() {
        let asks = [
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "WebSocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        let whole = headers(&asks);
        let key = judge(&Method::GET, &whole).unwrap();
        let answer: Response<()> = switch(key, None);
        assert_eq!(answer.headers()[SEC_WEBSOCKET_ACCEPT], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "the example of the RFC");
        assert_eq!(judge(&Method::POST, &whole), Err(Unfit::Request));
        for (without, unfit) in [(0, Unfit::Request), (1, Unfit::Request), (2, Unfit::Version), (3, Unfit::Request)] {
            let rows: Vec<_> = asks.iter().enumerate().filter(|(at, _)| *at != without).map(|(_, row)| *row).collect();
            assert_eq!(judge(&Method::GET, &headers(&rows)), Err(unfit), "without {}", asks[without].0);
        }
    }
}
