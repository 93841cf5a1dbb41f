//! `tidegate token`: signs a token for tests.

use std::time::Duration;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use serde_json::json;

use super::failure::Failure;
use super::load::Load;
use super::{Answer, Format};
use crate::auth::{self, TokenRequest};
use tidegate_core::config::{Config, HumanDuration, JwtProvider, Provider};
use tidegate_core::flow::ports::{Clock, SystemClock};

#[derive(Debug, Args)]
pub(super) struct Token {
    /// The user's id
    #[arg(long, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    user: String,
    /// The user's roles
    #[arg(long, value_name = "ROLE,…", value_delimiter = ',')]
    roles: Vec<String>,
    /// The user's tenant
    #[arg(long)]
    tenant: Option<String>,
    /// How long the token is valid
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration)]
    ttl: Duration,
    /// The output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    load: Load,
}

fn duration(text: &str) -> Result<Duration, String> {
    let read: Result<HumanDuration, _> = serde_json::from_value(json!(text));
    read.map(HumanDuration::get).map_err(|_| "expected a time like `30m`, `12h` or `7d`".to_owned())
}

impl Token {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        let config = self.load.config(None, &[])?;
        let request = TokenRequest { user: self.user, roles: self.roles, tenant: self.tenant, ttl: self.ttl };
        let now_unix_s = SystemClock.now_unix_s();
        let token = auth::sign(jwt_provider(&config)?, &request, now_unix_s)?;
        Ok(match self.format {
            Format::Text => Answer::ok(format!("{token}\n")),
            Format::Json => {
                let expires_at = now_unix_s.saturating_add(request.ttl.as_secs());
                Answer::json(&json!({ "token": token, "user": request.user, "expires_at": expires_at }))
            }
        })
    }
}

/// The provider that signs: the first with a shared secret. For the other providers only the issuer can sign.
pub(super) fn jwt_provider(config: &Config) -> Result<&JwtProvider, Failure> {
    let mut providers = config.auth.providers.iter();
    let jwt = providers.find_map(|provider| match provider {
        Provider::Jwt(jwt) if jwt.secret.is_some() => Some(jwt.as_ref()),
        _ => None,
    });
    jwt.ok_or(Failure::NoJwtProvider)
}
