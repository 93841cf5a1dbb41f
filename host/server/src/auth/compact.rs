//! A JSON Web Token in its compact form (RFC 7515 §7.1), parsed strictly but not verified yet.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use tidegate_core::protocol::Unambiguous;

/// Longest token in bytes. Tokens travel in headers, and few servers accept longer headers.
pub(super) const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// Longest `kid`, in bytes: it is only compared.
const KID_BYTES_MAX: usize = 512;

/// The parts of a token.
pub(super) struct Compact<'a> {
    /// The signed part: header and claims, in their original form.
    pub(super) message: &'a [u8],
    /// The signature, still encoded.
    pub(super) signature: &'a str,
    /// `alg`, with any value.
    pub(super) algorithm: String,
    /// `kid`.
    pub(super) key_id: Option<String>,
    /// The claims.
    pub(super) claims: Value,
}

/// Why a text is not accepted.
pub(super) enum NotTaken {
    /// It is not a JSON Web Token.
    Other,
    /// It is one, but not a valid one; the message is for the log.
    Malformed(&'static str),
}

impl<'a> Compact<'a> {
    /// Parses a token. A text is a token if the first of its three parts is a JSON object that names an algorithm,
    /// whichever: `none` is a JWT, too, and refused.
    pub(super) fn read(text: &'a str) -> Result<Self, NotTaken> {
        let (message, signature) = text.rsplit_once('.').ok_or(NotTaken::Other)?;
        let (header, claims) =
            message.split_once('.').filter(|(_, rest)| !rest.contains('.')).ok_or(NotTaken::Other)?;
        let header = URL_SAFE_NO_PAD.decode(header).map_err(|_| NotTaken::Other)?;
        let loose: Map<String, Value> = serde_json::from_slice(&header).map_err(|_| NotTaken::Other)?;
        if !loose.contains_key("alg") {
            return Err(NotTaken::Other);
        }
        let malformed = |why| move |_: serde_json::Error| NotTaken::Malformed(why);
        // If two parsers read different values from one token, a forged token may slip past one of them.
        let header = strict(&header).map_err(malformed("its header is not valid JSON, or has a key twice"))?;
        let Some(algorithm) = header["alg"].as_str().map(str::to_owned) else {
            return Err(NotTaken::Malformed("its algorithm is not a text"));
        };
        // RFC 7515 §4.1.11: an extension that must be understood, but is not.
        if header.get("crit").is_some() {
            return Err(NotTaken::Malformed("it has critical extensions"));
        }
        let key_id = match header.get("kid") {
            None => None,
            Some(Value::String(id)) if id.len() <= KID_BYTES_MAX => Some(id.clone()),
            Some(_) => return Err(NotTaken::Malformed("its `kid` is not a text, or too long")),
        };
        let claims =
            URL_SAFE_NO_PAD.decode(claims).map_err(|_| NotTaken::Malformed("its claims are not valid base64url"))?;
        let claims = strict(&claims).map_err(malformed("its claims are not valid JSON, or have a key twice"))?;
        if !claims.is_object() {
            return Err(NotTaken::Malformed("its claims are not a JSON object"));
        }
        Ok(Self { message: message.as_bytes(), signature, algorithm, key_id, claims })
    }
}

/// Reads JSON in which no object has the same key twice (RFC 7519 §4).
pub(super) fn strict(text: &[u8]) -> Result<Value, serde_json::Error> {
    serde_json::from_slice(text).map(|Unambiguous(value)| value)
}
