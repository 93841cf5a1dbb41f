//! Authorizers at gate 1: they say whose a credential is.

use std::time::Duration;

use super::authorizer::{Said, decision, now};
use super::{Caller, EndedCall, Question, checks};
use crate::contract::{authorizer, context_without_topic, shorten, types};
use crate::plugin::Plugin;
use crate::run::{Failure, Ready};
use crate::vectors::Question as Owned;
use tidegate_core::channels::PluginKind;
use tidegate_core::flow::ports::{Fault, IdentifyCall, Recognition};
use tidegate_core::protocol::User;

/// Largest user, in bytes: id, roles and tenant together. The server keeps a copy for every connection.
const USER_BYTES_MAX: usize = 8 << 10;

impl Plugin {
    /// Asks the authorizer whose a credential is.
    ///
    /// # Errors
    /// [`Fault`], logged and counted.
    pub async fn identify(&self, call: IdentifyCall<'_>) -> Result<Recognition, Fault> {
        self.ask(call).await
    }
}

impl Question for IdentifyCall<'_> {
    const KIND: PluginKind = PluginKind::Authorizer;
    type Given = types::Context;
    type Said = Said;
    type Answer = Recognition;

    fn caller(&self) -> Caller<'_> {
        // No log ever shows a credential.
        Caller { channel: None, user: None, input: None, is_about_own: false }
    }

    fn given(&self, wall: Duration) -> types::Context {
        context_without_topic(self.connection, wall)
    }

    fn owned(&self) -> Owned {
        Owned::Identity { connection: self.connection.clone(), credential: self.credential.clone() }
    }

    async fn call(&self, given: &types::Context, instance: Ready<'_>) -> Option<wasmtime::Result<Said>> {
        let given = (given, authorizer::Action::Connect, Some(self.credential.as_str()));
        Some(instance.functions.authorizer.as_ref()?.call(instance.store, given, now).await)
    }

    fn answer(&self, said: Result<Said, Failure>, ended: &EndedCall<'_>) -> Result<Recognition, Failure> {
        Ok(match decision(said, ended)? {
            authorizer::Decision::Allow(authorizer::Grant { ttl_ms, user }) => {
                let user = user.map(checked_user).transpose()?;
                Recognition::Admitted { user, ttl: Duration::from_millis(ttl_ms.into()) }
            }
            authorizer::Decision::Deny(reason) => Recognition::Refused { reason: shorten(reason) },
            authorizer::Decision::CannotTell(reason) => Recognition::Unknown { reason: shorten(reason) },
        })
    }
}

fn checked_user(user: types::User) -> Result<User, Failure> {
    let types::User { id, roles, tenant } = user;
    if id.is_empty() {
        return Err(checks::invalid("the user has no id".to_owned()));
    }
    let bytes = id.len() + roles.iter().map(String::len).sum::<usize>() + tenant.as_ref().map_or(0, String::len);
    if bytes > USER_BYTES_MAX {
        let detail = format!("the user has {bytes} bytes, at most {USER_BYTES_MAX} are possible");
        return Err(checks::invalid(detail));
    }
    Ok(User::new(id, roles, tenant))
}
