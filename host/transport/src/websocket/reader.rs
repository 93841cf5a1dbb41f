//! Bytes from a client into messages: frames are unmasked, and fragments joined. Between messages it keeps no buffer.

use std::io::Cursor;

use bytes::Bytes;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::deflate::inflated;

/// What a client sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Incoming {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Bytes),
    /// A ping of the websocket itself, with its payload.
    Ping(Bytes),
    /// The client closes the websocket, with this code.
    Close(u16),
}

/// The client broke the websocket protocol, or a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    /// It did not keep to the protocol: code 1002.
    Protocol,
    /// A text is not UTF-8: code 1007.
    Text,
    /// A message is not what its sender says, compressed: code 1007, too.
    Compression,
    /// The message is larger than allowed: code 1009.
    TooLarge,
}

impl Broken {
    /// The code of the close frame. <https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1>
    pub(crate) const fn code(self) -> u16 {
        match self {
            Self::Protocol => 1002,
            Self::Text | Self::Compression => 1007,
            Self::TooLarge => 1009,
        }
    }
}

/// Reads the frames of one client.
#[derive(Debug)]
pub(crate) struct Reader {
    message_bytes_max: usize,
    /// Whether the client may compress messages.
    inflates: bool,
    /// The beginning of a frame whose end has not come.
    rest: Vec<u8>,
    /// The fragments of a message so far.
    fragments: Option<Fragments>,
}

/// The beginning of a message whose end has not come.
#[derive(Debug)]
struct Fragments {
    kind: Data,
    is_compressed: bool,
    bytes: Vec<u8>,
}

impl Reader {
    /// Reads messages up to this size.
    pub(crate) const fn new(message_bytes_max: usize, inflates: bool) -> Self {
        Self { message_bytes_max, inflates, rest: Vec::new(), fragments: None }
    }

    /// Takes bytes as they come, and adds the messages that they complete.
    pub(crate) fn feed(&mut self, bytes: &[u8], messages: &mut Vec<Incoming>) -> Result<(), Broken> {
        if self.rest.is_empty() {
            let read = self.read(bytes, messages)?;
            self.rest.extend_from_slice(&bytes[read..]);
            return Ok(());
        }
        self.rest.extend_from_slice(bytes);
        let rest = std::mem::take(&mut self.rest);
        let read = self.read(&rest, messages)?;
        if read < rest.len() {
            self.rest = rest;
            self.rest.drain(..read);
        }
        Ok(())
    }

    /// Reads the whole frames at the beginning of these bytes. Returns how many bytes those have.
    fn read(&mut self, bytes: &[u8], messages: &mut Vec<Incoming>) -> Result<usize, Broken> {
        let mut at = 0;
        loop {
            let mut cursor = Cursor::new(&bytes[at..]);
            let header = FrameHeader::parse(&mut cursor).map_err(|_| Broken::Protocol)?;
            let Some((header, length)) = header else { return Ok(at) };
            self.check(&header, length)?;
            let begin = at + usize::try_from(cursor.position()).unwrap_or(usize::MAX);
            let Some(payload) = usize::try_from(length).ok().and_then(|length| bytes.get(begin..begin + length)) else {
                return Ok(at);
            };
            at = begin + payload.len();
            messages.extend(self.frame(&header, payload)?);
        }
    }

    /// Judges a frame by its head, before its payload has come.
    fn check(&self, header: &FrameHeader, length: u64) -> Result<(), Broken> {
        // The first frame of a message says whether it is compressed. <https://www.rfc-editor.org/rfc/rfc7692#section-6>
        let may_be_compressed = self.inflates && matches!(header.opcode, OpCode::Data(Data::Text | Data::Binary));
        // No other extension is agreed on, and a client masks all it sends.
        if (header.rsv1 && !may_be_compressed) || header.rsv2 || header.rsv3 || header.mask.is_none() {
            return Err(Broken::Protocol);
        }
        match header.opcode {
            OpCode::Control(Control::Reserved(_)) | OpCode::Data(Data::Reserved(_)) => Err(Broken::Protocol),
            OpCode::Control(_) if !header.is_final || length > 125 => Err(Broken::Protocol),
            OpCode::Control(_) => Ok(()),
            OpCode::Data(data) => {
                // A message goes on if and only if it has begun.
                if (data == Data::Continue) != self.fragments.is_some() {
                    return Err(Broken::Protocol);
                }
                let before = self.fragments.as_ref().map_or(0, |fragments| fragments.bytes.len());
                if length.saturating_add(before as u64) > self.message_bytes_max as u64 {
                    return Err(Broken::TooLarge);
                }
                Ok(())
            }
        }
    }

