//! What the fuzz target of websocket frames does with arbitrary bytes: the reader alone, below any connection.

use crate::websocket::deflate::{agree, deflated, inflated};
use crate::websocket::reader::{Incoming, Reader};

/// Bytes that a message may have.
const MESSAGE_BYTES_MAX: usize = 1000;

/// Wherever the bytes are cut, they are the same messages, and none of those is too large. The first byte says where.
pub(crate) fn frames(bytes: &[u8]) {
    let Some((cut, bytes)) = bytes.split_first() else { return };
    for inflates in [false, true] {
        let whole = read(bytes.chunks(bytes.len().max(1)), inflates);
        assert_eq!(read(bytes.chunks(usize::from(*cut).max(1)), inflates), whole);
        for message in &whole.0 {
            let bytes = match message {
                Incoming::Text(text) => text.len(),
                Incoming::Binary(bytes) | Incoming::Ping(bytes) => bytes.len(),
                Incoming::Close(_) => 0,
            };
            assert!(bytes <= MESSAGE_BYTES_MAX, "{message:?}");
        }
    }
    // A message that was compressed here is the same when it comes back.
    if let Some(small) = deflated(bytes) {
        assert_eq!(inflated(small, bytes.len()).as_deref(), Ok(bytes));
    }
    let mut headers = http::HeaderMap::new();
    if let Ok(offer) = http::HeaderValue::from_bytes(bytes) {
        headers.insert(http::header::SEC_WEBSOCKET_EXTENSIONS, offer);
        agree(&headers);
    }
}

/// The messages, and the code with which the connection breaks.
fn read<'a>(chunks: impl Iterator<Item = &'a [u8]>, inflates: bool) -> (Vec<Incoming>, Option<u16>) {
    let (mut reader, mut messages) = (Reader::new(MESSAGE_BYTES_MAX, inflates), Vec::new());
    for chunk in chunks {
        if let Err(broken) = reader.feed(chunk, &mut messages) {
            return (messages, Some(broken.code()));
        }
    }
    (messages, None)
}
