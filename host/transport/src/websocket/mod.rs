//! Websockets: the handshake, and frames. <https://www.rfc-editor.org/rfc/rfc6455>

pub(crate) mod deflate;
pub(crate) mod handshake;
pub(crate) mod reader;

/// The longest head of a frame from the server, which masks nothing.
pub(crate) const HEAD_BYTES_MAX: usize = 10;

/// The first byte of a final text frame.
pub(crate) const TEXT: u8 = 0x81;
/// The first byte of a final binary frame.
pub(crate) const BINARY: u8 = 0x82;
/// Added to the first byte of a frame whose message is compressed.
pub(crate) const COMPRESSED: u8 = 0x40;

/// A whole text frame.
pub(crate) fn text(text: &str) -> bytes::Bytes {
    let mut frame = Vec::with_capacity(text.len() + HEAD_BYTES_MAX);
    begin(&mut frame, TEXT, text.len());
    frame.extend_from_slice(text.as_bytes());
    frame.into()
}

/// A pong with the payload of its ping, which has at most 125 bytes.
pub(crate) fn pong(payload: &[u8]) -> bytes::Bytes {
    let mut frame = Vec::with_capacity(payload.len() + HEAD_BYTES_MAX);
    begin(&mut frame, 0x8a, payload.len());
    frame.extend_from_slice(payload);
    frame.into()
}

/// A close frame with this code.
pub(crate) fn close(code: u16) -> bytes::Bytes {
    let mut frame = vec![0x88, 2];
    frame.extend_from_slice(&code.to_be_bytes());
    frame.into()
}

/// Begins a frame with this first byte and this length. <https://www.rfc-editor.org/rfc/rfc6455#section-5.2>
pub(crate) fn begin(frames: &mut Vec<u8>, first: u8, bytes: usize) {
    frames.push(first);
    match (u8::try_from(bytes), u16::try_from(bytes)) {
        (Ok(bytes @ 0..=125), _) => frames.push(bytes),
        (_, Ok(bytes)) => {
            frames.push(126);
            frames.extend_from_slice(&bytes.to_be_bytes());
        }
        _ => {
            frames.push(127);
            frames.extend_from_slice(&(bytes as u64).to_be_bytes());
        }
    }
}
