//! How one tries a server that runs for development: its address, tokens of a few users, its API keys.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::super::failure::Failure;
use super::super::token::jwt_provider;
use crate::auth::{self, TokenRequest};
use tidegate_core::config::Config;
use tidegate_core::flow::ports::{Clock, SystemClock};

/// How long the tokens are valid.
const TOKEN_TTL: Duration = Duration::from_secs(12 * 60 * 60);

/// The users of the tokens. Alice and Bob are members of the shipped vault `v1`.
const USERS: [(&str, &[&str]); 3] = [("alice", &[]), ("bob", &[]), ("erin", &["editor"])];

/// The credentials for trying the server. All of them are secret.
#[derive(Clone)]
pub(super) struct Access {
    /// None where no provider of the configuration can sign.
    pub(super) tokens: Vec<Token>,
    /// The name of each API key, and the key.
    pub(super) api_keys: Vec<(String, String)>,
}

/// A token of a user.
#[derive(Clone)]
pub(super) struct Token {
    pub(super) user: String,
    pub(super) roles: Vec<String>,
    pub(super) token: String,
}

impl Access {
    /// # Errors
    /// [`Failure::NoJwtProvider`] if nobody could connect; [`Failure::Sign`].
    pub(super) fn new(config: &Config) -> Result<Self, Failure> {
        let mut tokens = Vec::new();
        let jwt = match jwt_provider(config) {
            Ok(jwt) => Some(jwt),
            // What tokens a plugin takes is its own affair.
            Err(_) if !config.auth.providers.is_empty() => None,
            Err(none) => return Err(none),
        };
        for (jwt, (user, roles)) in jwt.iter().flat_map(|jwt| USERS.map(|of| (*jwt, of))) {
            let (user, roles) = (user.to_owned(), roles.iter().map(ToString::to_string).collect::<Vec<_>>());
            let request = TokenRequest { user: user.clone(), roles: roles.clone(), tenant: None, ttl: TOKEN_TTL };
            let token = auth::sign(jwt, &request, SystemClock.now_unix_s())?;
            tokens.push(Token { user, roles, token });
        }
        let api_keys = config.api_keys.0.iter().map(|key| (key.name.clone(), key.key.expose().to_owned()));
        Ok(Self { tokens, api_keys: api_keys.collect() })
    }
}

/// Where a program on this machine reaches a server that listens on this address.
pub(super) fn url(listening: SocketAddr) -> String {
    let mut reached = listening;
    if listening.ip().is_unspecified() {
        let local: IpAddr = if listening.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
        reached.set_ip(local);
    }
    format!("http://{reached}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_on_every_interface_is_reached_on_this_machine() {
        for (listening, reached) in [
            ("127.0.0.1:3000", "http://127.0.0.1:3000"),
            ("0.0.0.0:3000", "http://127.0.0.1:3000"),
            ("[::]:3000", "http://[::1]:3000"),
            ("10.1.2.3:80", "http://10.1.2.3:80"),
        ] {
            assert_eq!(url(listening.parse().unwrap()), reached);
        }
    }
}
