//! Secrets of the server's environment, by grant.
//!
//! ```yaml
//! grants: { secrets: [API_TOKEN] }
//! ```
//!
//! In unit tests off wasm [`testing::set_secret`](crate::testing::set_secret) sets one.

/// Why there is no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// The name is not in `grants.secrets`.
    Denied,
    /// The server has no such secret. A plugin that serves was granted none of these.
    Missing,
}

/// The secret of this name. It may change when the plugin is loaded anew, and never while an instance lives.
///
/// # Errors
/// [`Error`].
pub fn get(name: &str) -> Result<String, Error> {
    #[cfg(target_arch = "wasm32")]
    {
        use crate::bindings::granted_world::tidegate::host::secrets;
        secrets::get(name).map_err(|error| match error {
            secrets::Error::Denied => Error::Denied,
            secrets::Error::Missing => Error::Missing,
        })
    }
    #[cfg(not(target_arch = "wasm32"))]
    crate::testing::secret(name).ok_or(Error::Denied)
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Denied => "the secret is not in `grants.secrets`",
            Self::Missing => "the server has no such secret",
        })
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_what_the_test_set_and_no_other() {
        crate::testing::set_secret("API_TOKEN", "s3cret");
        assert_eq!(get("API_TOKEN").unwrap(), "s3cret");
        assert_eq!(get("OTHER"), Err(Error::Denied));
    }
}
