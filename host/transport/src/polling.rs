//! Polling: the payload of an answer, and the body of a POST.
//! <https://socket.io/docs/v4/engine-io-protocol/#http-long-polling-1>

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut, Bytes, BytesMut};
use engineioxide_core::{Packet as EnginePacket, ProtocolVersion, Str};

use crate::outbound::offsets::Offsets;
use crate::outbound::queue::{Next, Queue};

/// Between two packets of a payload.
const SEPARATOR: u8 = 0x1e;

/// Takes from a queue what fits into one payload, at least one packet; `None` if nothing waits. `offsets` learn of the
/// events, if the client keeps them.
pub(crate) fn payload(queue: &mut Queue, mut offsets: Option<&mut Offsets>, bytes_max: usize) -> Option<Bytes> {
    let mut payload = BytesMut::new();
    loop {
        if !payload.is_empty() && queue.front().is_some_and(|next| payload.len() + next.bytes() > bytes_max) {
            break;
        }
        let Some(next) = queue.pop() else { break };
        match next {
            Next::Protocol(text) => put(&mut payload, &text),
            Next::Packet(packet) => {
                let (text, attachments) = packet.polled(offsets.is_some());
                put(&mut payload, text);
                if let Some(offsets) = &mut offsets {
                    offsets.wrote(packet.offset());
                }
                for attachment in attachments {
                    put(&mut payload, b"b");
                    payload.put_slice(STANDARD.encode(attachment).as_bytes());
                }
            }
        }
    }
    (!payload.is_empty()).then(|| payload.freeze())
}

fn put(payload: &mut BytesMut, packet: &[u8]) {
    if !payload.is_empty() {
        payload.put_u8(SEPARATOR);
    }
    payload.put_slice(packet);
}

/// The packets of a POST; `None` if any of them is not one.
pub(crate) fn packets(body: &[u8]) -> Option<Vec<EnginePacket>> {
    let text = Str::from(String::from_utf8(body.to_vec()).ok()?);
    let mut begin = 0;
    let mut packets = Vec::new();
    for part in text.as_bytes().split(|byte| *byte == SEPARATOR) {
        let packet = text.slice(begin..begin + part.len());
        packets.push(EnginePacket::parse(ProtocolVersion::V4, packet).ok()?);
        begin += part.len() + 1;
    }
    Some(packets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{Packet, ROOT};

    #[test]
    fn a_payload_holds_what_fits_and_at_least_one_packet() {
        let mut queue = Queue::default();
        queue.push_protocol(Bytes::from_static(b"2"));
        for name in ["a", "b", "c"] {
            queue.push(Packet::event(ROOT, name, &[]), 1000).unwrap();
        }
        assert_eq!(payload(&mut queue, None, 20).unwrap(), "2\u{1e}42[\"a\"]\u{1e}42[\"b\"]");
        assert_eq!(payload(&mut queue, None, 1).unwrap(), "42[\"c\"]");
        assert_eq!(payload(&mut queue, None, 1), None);
    }

    #[test]
    fn attachments_are_written_as_base64() {
        let mut queue = Queue::default();
        let attachments = vec![Bytes::from_static(&[1, 2, 3, 4])];
        queue.push(Packet::binary(ROOT, None, r#"["a",{"_placeholder":true,"num":0}]"#, attachments), 1000).unwrap();
        let whole = "451-[\"a\",{\"_placeholder\":true,\"num\":0}]\u{1e}bAQIDBA==";
        assert_eq!(payload(&mut queue, None, 1000).unwrap(), whole);
    }

    #[test]
    fn a_post_is_read_packet_by_packet_or_not_at_all() {
        let read = packets("4a\u{1e}3\u{1e}bAQIDBA==".as_bytes()).unwrap();
        assert_eq!(
            read,
            [
                EnginePacket::Message("a".into()),
                EnginePacket::Pong,
                EnginePacket::Binary(Bytes::from_static(&[1, 2, 3, 4])),
            ]
        );
        for wrong in ["", "4a\u{1e}", "x", "4a\u{1e}b?"] {
            assert_eq!(packets(wrong.as_bytes()), None, "{wrong:?}");
        }
        assert_eq!(packets(b"4\xff"), None);
    }
}
