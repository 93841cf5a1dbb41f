//! Who may join a channel, compared.

use std::collections::BTreeSet;

use super::super::{Channel, Scope};
use super::words::listed;
use super::{ChangeKind, Changes, Leaf, Subject};

/// How one set of people compares with another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    Same,
    Wider,
    Narrower,
    /// Neither, or nobody knows.
    Other,
}

impl Reach {
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Same, reach) | (reach, Self::Same) => reach,
            (one, other) if one == other => one,
            _ => Self::Other,
        }
    }
}

/// Whether everybody may join, and no plugin is asked.
pub(super) fn is_open(channel: &Channel) -> bool {
    channel.scope == Scope::Public && channel.authorizer.is_none()
}

/// Compares who may join. `crossing` are the event types of the rules that publish on the channel now.
pub(super) fn compare(was: &Channel, is: &Channel, subject: &Subject, crossing: &[String], changes: &mut Changes) {
    let (scope, authorizer) = (scopes(&was.scope, &is.scope), authorizers(was, is));
    let kind = match scope.and(authorizer) {
        _ if is_open(is) && !is_open(was) => ChangeKind::Public,
        Reach::Wider => ChangeKind::Wider,
        Reach::Narrower => ChangeKind::Narrower,
        Reach::Same | Reach::Other => ChangeKind::Access,
    };
    if scope != Reach::Same {
        let mut means = format!("now {} may join, before {}", who(&is.scope), who(&was.scope));
        if let Some(plugin) = &is.authorizer {
            means += &format!("; the authorizer `{plugin}` still decides after that");
        }
        if kind == ChangeKind::Public && !crossing.is_empty() {
            means += &format!("; events that cross to it: {}", listed(crossing));
        }
        changes.note(kind, subject, Leaf::new("scope", Some(was.scope.written()), Some(is.scope.written())), means);
    }
    let means = match (&was.authorizer, &is.authorizer) {
        (Some(_), None) => format!("no plugin is asked any more: {} may join", who(&is.scope)),
        (None, Some(plugin)) => format!("`{plugin}` decides after the scope"),
        (Some(old), Some(new)) => format!("`{new}` decides in place of `{old}`"),
        (None, None) => String::new(),
    };
    if authorizer != Reach::Same {
        let [from, to] = [was, is].map(|channel| channel.authorizer.as_ref().map(|plugin| plugin.as_str().into()));
        changes.note(kind, subject, Leaf::new("authorizer", from, to), means);
    }
}

fn scopes(was: &Scope, is: &Scope) -> Reach {
    match (was, is) {
        (was, is) if was == is => Reach::Same,
        (Scope::AnyRole(was), Scope::AnyRole(is)) => {
            let [was, is] = [was, is].map(|roles| roles.iter().collect::<BTreeSet<_>>());
            match (was.is_subset(&is), is.is_subset(&was)) {
                (true, true) => Reach::Same,
                (true, false) => Reach::Wider,
                (false, true) => Reach::Narrower,
                (false, false) => Reach::Other,
            }
        }
        (_, Scope::Public) => Reach::Wider,
        (Scope::Public, _) => Reach::Narrower,
        (_, Scope::Authenticated) => Reach::Wider,
        (Scope::Authenticated, _) => Reach::Narrower,
        _ => Reach::Other,
    }
}

fn authorizers(was: &Channel, is: &Channel) -> Reach {
    match (&was.authorizer, &is.authorizer) {
        (was, is) if was == is => Reach::Same,
        (Some(_), None) => Reach::Wider,
        (None, _) => Reach::Narrower,
        (Some(_), Some(_)) => Reach::Other,
    }
}

/// Who a scope admits.
pub(super) fn who(scope: &Scope) -> String {
    match scope {
        Scope::Public => "everybody, signed in or not,".to_owned(),
        Scope::Authenticated => "every user".to_owned(),
        Scope::AnyRole(roles) if roles.len() == 1 => format!("users with the role {}", listed(roles)),
        Scope::AnyRole(roles) => format!("users with one of the roles {}", listed(roles)),
        Scope::User { param } => format!("the user whose id is `{{{param}}}`"),
    }
}