    fn frame(&mut self, header: &FrameHeader, payload: &[u8]) -> Result<Option<Incoming>, Broken> {
        let mut payload = payload.to_vec();
        if let Some(mask) = header.mask {
            unmask(&mut payload, mask);
        }
        let data = match header.opcode {
            OpCode::Control(Control::Ping) => return Ok(Some(Incoming::Ping(payload.into()))),
            OpCode::Control(Control::Close) => return close_code(&payload).map(|code| Some(Incoming::Close(code))),
            OpCode::Control(_) => return Ok(None),
            OpCode::Data(data) => data,
        };
        let message = match self.fragments.take() {
            Some(mut fragments) => {
                fragments.bytes.append(&mut payload);
                fragments
            }
            None => Fragments { kind: data, is_compressed: header.rsv1, bytes: payload },
        };
        if !header.is_final {
            self.fragments = Some(message);
            return Ok(None);
        }
        let Fragments { kind, is_compressed, bytes } = message;
        let whole = if is_compressed { inflated(bytes, self.message_bytes_max)? } else { bytes };
        Ok(Some(match kind {
            Data::Text => Incoming::Text(String::from_utf8(whole).map_err(|_| Broken::Text)?),
            _ => Incoming::Binary(whole.into()),
        }))
    }
}

/// The code of a close frame; without one it is the normal code.
/// <https://www.rfc-editor.org/rfc/rfc6455#section-7.4>
fn close_code(payload: &[u8]) -> Result<u16, Broken> {
    match payload {
        [] => Ok(1000),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            let may_be_sent = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
            std::str::from_utf8(reason).map_err(|_| Broken::Text)?;
            may_be_sent.then_some(code).ok_or(Broken::Protocol)
        }
        [_] => Err(Broken::Protocol),
    }
}

/// <https://www.rfc-editor.org/rfc/rfc6455#section-5.3>
fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let (words, rest) = payload.as_chunks_mut::<4>();
    for word in words {
        *word = (u32::from_ne_bytes(*word) ^ u32::from_ne_bytes(mask)).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask) {
        *byte ^= mask;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0x78];

    /// A frame as a client sends it.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![first];
        match payload.len() {
            short @ 0..=125 => frame.push(0x80 | u8::try_from(short).unwrap()),
            long => {
                frame.push(0x80 | 126);
                frame.extend_from_slice(&u16::try_from(long).unwrap().to_be_bytes());
            }
        }
        frame.extend_from_slice(&MASK);
        frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        frame
    }

    fn read(bytes: &[u8]) -> Result<Vec<Incoming>, Broken> {
        let mut messages = Vec::new();
        Reader::new(1000, false).feed(bytes, &mut messages).map(|()| messages)
    }

    fn text(text: &str) -> Incoming {
        Incoming::Text(text.to_owned())
    }

    #[test]
    fn messages_are_read_wherever_the_bytes_are_cut() {
        let long = "x".repeat(300);
        let mut bytes = frame(0x81, b"one");
        bytes.extend(frame(0x89, b"ping"));
        bytes.extend(frame(0x01, b"begins, "));
        bytes.extend(frame(0x8a, b"a pong between fragments"));
        bytes.extend(frame(0x80, b"ends"));
        bytes.extend(frame(0x82, b"\xff"));
        bytes.extend(frame(0x81, long.as_bytes()));
        let whole = [
            text("one"),
            Incoming::Ping("ping".into()),
            text("begins, ends"),
            Incoming::Binary(Bytes::from_static(b"\xff")),
            text(&long),
        ];
        for size in 1..bytes.len() {
            let (mut reader, mut messages) = (Reader::new(1000, false), Vec::new());
            for chunk in bytes.chunks(size) {
                reader.feed(chunk, &mut messages).unwrap();
            }
            assert_eq!(messages, whole, "{size} bytes at a time");
            assert_eq!(reader.rest.capacity(), 0, "nothing is kept between messages");
        }
    }

    #[test]
    fn a_message_beyond_the_limit_is_refused_by_its_head() {
        assert_eq!(read(&frame(0x82, &[0; 1001])[..8]), Err(Broken::TooLarge));
        let mut fragments = frame(0x02, &[0; 600]);
        fragments.extend(&frame(0x80, &[0; 600])[..8]);
        assert_eq!(read(&fragments), Err(Broken::TooLarge));
    }

    #[test]
    fn frames_that_break_the_protocol_are_refused() {
        let unmasked = [0x81, 3, b'a', b'b', b'c'];
        assert_eq!(read(&unmasked), Err(Broken::Protocol));
        for first in [0xc1, 0xa1, 0x91, 0x83, 0x8b, 0x09, 0x80] {
            assert_eq!(read(&frame(first, b"abc")), Err(Broken::Protocol), "{first:x}");
        }
        assert_eq!(read(&frame(0x89, &[0; 126])), Err(Broken::Protocol));
        let mut begins_twice = frame(0x01, b"a");
        begins_twice.extend(frame(0x81, b"b"));
        assert_eq!(read(&begins_twice), Err(Broken::Protocol));
        assert_eq!(read(&frame(0x81, b"\xff")), Err(Broken::Text));
    }
}
