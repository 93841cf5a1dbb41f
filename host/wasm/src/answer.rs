//! Checks a plugin's answer before anyone acts on it: its size, its JSON, its grants.

use super::contract::types;
use super::fault::Failure;
use super::grants::Grants;
use super::limits::PluginLimits;
use tidegate_core::flow::ports::{Exceeded, FaultKind, Outcome, PluginEffect};
use tidegate_core::protocol::{Payload, User};

/// Largest user, in bytes: the id, the roles and the tenant together. Every connection keeps its user.
const USER_BYTES_MAX: usize = 8 << 10;

/// Takes a handler's outcome. One effect without a grant makes the whole outcome invalid.
///
/// # Errors
/// [`Failure`] of kind `InvalidOutput` or `NotGranted`.
pub(super) fn take(answer: types::Outcome, grants: &Grants, limits: &PluginLimits) -> Result<Outcome, Failure> {
    let reply_bytes = answer.reply.as_ref().map_or(0, String::len);
    check_size(reply_bytes + bytes(&answer.effects), limits.output_bytes_max)?;
    let reply = answer.reply.map(|text| parse(text, "the reply")).transpose()?;
    Ok(Outcome { reply, effects: take_granted(answer.effects, grants, limits.effects_max)? })
}

/// Takes the effects of a plugin whose answer is only effects. One effect without a grant makes the whole answer
/// invalid.
///
/// # Errors
/// [`Failure`] of kind `InvalidOutput` or `NotGranted`.
pub(super) fn take_effects(
    effects: Vec<types::Effect>,
    grants: &Grants,
    limits: &PluginLimits,
) -> Result<Vec<PluginEffect>, Failure> {
    check_size(bytes(&effects), limits.output_bytes_max)?;
    take_granted(effects, grants, limits.effects_max)
}

/// Takes the payloads of a snapshot.
///
/// # Errors
/// [`Failure`] of kind `InvalidOutput` or `TooLarge`.
pub(super) fn take_snapshot(payloads: Vec<String>, bytes_max: usize) -> Result<Vec<Payload>, Failure> {
    let bytes = payloads.iter().map(String::len).sum();
    if bytes > bytes_max {
        let detail = format!("the snapshot has {bytes} bytes, `limits.snapshot` is {bytes_max}");
        let exceeded = Exceeded { unit: "bytes", found: Some(bytes), max: bytes_max };
        return Err(Failure::new(FaultKind::TooLarge(exceeded), detail));
    }
    let numbered = payloads.into_iter().enumerate();
    numbered.map(|(at, text)| parse(text, &format!("payload {at} of the snapshot"))).collect()
}

/// Takes the payload of a transform.
///
/// # Errors
/// [`Failure`] of kind `InvalidOutput`.
pub(super) fn take_payload(text: String, output_bytes_max: usize) -> Result<Payload, Failure> {
    check_size(text.len(), output_bytes_max)?;
    parse(text, "the payload")
}

/// Takes the user that an authorizer found in a credential.
///
/// # Errors
/// [`Failure`] of kind `InvalidOutput`.
pub(super) fn take_user(user: types::User) -> Result<User, Failure> {
    let types::User { id, roles, tenant } = user;
    if id.is_empty() {
        return Err(invalid("the user has no id".to_owned()));
    }
    let bytes = id.len() + roles.iter().map(String::len).sum::<usize>() + tenant.as_ref().map_or(0, String::len);
    if bytes > USER_BYTES_MAX {
        return Err(invalid(format!("the user has {bytes} bytes, at most {USER_BYTES_MAX} are possible")));
    }
    Ok(User::new(id, roles, tenant))
}

fn check_size(bytes: usize, output_bytes_max: usize) -> Result<(), Failure> {
    if bytes > output_bytes_max {
        return Err(invalid(format!("the answer has {bytes} bytes, `limits.output` is {output_bytes_max}")));
    }
    Ok(())
}

fn take_granted(
    effects: Vec<types::Effect>,
    grants: &Grants,
    effects_max: usize,
) -> Result<Vec<PluginEffect>, Failure> {
    let count = effects.len();
    if count > effects_max {
        return Err(invalid(format!("the answer has {count} effects, `limits.effects` is {effects_max}")));
    }
    effects.into_iter().map(|effect| take_effect(effect, grants)).collect()
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

fn bytes(effects: &[types::Effect]) -> usize {
    let of = |effect: &types::Effect| match effect {
        types::Effect::Emit(emit) => emit.topic.len() + emit.payload.len(),
        types::Effect::Publish(publish) => {
            publish.kind.len() + publish.subject.as_ref().map_or(0, String::len) + publish.data.len()
        }
    };
    effects.iter().map(of).sum()
}

fn parse(text: String, what: &str) -> Result<Payload, Failure> {
    Payload::parse(text).map_err(|error| invalid(format!("{what} is {error}")))
}

fn invalid(detail: String) -> Failure {
    Failure::new(FaultKind::InvalidOutput, detail)
}

fn not_granted(detail: String) -> Failure {
    Failure::new(FaultKind::NotGranted, detail)
}
