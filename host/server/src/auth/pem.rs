//! A public key in PEM (RFC 7468): `PUBLIC KEY`, or `RSA PUBLIC KEY`. The only home of `spki`.

use spki::der::asn1::UintRef;
use spki::der::{Decode as _, Reader as _, SliceReader, pem};
use spki::{ObjectIdentifier, SubjectPublicKeyInfoRef};

use super::keys::{Key, KeyKind};

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// Reads a public key.
///
/// # Errors
/// What is wrong with it.
pub(super) fn read(text: &str) -> Result<Key, String> {
    let (label, der) = pem::decode_vec(text.trim().as_bytes()).map_err(|error| format!("it is not PEM: {error}"))?;
    match label {
        "PUBLIC KEY" => any(&der),
        "RSA PUBLIC KEY" => rsa(&der),
        "CERTIFICATE" => {
            Err("it is a certificate: extract its public key with `openssl x509 -pubkey -noout`".to_owned())
        }
        other => Err(format!("it is `{other}`, not `PUBLIC KEY`")),
    }
}

fn any(der: &[u8]) -> Result<Key, String> {
    let malformed = |error: spki::der::Error| format!("it is not a public key: {error}");
    let key = SubjectPublicKeyInfoRef::from_der(der).map_err(malformed)?;
    let bytes = key.subject_public_key.as_bytes().ok_or("it is not a public key")?;
    match key.algorithm.oid {
        RSA => rsa(bytes),
        ED25519 => Key::ed25519(bytes),
        EC => match key.algorithm.parameters_oid() {
            Ok(P256) => Key::point(KeyKind::P256, bytes),
            Ok(P384) => Key::point(KeyKind::P384, bytes),
            _ => Err("its curve is neither P-256 nor P-384".to_owned()),
        },
        other => Err(format!("it is a key of an unknown kind: {other}")),
    }
}

fn rsa(der: &[u8]) -> Result<Key, String> {
    let read = || -> spki::der::Result<(Vec<u8>, Vec<u8>)> {
        let mut reader = SliceReader::new(der)?;
        let parts = reader.sequence(|inner| {
            let (modulus, exponent): (UintRef<'_>, UintRef<'_>) = (inner.decode()?, inner.decode()?);
            Ok((modulus.as_bytes().to_vec(), exponent.as_bytes().to_vec()))
        })?;
        reader.finish(parts)
    };
    let (modulus, exponent) = read().map_err(|error| format!("it is not an RSA key: {error}"))?;
    Key::rsa(&modulus, &exponent)
}
