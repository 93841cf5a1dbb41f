//! What the host checks in every answer of a plugin before it acts on it: size, JSON, and the grants of the effects.

use crate::contract::types;
use crate::manifest::PluginManifest;
use crate::run::Failure;
use tidegate_core::flow::ports::{FaultKind, PluginEffect};
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

/// The effects, if the plugin may ask for all of them.
///
/// # Errors
/// [`Failure`] of kind `InvalidOutput` or `NotGranted`.
pub(super) fn granted(effects: Vec<types::Effect>, manifest: &PluginManifest) -> Result<Vec<PluginEffect>, Failure> {
    let (count, count_max) = (effects.len(), manifest.limits.effects_max);
    if count > count_max {
        return Err(invalid(format!("the answer has {count} effects, `limits.effects` is {count_max}")));
    }
    effects.into_iter().map(|effect| granted_effect(effect, manifest)).collect()
}

fn granted_effect(effect: types::Effect, manifest: &PluginManifest) -> Result<PluginEffect, Failure> {
    match effect {
        types::Effect::Emit(types::Emit { topic, payload, to }) => {
            if !manifest.grants.may_emit(&topic) {
                return Err(not_granted(format!("`grants.emit` has no channel for topic `{topic}`")));
            }
            let payload = json(payload, "the payload of an emit")?;
            Ok(PluginEffect::Emit { topic, payload, others_only: to == types::Audience::Others })
        }
        types::Effect::Publish(types::Publish { kind, subject, data }) => {
            if !manifest.grants.may_publish(&kind) {
                return Err(not_granted(format!("`grants.publish` has no event type `{kind}`")));
            }
            let data = json(data, "the data of a publish")?;
            Ok(PluginEffect::Publish { kind, subject, data })
        }
    }
}

/// The size of effects, in bytes.
pub(super) fn effects_bytes(effects: &[types::Effect]) -> usize {
    let of = |effect: &types::Effect| match effect {
        types::Effect::Emit(emit) => emit.topic.len() + emit.payload.len(),
        types::Effect::Publish(publish) => {
            publish.kind.len() + publish.subject.as_ref().map_or(0, String::len) + publish.data.len()
        }
    };
    effects.iter().map(of).sum()
}

/// The plugin answered something that is not an answer.
pub(super) fn invalid(detail: String) -> Failure {
    Failure::new(FaultKind::InvalidOutput, detail)
}

fn not_granted(detail: String) -> Failure {
    Failure::new(FaultKind::NotGranted, detail)
}
