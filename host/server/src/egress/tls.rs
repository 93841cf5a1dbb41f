//! TLS as a client: rustls with ring, and the certificate authorities of the operating system.

use std::sync::{Arc, LazyLock};

use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};

/// The authorities that this system trusts. Read once: there are hundreds of certificates, and every client trusts the
/// same.
static AUTHORITIES: LazyLock<Arc<RootCertStore>> = LazyLock::new(|| Arc::new(read_authorities()));

/// A configuration that trusts the same authorities as the operating system (`SSL_CERT_FILE` and `SSL_CERT_DIR` change
/// that). Without any certificate authority it trusts nobody: then `https` is unreachable, and the log says why.
///
/// # Errors
/// rustls's error, if it was built without what TLS needs.
pub(super) fn config() -> Result<ClientConfig, rustls::Error> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(AUTHORITIES.clone()).with_no_client_auth())
}

fn read_authorities() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    let (taken, _) = roots.add_parsable_certificates(native.certs);
    if taken == 0 {
        let error = native.errors.first().map_or_else(|| "there is none".to_owned(), ToString::to_string);
        tracing::warn!(
            error,
            "cannot read the certificate authorities of this system: plugins and providers cannot reach any https origin"
        );
    }
    roots
}
