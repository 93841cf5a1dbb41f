//! Compressed messages, each for itself: without context between messages, a publication is compressed once and the same
//! bytes go to every client. <https://www.rfc-editor.org/rfc/rfc7692>

use std::cell::RefCell;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use http::header::SEC_WEBSOCKET_EXTENSIONS;
use http::{HeaderMap, HeaderValue};

use super::reader::Broken;

/// What every compressed message ends with, and what is not sent.
/// <https://www.rfc-editor.org/rfc/rfc7692#section-7.2.1>
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];
/// What inflating reserves first, in bytes.
const INFLATE_BYTES_MIN: usize = 1 << 10;

thread_local! {
    /// Connections share these, because no context is kept between messages.
    static DEFLATE: RefCell<Compress> = RefCell::new(Compress::new(Compression::default(), false));
    static INFLATE: RefCell<Decompress> = RefCell::new(Decompress::new(false));
}

/// The answer to what a client offers; `None` if it offers nothing that this server can do.
/// <https://www.rfc-editor.org/rfc/rfc7692#section-7.1>
pub(crate) fn agree(headers: &HeaderMap) -> Option<HeaderValue> {
    let values = headers.get_all(SEC_WEBSOCKET_EXTENSIONS).into_iter().filter_map(|value| value.to_str().ok());
    let window = values.flat_map(|value| value.split(',')).find_map(window_of)?;
    Some(HeaderValue::from_static(match window {
        Window::Any => "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
        Window::Whole => {
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=15"
        }
    }))
}

/// What an offer says about the window of the server.
enum Window {
    Any,
    /// It has to be confirmed that it has no more than 15 bits, which it never has.
    Whole,
}

/// Reads one offer. `None`: it is not one of this extension, or the server must decline it.
fn window_of(offer: &str) -> Option<Window> {
    let mut parts = offer.split(';').map(str::trim);
    if parts.next() != Some("permessage-deflate") {
        return None;
    }
    let (mut seen, mut window) = (Vec::new(), Window::Any);
    for part in parts {
        let (name, value) = match part.split_once('=') {
            Some((name, value)) => (name.trim(), Some(value.trim().trim_matches('"'))),
            None => (part, None),
        };
        if seen.contains(&name) {
            return None;
        }
        seen.push(name);
        match (name, value) {
            ("server_no_context_takeover" | "client_no_context_takeover" | "client_max_window_bits", None) => {}
            ("client_max_window_bits", Some(bits)) if is_window(bits) => {}
            ("server_max_window_bits", Some("15")) => window = Window::Whole,
            _ => return None,
        }
    }
    Some(window)
}

fn is_window(bits: &str) -> bool {
    matches!(bits, "8" | "9" | "10" | "11" | "12" | "13" | "14" | "15")
}

/// The payload of a compressed message; `None` if it would not be smaller.
pub(crate) fn deflated(payload: &[u8]) -> Option<Vec<u8>> {
    DEFLATE.with_borrow_mut(|deflate| {
        deflate.reset();
        let mut out = Vec::with_capacity(payload.len() + TAIL.len());
        deflate.compress_vec(payload, &mut out, FlushCompress::Sync).ok()?;
        // A full buffer may not hold all of it.
        let is_whole = out.len() < out.capacity() && out.ends_with(&TAIL);
        out.truncate(out.len().saturating_sub(TAIL.len()));
        (is_whole && out.len() < payload.len()).then_some(out)
    })
}

