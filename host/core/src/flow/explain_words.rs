//! The words in which an explanation tells of checks.

use super::Serving;
use super::budgets::{Budget, Budgets};
use crate::channels::{Channel, Resolved, Scope};
use crate::protocol::Refusal;

/// What is declared: the key of a channel, and where.
pub(super) fn rule(key: &str, channel: &Channel) -> String {
    format!("`{key}` of `{}`, {}:{}", channel.template, channel.place.source.path, channel.place.line)
}

pub(super) fn about_topic(serving: &Serving, topic: &str) -> String {
    if let Some(resolved) = serving.catalog.resolve(topic) {
        return format!("channel `{}`{}", resolved.channel.template, with_params(&resolved));
    }
    if topic.contains('{') {
        return format!("`{topic}` is not a topic: write a value in place of each `{{…}}`");
    }
    match serving.nearest_channel(topic) {
        Some(nearest) => format!("no channel declares `{topic}`; the nearest is `{nearest}`"),
        None => format!("no channel declares `{topic}`"),
    }
}

/// Why a payload is refused.
pub(super) fn violations(refusal: &Refusal) -> String {
    let listed = refusal.details.as_ref().and_then(|details| details.get("violations")?.as_array());
    let Some(listed) = listed else { return refusal.message.to_string() };
    let each = listed.iter().map(|violation| {
        let text = |key: &str| violation.get(key).and_then(|text| text.as_str()).unwrap_or_default();
        let path = if text("path").is_empty() { "payload" } else { text("path") };
        format!("`{path}`: {}", text("message"))
    });
    each.collect::<Vec<_>>().join("; ")
}

pub(super) fn describe(scope: &Scope) -> String {
    match scope {
        Scope::Public => "public: anyone may join".to_owned(),
        Scope::Authenticated => "authenticated: any user may join".to_owned(),
        Scope::AnyRole(roles) => format!("only a user with role `{}` may join", roles.join("` or `")),
        Scope::User { param } => format!("only the user whose id is the topic's `{param}` may join"),
    }
}

pub(super) fn with_roles(roles: &[String]) -> String {
    if roles.is_empty() { ", without roles".to_owned() } else { format!(", roles `{}`", roles.join("`, `")) }
}

pub(super) fn with_params(resolved: &Resolved) -> String {
    resolved.params.iter().map(|(name, value)| format!(", {name} = `{value}`")).collect()
}

/// What a budget of the channel's team says, and whether there is more; `None` if there is no such budget. Without `budgets`
/// nobody serves, and only what is declared is known.
pub(super) fn about_budget(
    serving: &Serving,
    channel: &Channel,
    budgets: Option<&Budgets>,
    budget: Budget,
) -> Option<(String, bool)> {
    let id = channel.team?;
    let (_, name, team) = serving.catalog.teams().iter().nth(id.index())?;
    let (most, does) = match budget {
        Budget::Publications => (team.publications?.to_string(), "publishes"),
        Budget::Subscriptions => (team.subscriptions?.to_string(), "holds"),
        Budget::Cpu | Budget::Instances | Budget::DeadLetters => return None,
    };
    let standing = budgets.and_then(|budgets| budgets.team(id)).and_then(|team| team.standing(budget));
    let what = budget.as_str();
    Some(match standing {
        Some(standing) => {
            let detail = format!("team `{name}` {does} {:.0} of {most} {what}", standing.used);
            (detail, budgets.is_none_or(|budgets| budgets.has_any(id, budget)))
        }
        None => (format!("team `{name}` may have {most} {what}"), true),
    })
}
