//! Deciding who may join a topic and who may send on it.

use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use crate::bindings::authorizer_world::exports::tidegate::plugin::authorizer::Guest;
use crate::bindings::{Action, Context, Decision};

/// Decides who may join a topic and who may send on it, after the channel's scope said yes.
pub trait Authorizer {
    /// Decides.
    ///
    /// # Errors
    /// A sentence for the log when there is no decision; the host denies then.
    fn authorize(context: &Context, request: &Request) -> Result<Decision, String>;
}

/// What a connection wants to do.
#[derive(Debug)]
pub struct Request {
    /// Subscribe, or send.
    pub action: Action,
    /// The message, when the action is [`Action::Send`]. It has not met the channel's schema yet.
    pub payload: Option<Payload>,
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
        serde_json::from_str(&self.0).map_err(|error| error.to_string())
    }
}

/// An [`Authorizer`] as the contract sees it.
#[doc(hidden)]
pub struct Exported<T>(PhantomData<T>);

impl<T: Authorizer> Guest for Exported<T> {
    fn authorize(context: Context, action: Action, payload: Option<String>) -> Result<Decision, String> {
        T::authorize(&context, &Request { action, payload: payload.map(Payload) })
    }
}