/// The payload of a message that a client compressed, of at most so many bytes.
pub(crate) fn inflated(mut payload: Vec<u8>, bytes_max: usize) -> Result<Vec<u8>, Broken> {
    payload.extend_from_slice(&TAIL);
    INFLATE.with_borrow_mut(|inflate| {
        inflate.reset(false);
        let mut rest = payload.as_slice();
        let mut out = Vec::with_capacity(INFLATE_BYTES_MIN.min(bytes_max + 1));
        loop {
            let (before_in, before_out) = (inflate.total_in(), out.len());
            let status = inflate.decompress_vec(rest, &mut out, FlushDecompress::Sync);
            let status = status.map_err(|_| Broken::Compression)?;
            let taken = usize::try_from(inflate.total_in() - before_in).unwrap_or(usize::MAX);
            rest = rest.get(taken..).unwrap_or_default();
            if out.len() > bytes_max {
                return Err(Broken::TooLarge);
            }
            match status {
                // A sender may end a block for good, and then another one follows, which is empty as a rule.
                Status::StreamEnd if rest.is_empty() || rest == TAIL => return Ok(out),
                Status::StreamEnd => inflate.reset(false),
                Status::Ok | Status::BufError if out.len() == out.capacity() => {
                    let more = out.capacity().min(bytes_max + 1 - out.len()).max(1);
                    out.reserve_exact(more);
                }
                Status::Ok | Status::BufError if rest.is_empty() => return Ok(out),
                Status::Ok | Status::BufError if taken == 0 && out.len() == before_out => {
                    return Err(Broken::Compression);
                }
                Status::Ok | Status::BufError => {}
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn agreed(offers: &'static [&'static str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for offer in offers {
            headers.append(SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_static(offer));
        }
        agree(&headers).map(|answer| answer.to_str().unwrap().to_owned())
    }

    #[test]
    fn what_clients_offer_is_answered_as_rfc_7692_says() {
        let plain = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
        for offers in [
            &["permessage-deflate"][..],
            &["permessage-deflate; client_max_window_bits"],
            &["permessage-deflate;client_max_window_bits=\"10\" ; server_no_context_takeover"],
            &["x-other", "permessage-deflate; server_max_window_bits=10, permessage-deflate"],
        ] {
            assert_eq!(agreed(offers).as_deref(), Some(plain), "{offers:?}");
        }
        let whole = agreed(&["permessage-deflate; server_max_window_bits=15"]).unwrap();
        assert!(whole.ends_with("; server_max_window_bits=15"), "{whole}");
        for offers in [
            &[][..],
            &["x-webkit-deflate-frame"],
            &["permessage-deflate; unknown"],
            &["permessage-deflate; client_max_window_bits=16"],
            &["permessage-deflate; client_max_window_bits=08"],
            &["permessage-deflate; server_max_window_bits=12"],
            &["permessage-deflate; server_max_window_bits"],
            &["permessage-deflate; server_no_context_takeover=1"],
            &["permessage-deflate; client_max_window_bits; client_max_window_bits"],
        ] {
            assert_eq!(agreed(offers), None, "{offers:?}");
        }
    }

    #[test]
    fn a_message_that_would_not_be_smaller_is_not_compressed() {
        assert_eq!(deflated(b""), None);
        assert_eq!(deflated(b"ab"), None);
        assert!(deflated("a".repeat(1000).as_bytes()).unwrap().len() < 20);
    }

    #[test]
    fn the_messages_of_the_rfc_are_read() {
        // Sections 7.2.3.1, .3, .4, .5 and .6: fixed codes, a stored block, BFINAL, two blocks, nothing.
        for (bytes, text) in [
            (&[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00][..], "Hello"),
            (&[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00], "Hello"),
            (&[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00], "Hello"),
            (&[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00], "Hello"),
            (&[0x00], ""),
            (&[0x02, 0x00], ""),
        ] {
            assert_eq!(inflated(bytes.to_vec(), 5).as_deref(), Ok(text.as_bytes()), "{bytes:02x?}");
        }
        assert_eq!(inflated(vec![0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00], 4), Err(Broken::TooLarge));
        assert_eq!(inflated(vec![0xff, 0xff], 100), Err(Broken::Compression));
    }

    proptest! {
        #[test]
        fn what_was_compressed_is_read_again_and_never_beyond_the_limit(
            part in proptest::collection::vec(any::<u8>(), 0..64),
            times in 1_usize..200,
        ) {
            let payload = part.repeat(times);
            if let Some(small) = deflated(&payload) {
                prop_assert_eq!(inflated(small.clone(), payload.len()), Ok(payload.clone()));
                prop_assert_eq!(inflated(small, payload.len() - 1), Err(Broken::TooLarge));
            }
        }

        #[test]
        fn no_bytes_of_a_client_are_more_than_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(text) = inflated(bytes, 1000) {
                prop_assert!(text.len() <= 1000);
            }
        }
    }
}
