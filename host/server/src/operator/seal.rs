//! The value of a session's cookie: `ENDS_AT.ID.MAC`, the last an HMAC-SHA256 by the API key that the session began with.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

/// Signed before the value, so that no other text that the key ever signs is a session.
const PURPOSE: &[u8] = b"tidegate operator session 1\n";

/// What the cookie of a session says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sealed {
    pub(super) id: String,
    pub(super) ends_at_unix_s: u64,
}

impl Sealed {
    pub(super) fn write(&self, key: &str) -> String {
        let said = format!("{}.{}", self.ends_at_unix_s, self.id);
        let mac = mac(key, &said).map(|mac| URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()));
        format!("{said}.{}", mac.unwrap_or_default())
    }

    /// `None` if this key did not sign it.
    pub(super) fn read(value: &str, key: &str) -> Option<Self> {
        let (said, signature) = value.rsplit_once('.')?;
        mac(key, said)?.verify_slice(&URL_SAFE_NO_PAD.decode(signature).ok()?).ok()?;
        let (ends_at, id) = said.split_once('.')?;
        Some(Self { id: id.to_owned(), ends_at_unix_s: ends_at.parse().ok()? })
    }
}

fn mac(key: &str, said: &str) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).ok()?;
    mac.update(PURPOSE);
    mac.update(said.as_bytes());
    Some(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_key_signed_is_read_by_this_key_alone() {
        let sealed = Sealed { id: "an-id".to_owned(), ends_at_unix_s: 7 };
        let value = sealed.write("key");
        assert_eq!(Sealed::read(&value, "key"), Some(sealed));
        assert_eq!(Sealed::read(&value, "other"), None);
        for wrong in
            ["", ".", "7.an-id", "7.an-id.", "8.an-id.", &value.replace("an-id", "another"), &format!("{value}A")]
        {
            assert_eq!(Sealed::read(wrong, "key"), None, "{wrong}");
        }
    }
}
