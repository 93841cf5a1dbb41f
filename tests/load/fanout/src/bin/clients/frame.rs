//! Websocket frames, as far as a client of this benchmark needs them: unfragmented, from a server; small, to a server.

use std::io;

pub(crate) const TEXT: u8 = 1;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// A frame at the beginning of what was read.
pub(crate) struct Frame<'a> {
    pub(crate) opcode: u8,
    pub(crate) payload: &'a [u8],
    /// The frame's size with its header.
    pub(crate) bytes: usize,
}

/// The first frame, or nothing while it is not whole.
pub(crate) fn first(bytes: &[u8]) -> io::Result<Option<Frame<'_>>> {
    let &[kind, length, ..] = bytes else { return Ok(None) };
    if kind & 0xF0 != 0x80 || length & 0x80 != 0 {
        return Err(io::Error::other(format!(
            "a frame that is fragmented, compressed or masked: {kind:02x} {length:02x}"
        )));
    }
    let (header, payload) = match length {
        126 => match bytes.get(2..4) {
            Some(&[high, low]) => (4, usize::from(u16::from_be_bytes([high, low]))),
            _ => return Ok(None),
        },
        127 => return Err(io::Error::other("a frame of more than 64 KiB")),
        short => (2, usize::from(short)),
    };
    let whole = header + payload;
    Ok(bytes.get(header..whole).map(|payload| Frame { opcode: kind & 0x0F, payload, bytes: whole }))
}

/// A frame from a client. The masking key is zero, so that the payload stays as it is.
pub(crate) fn from_client(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
    match u8::try_from(payload.len()) {
        Ok(short @ 0..126) => frame.push(0x80 | short),
        _ => {
            let length = u16::try_from(payload.len()).unwrap_or(u16::MAX);
            frame.push(0x80 | 126);
            frame.extend(length.to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}
