//! The identity of plugin versions: the digest of the component, and the fingerprint of component and `plugin.yaml`.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use tidegate_core::flow::ports::PluginVersion;

/// The SHA-256 of a component, in lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Digest(String);

/// The component and the `plugin.yaml` of a plugin. Plugins with equal fingerprints work alike, so a reload keeps the
/// loaded one and its warm instances.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Fingerprint {
    digest: Digest,
    manifest: String,
}

impl Digest {
    /// The digest of a component.
    #[must_use]
    pub fn of(component: &[u8]) -> Self {
        Self(Self::hexadecimal(&Sha256::digest(component)))
    }

    /// Bytes as lower-case hexadecimal digits.
    pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
        let mut digits = String::with_capacity(2 * bytes.len());
        for byte in bytes {
            // Writing to a string cannot fail.
            let _ = write!(digits, "{byte:02x}");
        }
        digits
    }

    /// All 64 digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first 12 digits, for people.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

impl Fingerprint {
    /// The fingerprint of a plugin with this manifest and component.
    #[must_use]
    pub fn of(manifest: &str, component: &[u8]) -> Self {
        Self::new(Digest::of(component), manifest)
    }

    pub(crate) fn new(digest: Digest, manifest: &str) -> Self {
        Self { digest, manifest: manifest.to_owned() }
    }

    /// The digest of the component.
    #[must_use]
    pub const fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The version: the fingerprint in 32 bytes.
    #[must_use]
    pub fn version(&self) -> PluginVersion {
        PluginVersion(Sha256::new().chain_update(&self.digest.0).chain_update(&self.manifest).finalize().into())
    }
}
