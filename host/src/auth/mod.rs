//! Gate 1's providers: what recognises a credential, and the policy they make up.

mod claims;
mod jwt;

use std::sync::Arc;

pub use jwt::{Jwt, SignError, TokenRequest, sign};

use crate::config::{Anonymous, Config, Provider};
use crate::flow::AuthPolicy;
use crate::flow::ports::{self, Clock};

/// The policy that a configuration asks for. Tokens are judged by `clock`.
#[must_use]
pub fn policy(config: &Config, clock: &Arc<dyn Clock>) -> AuthPolicy {
    let providers = config.auth.providers.iter().map(|provider| match provider {
        Provider::Jwt(jwt) => Arc::new(Jwt::new(jwt.clone(), clock.clone())) as Arc<dyn ports::Provider>,
    });
    AuthPolicy {
        anonymous: config.auth.anonymous == Anonymous::Allow,
        cookie: config.auth.cookie.clone(),
        origins: config.auth.origins.clone(),
        providers: providers.collect(),
    }
}
