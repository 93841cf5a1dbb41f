//! Deciding who may join a topic and who may send on it.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::bindings::authorizer_world::exports::tidegate::plugin::authorizer::Guest;
use crate::bindings::{Action, Context, Decision};

/// Decides who may join a topic and who may send on it, after the channel's scope said yes; and whose a credential is,
/// where the server's configuration names the plugin in `auth.providers`.
pub trait Authorizer {
    /// Decides.
    ///
    /// # Errors
    /// A sentence for the log when there is no decision. The host denies then, unless it is because the host itself did not
    /// answer (a query, an HTTP request, the key-value store): that is [`Decision::cannot_tell`] by itself.
    fn authorize(context: &Context, request: &Request) -> Result<Decision, String>;
}

/// What a connection wants to do.
#[derive(Debug)]
pub struct Request {
    /// Connect, subscribe, or send.
    pub action: Action,
    /// The message, when the action is [`Action::Send`]; it has not met the channel's schema yet. The credential, when the
    /// action is [`Action::Connect`]: see [`Request::credential`].
    pub payload: Option<Payload>,
}

/// What a connection brought to say whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Credential {
    /// The token that the client gave: in its handshake, as a bearer token, or to renew its session.
    Token(String),
    /// The cookies that the server's configuration lists, by name; at least one.
    Cookies(BTreeMap<String, String>),
}

impl Request {
    /// The credential, when the action is [`Action::Connect`]. Answer with
    /// [`Decision::admit`](crate::Decision::admit), [`Decision::allow`](crate::Decision::allow) (an anonymous connection)
    /// or [`Decision::deny`](crate::Decision::deny); where that cannot be told
    /// [`Decision::cannot_tell`](crate::Decision::cannot_tell), or an error: the client may come back.
    ///
    /// # Errors
    /// A sentence for the log when it is another action.
    pub fn credential(&self) -> Result<Credential, String> {
        match (self.action, &self.payload) {
            (Action::Connect, Some(payload)) => payload.read(),
            _ => Err("a credential comes with the action `connect` only".to_owned()),
        }
    }
}

/// A JSON payload that is read only when it matters.
#[derive(Debug)]
pub struct Payload(pub(crate) String);

impl Payload {
    /// Reads the payload.
    ///
    /// # Errors
    /// serde's sentence when the payload has another shape; return it with `?` and the host denies.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, String> {
        crate::json::read(&self.0)
    }
}

/// An [`Authorizer`] as the contract sees it.
#[doc(hidden)]
pub struct Exported<T>(PhantomData<T>);

impl<T: Authorizer> Guest for Exported<T> {
    fn authorize(context: Context, action: Action, payload: Option<String>) -> Result<Decision, String> {
        crate::crash::told();
        T::authorize(&context, &Request { action, payload: payload.map(Payload) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{connect, subscribe};

    #[test]
    fn a_credential_is_what_the_connection_brought() {
        let cookies = BTreeMap::from([("sid".to_owned(), "s".to_owned())]);
        for credential in [Credential::Token("t\"".to_owned()), Credential::Cookies(cookies)] {
            assert_eq!(connect(&credential).credential().unwrap(), credential);
        }
        assert!(subscribe().credential().unwrap_err().contains("`connect` only"));
    }
}
