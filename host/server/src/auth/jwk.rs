//! A JSON Web Key Set (RFC 7517) as issuers publish it, and its keys for checking tokens.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::compact::strict;
use super::keys::{Key, KeyKind, Keys};
use tidegate_core::config::JwtAlgorithm;

/// Most keys of a set. Issuers have a few; each may be tried for every token.
const KEYS_MAX: usize = 100;
/// Longest `kid`, in bytes.
const KID_BYTES_MAX: usize = 512;
/// Most keys that are named if none of a set is usable.
const TOLD_MAX: usize = 5;
/// Longest word of a key set in a message, in characters.
const WORD_CHARS_MAX: usize = 40;

/// Reads a set. Keys for which there is no supported signature – of other kinds, for encryption, too short – are
/// ignored, as RFC 7517 §5 demands; so are shared secrets, which nobody publishes on purpose.
///
/// # Errors
/// What is wrong with it; also if it has no key for tokens of these algorithms.
pub(super) fn read(text: &[u8], algorithms: &[JwtAlgorithm]) -> Result<Keys, String> {
    let set = strict(text).map_err(|error| format!("it is not valid JSON, or has a key twice: {error}"))?;
    let listed = set.get("keys").and_then(Value::as_array).ok_or("it is not a key set: it has no list `keys`")?;
    if listed.len() > KEYS_MAX {
        return Err(format!("it holds {} keys, more than {KEYS_MAX}", listed.len()));
    }
    let mut keys = Keys::default();
    let mut found = Vec::new();
    for (index, jwk) in listed.iter().enumerate() {
        match key(jwk) {
            Ok(key) => {
                found.push(format!("key {} is {}", index + 1, key.kind().name()));
                keys.add(key);
            }
            Err(why) => {
                tracing::debug!(index, why, "ignored a key of a key set");
                found.push(format!("key {} is ignored: {why}", index + 1));
            }
        }
    }
    if keys.check_some(algorithms) {
        return Ok(keys);
    }
    let algorithms = algorithms.iter().map(|algorithm| format!("`{}`", algorithm.as_str())).collect::<Vec<_>>();
    let more = if found.len() > TOLD_MAX { ", …" } else { "" };
    found.truncate(TOLD_MAX);
    let found = if found.is_empty() { "it has no keys".to_owned() } else { found.join(", ") };
    Err(format!("no key in it checks tokens of {}: {found}{more}", algorithms.join(", ")))
}

fn key(jwk: &Value) -> Result<Key, String> {
    if text(jwk, "use").is_some_and(|usage| usage != "sig") {
        return Err("it is not meant for signatures".to_owned());
    }
    let operations = jwk.get("key_ops").and_then(Value::as_array);
    if operations.is_some_and(|operations| !operations.iter().any(|operation| operation == "verify")) {
        return Err("it is not meant for checking signatures".to_owned());
    }
    let only = match text(jwk, "alg") {
        None => None,
        Some(name) => Some(JwtAlgorithm::named(name).ok_or_else(|| {
            let why = JwtAlgorithm::not_served(name).unwrap_or("signatures of this algorithm are not supported");
            format!("its `alg` is `{}`, {why}", word(name))
        })?),
    };
    let id = match jwk.get("kid") {
        None | Some(Value::Null) => None,
        Some(Value::String(id)) if id.len() <= KID_BYTES_MAX => Some(id.clone()),
        Some(_) => return Err("its `kid` is not a text, or too long".to_owned()),
    };
    let made = match (text(jwk, "kty"), text(jwk, "crv")) {
        (Some("RSA"), _) => Key::rsa(&bytes(jwk, "n")?, &bytes(jwk, "e")?),
        (Some("EC"), Some("P-256")) => Key::point(KeyKind::P256, &point(jwk, 32)?),
        (Some("EC"), Some("P-384")) => Key::point(KeyKind::P384, &point(jwk, 48)?),
        (Some("OKP"), Some("Ed25519")) => Key::ed25519(&bytes(jwk, "x")?),
        (kind, curve) => {
            let curve = curve.map(|curve| format!(", its `crv` `{}`", word(curve))).unwrap_or_default();
            Err(format!("its `kty` is `{}`{curve}, which is not supported", word(kind.unwrap_or_default())))
        }
    }?;
    if only.is_some_and(|only| !made.checks(only)) {
        return Err("its `alg` does not fit its `kty`".to_owned());
    }
    Ok(made.named(id, only))
}

/// A word from the issuer, for a message.
fn word(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_graphic()).take(WORD_CHARS_MAX).collect()
}

fn text<'a>(jwk: &'a Value, name: &str) -> Option<&'a str> {
    jwk.get(name).and_then(Value::as_str)
}

fn bytes(jwk: &Value, name: &str) -> Result<Vec<u8>, String> {
    let encoded = text(jwk, name).ok_or_else(|| format!("it has no `{name}`"))?;
    URL_SAFE_NO_PAD.decode(encoded).map_err(|_| format!("its `{name}` is not valid base64url"))
}

/// SEC 1 §2.3.3, uncompressed.
fn point(jwk: &Value, coordinate_bytes: usize) -> Result<Vec<u8>, String> {
    let (x, y) = (bytes(jwk, "x")?, bytes(jwk, "y")?);
    if x.len() != coordinate_bytes || y.len() != coordinate_bytes {
        return Err("its point does not have the size of its curve".to_owned());
    }
    Ok([&[4], x.as_slice(), y.as_slice()].concat())
}
