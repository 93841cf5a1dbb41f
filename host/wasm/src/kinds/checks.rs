//! What the host checks in every answer of a plugin before it acts on it: size and JSON. `effects.rs` checks effects.

use crate::manifest::PluginManifest;
use crate::run::Failure;
use tidegate_core::flow::ports::FaultKind;
use tidegate_core::protocol::Payload;

/// An answer has at most `limits.output` bytes.
///
/// # Errors
/// [`Failure`] of kind `InvalidOutput`.
pub(super) fn size(bytes: usize, manifest: &PluginManifest) -> Result<(), Failure> {
    let bytes_max = manifest.limits.output_bytes_max;
    if bytes > bytes_max {
        return Err(invalid(format!("the answer has {bytes} bytes, `limits.output` is {bytes_max}")));
    }
    Ok(())
}

/// `text`, which a plugin gave as `what`, is JSON.
///
/// # Errors
/// [`Failure`] of kind `InvalidOutput`.
pub(super) fn json(text: String, what: &str) -> Result<Payload, Failure> {
    Payload::parse(text).map_err(|error| invalid(format!("{what} is {error}")))
}

/// The plugin answered something that is not an answer.
pub(super) fn invalid(detail: String) -> Failure {
    Failure::new(FaultKind::InvalidOutput, detail)
}
