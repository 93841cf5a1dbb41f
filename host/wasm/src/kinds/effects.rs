//! The effects that plugins ask for: their types in each version of the contract, their size, and their grants.

use wasmtime::component::{ComponentType, Lift};

use super::checks::{invalid, json};
use crate::contract::types;
use crate::manifest::PluginManifest;
use crate::run::Failure;
use tidegate_core::flow::ports::{FaultKind, PluginEffect};
use tidegate_core::protocol::Key;

/// An effect of 0.1 and 0.2: it takes no retained value away.
#[derive(Debug, Clone, ComponentType, Lift)]
#[component(variant)]
pub(super) enum FirstEffect {
    /// Publish a payload on a topic.
    #[component(name = "emit")]
    Emit(types::Emit),
    /// Put an event on the bus.
    #[component(name = "publish")]
    Publish(types::Publish),
}

impl From<FirstEffect> for types::Effect {
    fn from(effect: FirstEffect) -> Self {
        match effect {
            FirstEffect::Emit(emit) => Self::Emit(emit),
            FirstEffect::Publish(publish) => Self::Publish(publish),
        }
    }
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
            may_emit(&topic, manifest)?;
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
        types::Effect::Remove(types::Remove { topic, key }) => {
            may_emit(&topic, manifest)?;
            let key = key.map(|text| json(text, "the key of a remove")).transpose()?;
            Ok(PluginEffect::Remove { topic, key: key.map(|json| Key::new(json.as_str())) })
        }
    }
}

fn may_emit(topic: &str, manifest: &PluginManifest) -> Result<(), Failure> {
    if manifest.grants.may_emit(topic) {
        return Ok(());
    }
    Err(not_granted(format!("`grants.emit` has no channel for topic `{topic}`")))
}

/// The size of effects, in bytes.
pub(super) fn bytes(effects: &[types::Effect]) -> usize {
    let of = |effect: &types::Effect| match effect {
        types::Effect::Emit(emit) => emit.topic.len() + emit.payload.len(),
        types::Effect::Publish(publish) => {
            publish.kind.len() + publish.subject.as_ref().map_or(0, String::len) + publish.data.len()
        }
        types::Effect::Remove(remove) => remove.topic.len() + remove.key.as_ref().map_or(0, String::len),
    };
    effects.iter().map(of).sum()
}

fn not_granted(detail: String) -> Failure {
    Failure::new(FaultKind::NotGranted, detail)
}
