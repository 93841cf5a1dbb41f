//! Keys for checking tokens, and which tokens each of them may check. A key is used only for its own kind of algorithm,
//! whatever a token says.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{self, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm};
use ring::{agreement, hmac};

use super::compact::Compact;
use tidegate_core::config::JwtAlgorithm;

/// Most keys that are tried for one token, so that a token cannot cause much work.
const TRIED_MAX: usize = 4;
/// Sizes of RSA keys in bits: at least what RFC 7518 §3.3 demands, at most what can be checked.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;

/// A key, and the tokens that it may check.
#[derive(Clone)]
pub(super) struct Key {
    id: Option<String>,
    kind: KeyKind,
    /// The only algorithm that the key itself allows.
    only: Option<JwtAlgorithm>,
    material: Material,
}

/// The data for checking signatures.
#[derive(Clone, PartialEq, Eq)]
enum Material {
    /// A shared secret.
    Secret(Vec<u8>),
    /// Modulus and exponent, big-endian.
    Rsa(Vec<u8>, Vec<u8>),
    /// A point on a curve, in the form of its algorithm.
    Point(Vec<u8>),
}

/// The mathematical kind of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyKind {
    /// A shared secret.
    Secret,
    /// An RSA public key.
    Rsa,
    /// A point on P-256.
    P256,
    /// A point on P-384.
    P384,
    /// An Ed25519 public key.
    Ed25519,
}

/// Keys from one source, in order.
#[derive(Clone, Default)]
pub(super) struct Keys(Vec<Key>);

impl KeyKind {
    /// Whether keys of this kind can check signatures of an algorithm.
    const fn checks(self, algorithm: JwtAlgorithm) -> bool {
        use JwtAlgorithm as A;
        match self {
            Self::Secret => matches!(algorithm, A::HS256 | A::HS384 | A::HS512),
            Self::Rsa => matches!(algorithm, A::RS256 | A::RS384 | A::RS512 | A::PS256 | A::PS384 | A::PS512),
            Self::P256 => matches!(algorithm, A::ES256),
            Self::P384 => matches!(algorithm, A::ES384),
            Self::Ed25519 => matches!(algorithm, A::Ed25519),
        }
    }

    /// The name for people.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Secret => "a shared secret",
            Self::Rsa => "an RSA key",
            Self::P256 => "a key on P-256",
            Self::P384 => "a key on P-384",
            Self::Ed25519 => "an Ed25519 key",
        }
    }
}

impl Key {
    /// A shared secret.
    pub(super) fn secret(secret: &[u8]) -> Self {
        Self::of(KeyKind::Secret, Material::Secret(secret.to_vec()))
    }

    /// An RSA public key: modulus and exponent, big-endian.
    pub(super) fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<Self, String> {
        let modulus = without_zeros(modulus);
        let bits = modulus.first().map_or(0, |first| modulus.len() * 8 - first.leading_zeros() as usize);
        if !RSA_BITS.contains(&bits) {
            return Err(format!("the RSA key has {bits} bits, not {} to {}", RSA_BITS.start(), RSA_BITS.end()));
        }
        let exponent = without_zeros(exponent);
        let small = exponent.len() <= 4 && exponent.last().is_some_and(|last| last % 2 == 1) && exponent != [1];
        if !small {
            return Err("the RSA key has an unusual exponent".to_owned());
        }
        Ok(Self::of(KeyKind::Rsa, Material::Rsa(modulus.to_vec(), exponent.to_vec())))
    }

    /// A point on a curve, uncompressed (SEC 1 §2.3.3).
    pub(super) fn point(kind: KeyKind, point: &[u8]) -> Result<Self, String> {
        let curve = if kind == KeyKind::P384 { &agreement::ECDH_P384 } else { &agreement::ECDH_P256 };
        if is_on(curve, point) {
            Ok(Self::of(kind, Material::Point(point.to_vec())))
        } else {
            Err(format!("it is not {}", kind.name()))
        }
    }

    /// An Ed25519 public key.
    pub(super) fn ed25519(key: &[u8]) -> Result<Self, String> {
        if key.len() == signature::ED25519_PUBLIC_KEY_LEN {
            Ok(Self::of(KeyKind::Ed25519, Material::Point(key.to_vec())))
        } else {
            Err(format!("it is not {}", KeyKind::Ed25519.name()))
        }
    }

    const fn of(kind: KeyKind, material: Material) -> Self {
        Self { id: None, kind, only: None, material }
    }

    /// Sets the names from a key set: its `kid`, and its `alg`.
    pub(super) fn named(self, id: Option<String>, only: Option<JwtAlgorithm>) -> Self {
        Self { id, only, ..self }
    }

    /// What it is.
    pub(super) const fn kind(&self) -> KeyKind {
        self.kind
    }

    /// Whether it may check signatures of an algorithm.
    pub(super) fn checks(&self, algorithm: JwtAlgorithm) -> bool {
        self.kind.checks(algorithm) && self.only.is_none_or(|only| only == algorithm)
    }

