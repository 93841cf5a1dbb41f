//! What a resource says of itself: how it is asked, and everything that it answers. The router and the document are made
//! from the same operations.

use std::collections::{BTreeMap, BTreeSet};

use axum::routing::MethodFilter;

use crate::http::answer::{HttpCode, status_of};
use tidegate_core::config::Permission;
use tidegate_core::protocol::Code;

/// One resource with one method.
pub(in crate::http) struct Operation {
    pub(in crate::http) method: Verb,
    pub(in crate::http) path: &'static str,
    /// Its name for generated clients.
    pub(in crate::http) id: &'static str,
    /// What it does, in a sentence.
    pub(in crate::http) summary: &'static str,
    pub(in crate::http) caller: Caller,
    /// Names of parameters in the components.
    pub(in crate::http) parameters: &'static [&'static str],
    /// The media types of its body, each with a schema of the components; none if it takes no body.
    pub(in crate::http) body: &'static [(&'static str, &'static str)],
    pub(in crate::http) answers: Answers,
    /// Why it refuses, beside the reasons of its caller, its parameters and its body.
    pub(in crate::http) refuses: &'static [Reason],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Verb {
    Get,
    Post,
    Delete,
}

impl Verb {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Post => "post",
            Self::Delete => "delete",
        }
    }

    pub(in crate::http) const fn filter(self) -> MethodFilter {
        match self {
            Self::Get => MethodFilter::GET,
            Self::Post => MethodFilter::POST,
            Self::Delete => MethodFilter::DELETE,
        }
    }
}

/// Who may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Caller {
    Anybody,
    /// A backend or an operator whose API key has the permission, or, for what operators do, the session of one.
    Key(Permission),
    /// An operator with a session.
    Session,
    /// A client that clears gates 1 and 2, or a backend whose API key may read.
    Reader,
}

impl Caller {
    /// Whether the cookie of an operator's session is enough.
    pub(in crate::http) const fn takes_session(self) -> bool {
        match self {
            Self::Key(permission) => by_session(permission),
            Self::Session => true,
            Self::Anybody | Self::Reader => false,
        }
    }
}

/// Whether an operator may do this with a session in place of the API key: what the dashboard does, and nothing that
/// backends do.
pub(in crate::http) const fn by_session(permission: Permission) -> bool {
    matches!(permission, Permission::Operate | Permission::Revoke)
}

/// The answer to a request that is served.
pub(in crate::http) struct Answers {
    pub(in crate::http) status: u16,
    pub(in crate::http) says: &'static str,
    /// Media types, each with a schema of the components.
    pub(in crate::http) contents: &'static [(&'static str, &'static str)],
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Reason {
    /// A code of the closed list, with its usual status.
    Of(Code),
    /// The request cannot be read: 400 `invalid_payload`.
    Malformed,
    /// A code that exists only in HTTP.
    Http(HttpCode),
}

impl Reason {
    const fn status(self) -> u16 {
        match self {
            Self::Of(code) => status_of(code).as_u16(),
            Self::Malformed => 400,
            Self::Http(code) => code.status().as_u16(),
        }
    }

    const fn code(self) -> &'static str {
        match self {
            Self::Of(code) => code.as_str(),
            Self::Malformed => Code::InvalidPayload.as_str(),
            Self::Http(code) => code.as_str(),
        }
    }
}

/// What every reader of a topic may hear.
const READER: [Reason; 10] = [
    Reason::Of(Code::Unauthenticated),
    Reason::Of(Code::TokenExpired),
    Reason::Of(Code::TokenRevoked),
    Reason::Of(Code::Forbidden),
    Reason::Of(Code::UnknownChannel),
    Reason::Of(Code::TooManySubscriptions),
    Reason::Of(Code::RateLimited),
    Reason::Of(Code::OverBudget),
    Reason::Of(Code::Unavailable),
    Reason::Of(Code::Draining),
];

impl Operation {
    /// The codes of each status with which it refuses.
    pub(super) fn refusals(&self) -> BTreeMap<u16, BTreeSet<&'static str>> {
        let of_caller: &[Reason] = match self.caller {
            Caller::Anybody => &[],
            Caller::Key(_) | Caller::Session => &[Reason::Of(Code::Unauthenticated), Reason::Of(Code::Forbidden)],
            Caller::Reader => &READER,
        };
        let of_parameters: &[Reason] = if self.parameters.is_empty() { &[] } else { &[Reason::Malformed] };
        let of_body: &[Reason] = match self.body {
            [] => &[],
            _ => &[Reason::Malformed, Reason::Of(Code::PayloadTooLarge), Reason::Http(HttpCode::RequestTimeout)],
        };
        let mut refusals: BTreeMap<u16, BTreeSet<&'static str>> = BTreeMap::new();
        let always = &[Reason::Of(Code::Internal)];
        for reason in [always, of_caller, of_parameters, of_body, self.refuses].into_iter().flatten() {
            refusals.entry(reason.status()).or_default().insert(reason.code());
        }
        refusals
    }
}
