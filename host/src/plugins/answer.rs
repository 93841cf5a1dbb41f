//! What a plugin answered, checked before anyone acts on it: its size, its JSON, its grants.

use super::contract::types;
use super::fault::Failure;
use super::grants::Grants;
use super::limits::PluginLimits;
use crate::flow::ports::{FaultKind, Outcome, PluginEffect};
use crate::protocol::Payload;

/// Takes a handler's outcome. One effect that is not granted spoils the whole.
///
/// # Errors
/// [`Failure`] of kind `InvalidOutput` or `NotGranted`.
pub(super) fn take(answer: types::Outcome, grants: &Grants, limits: &PluginLimits) -> Result<Outcome, Failure> {
    let count = answer.effects.len();
    let PluginLimits { effects_max, output_bytes_max, .. } = *limits;
    if count > effects_max {
        return Err(invalid(format!("{count} effects, `limits.effects` is {effects_max}")));
    }
    let bytes = bytes(&answer);
    if bytes > output_bytes_max {
        return Err(invalid(format!("an answer of {bytes} bytes, `limits.output` is {output_bytes_max}")));
    }
    let reply = answer.reply.map(|text| parse(text, "the reply")).transpose()?;
    let effects = answer.effects.into_iter().map(|effect| take_effect(effect, grants)).collect::<Result<_, _>>()?;
    Ok(Outcome { reply, effects })
}

fn take_effect(effect: types::Effect, grants: &Grants) -> Result<PluginEffect, Failure> {
    match effect {
        types::Effect::Emit(types::Emit { topic, payload, to }) => {
            if !grants.may_emit(&topic) {
                return Err(not_granted(format!("`grants.emit` has no channel for topic `{topic}`")));
            }
            let payload = parse(payload, "the payload of an emit")?;
            Ok(PluginEffect::Emit { topic, payload, others_only: to == types::Audience::Others })
        }
        types::Effect::Publish(types::Publish { kind, subject, data }) => {
            if !grants.may_publish(&kind) {
                return Err(not_granted(format!("`grants.publish` has no event type `{kind}`")));
            }
            let data = parse(data, "the data of a publish")?;
            Ok(PluginEffect::Publish { kind, subject, data })
        }
    }
}

fn bytes(answer: &types::Outcome) -> usize {
    let of = |effect: &types::Effect| match effect {
        types::Effect::Emit(emit) => emit.topic.len() + emit.payload.len(),
        types::Effect::Publish(publish) => {
            publish.kind.len() + publish.subject.as_ref().map_or(0, String::len) + publish.data.len()
        }
    };
    answer.reply.as_ref().map_or(0, String::len) + answer.effects.iter().map(of).sum::<usize>()
}

fn parse(text: String, what: &str) -> Result<Payload, Failure> {
    Payload::parse(text).map_err(|error| invalid(format!("{what} is {error}")))
}

fn invalid(detail: String) -> Failure {
    Failure { kind: FaultKind::InvalidOutput, detail }
}

fn not_granted(detail: String) -> Failure {
    Failure { kind: FaultKind::NotGranted, detail }
}