    /// Whether this key signed a message.
    fn signed(&self, message: &[u8], signature: &[u8], algorithm: JwtAlgorithm) -> bool {
        match &self.material {
            Material::Secret(secret) => hash(algorithm)
                .is_some_and(|hash| hmac::verify(&hmac::Key::new(hash, secret), message, signature).is_ok()),
            Material::Rsa(n, e) => rsa_parameters(algorithm).is_some_and(|parameters| {
                RsaPublicKeyComponents { n, e }.verify(parameters, message, signature).is_ok()
            }),
            Material::Point(point) => curve(algorithm)
                .is_some_and(|curve| UnparsedPublicKey::new(curve, point).verify(message, signature).is_ok()),
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        (self.kind, &self.material, &self.id, self.only) == (other.kind, &other.material, &other.id, other.only)
    }
}

impl Keys {
    /// A single key.
    pub(super) fn one(key: Key) -> Self {
        Self(vec![key])
    }

    /// Adds a key, unless it is there already.
    pub(super) fn add(&mut self, key: Key) {
        if !self.0.iter().any(|other| other.is_same(&key)) {
            self.0.push(key);
        }
    }

    /// Whether they are the same, in the same order.
    pub(super) fn are_same(&self, other: &Self) -> bool {
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(|(key, other)| key.is_same(other))
    }

    /// How many there are.
    pub(super) const fn count(&self) -> usize {
        self.0.len()
    }

    /// Whether one of them may check tokens of one of these algorithms.
    pub(super) fn check_some(&self, algorithms: &[JwtAlgorithm]) -> bool {
        self.0.iter().any(|key| algorithms.iter().any(|algorithm| key.checks(*algorithm)))
    }

    /// Whether one of them has this id.
    pub(super) fn know(&self, id: &str) -> bool {
        self.0.iter().any(|key| key.id.as_deref() == Some(id))
    }

    /// The keys that may have signed a token: those with its `kid`, or all if it names none. For a single key the name
    /// does not matter.
    fn for_token(&self, algorithm: JwtAlgorithm, id: Option<&str>, by_name: bool) -> impl Iterator<Item = &Key> {
        let fits = move |key: &&Key| match id {
            Some(id) if by_name => key.id.as_deref() == Some(id),
            _ => true,
        };
        self.0.iter().filter(move |key| key.checks(algorithm)).filter(fits).take(TRIED_MAX)
    }

    /// Whether one of the keys signed this token. With `by_name`, a token that names a key is checked with that key
    /// only.
    pub(super) fn signed(&self, token: &Compact<'_>, algorithm: JwtAlgorithm, by_name: bool) -> bool {
        let Ok(signature) = URL_SAFE_NO_PAD.decode(token.signature) else { return false };
        let mut keys = self.for_token(algorithm, token.key_id.as_deref(), by_name);
        keys.any(|key| key.signed(token.message, &signature, algorithm))
    }
}

fn without_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    &bytes[zeros..]
}

/// Whether an uncompressed point lies on a curve: a key agreement checks that first. The agreement's result is not
/// used.
fn is_on(curve: &'static agreement::Algorithm, point: &[u8]) -> bool {
    let ours = agreement::EphemeralPrivateKey::generate(curve, &SystemRandom::new());
    let theirs = agreement::UnparsedPublicKey::new(curve, point);
    ours.is_ok_and(|ours| agreement::agree_ephemeral(ours, &theirs, |_| ()).is_ok())
}

/// Signs a message with a shared secret, for `tidegate token`; `None` for algorithms of other keys.
pub(super) fn sign(algorithm: JwtAlgorithm, secret: &[u8], message: &[u8]) -> Option<hmac::Tag> {
    Some(hmac::sign(&hmac::Key::new(hash(algorithm)?, secret), message))
}

const fn hash(algorithm: JwtAlgorithm) -> Option<hmac::Algorithm> {
    match algorithm {
        JwtAlgorithm::HS256 => Some(hmac::HMAC_SHA256),
        JwtAlgorithm::HS384 => Some(hmac::HMAC_SHA384),
        JwtAlgorithm::HS512 => Some(hmac::HMAC_SHA512),
        _ => None,
    }
}

const fn rsa_parameters(algorithm: JwtAlgorithm) -> Option<&'static RsaParameters> {
    match algorithm {
        JwtAlgorithm::RS256 => Some(&signature::RSA_PKCS1_2048_8192_SHA256),
        JwtAlgorithm::RS384 => Some(&signature::RSA_PKCS1_2048_8192_SHA384),
        JwtAlgorithm::RS512 => Some(&signature::RSA_PKCS1_2048_8192_SHA512),
        JwtAlgorithm::PS256 => Some(&signature::RSA_PSS_2048_8192_SHA256),
        JwtAlgorithm::PS384 => Some(&signature::RSA_PSS_2048_8192_SHA384),
        JwtAlgorithm::PS512 => Some(&signature::RSA_PSS_2048_8192_SHA512),
        _ => None,
    }
}

const fn curve(algorithm: JwtAlgorithm) -> Option<&'static dyn VerificationAlgorithm> {
    match algorithm {
        JwtAlgorithm::ES256 => Some(&signature::ECDSA_P256_SHA256_FIXED),
        JwtAlgorithm::ES384 => Some(&signature::ECDSA_P384_SHA384_FIXED),
        JwtAlgorithm::Ed25519 => Some(&signature::ED25519),
        _ => None,
    }
}
