//! Gate 1's providers: what recognises a credential, and the policy they make up.

mod claims;
mod jwt;

use std::sync::Arc;

pub use jwt::{Jwt, SignError, TokenRequest, sign};

use crate::config::{Anonymous, Config, Provider};
use crate::flow::ports::Clock;
use crate::flow::{AuthPolicy, AuthProvider, Lifetimes};
use crate::protocol::PluginName;

/// The policy that a configuration asks for. Tokens are judged by `clock`.
#[must_use]
pub fn policy(config: &Config, clock: &Arc<dyn Clock>) -> AuthPolicy {
    let providers = config.auth.providers.iter().map(|provider| match provider {
        Provider::Jwt(jwt) => AuthProvider::Own(Arc::new(Jwt::new(jwt.clone(), clock.clone()))),
        Provider::Plugin(plugin) => {
            AuthProvider::Plugin { name: PluginName::new(plugin.name.as_str()), cookies: plugin.cookies.clone() }
        }
    });
    AuthPolicy {
        anonymous: config.auth.anonymous == Anonymous::Allow,
        cookie: config.auth.cookie.clone(),
        origins: config.auth.origins.clone(),
        providers: providers.collect(),
        lifetimes: Lifetimes { expiring_ahead: config.auth.expiring_ahead.get(), recheck: config.auth.recheck.get() },
    }
}
