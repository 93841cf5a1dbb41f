//! Gate 1's providers: what recognises a credential, and the policy they make up. The only home of `jsonwebtoken`.

mod claims;
mod compact;
mod jwk;
mod jwt;
mod keys;
mod pem;
mod sign;

use std::path::Path;
use std::sync::Arc;

pub use jwt::Jwt;
pub use sign::{SignError, TokenRequest, sign};

use crate::config::{Anonymous, Config, Diagnostic, JwtProvider, Provider, PublicKeyPlace, Secret};
use crate::flow::ports::Clock;
use crate::flow::{AuthPolicy, AuthProvider};
use crate::protocol::PluginName;
use jwt::KeySource;
use keys::{Key, Keys};

/// Largest file of keys, in bytes.
const KEY_FILE_BYTES_MAX: u64 = 256 << 10;

/// The policy that a configuration asks for. Tokens are judged by `clock`. Reads the files of keys.
///
/// # Errors
/// Keys that are not there or no good.
pub fn policy(config: &Config, clock: &Arc<dyn Clock>) -> Result<AuthPolicy, Vec<Diagnostic>> {
    let (mut providers, mut mistakes) = (Vec::new(), Vec::new());
    for provider in &config.auth.providers {
        match provider {
            Provider::Jwt(jwt) => match key_source(jwt) {
                Ok(keys) => {
                    let jwt = Jwt::new(JwtProvider::clone(jwt), keys, clock.clone());
                    providers.push(AuthProvider::Own(Arc::new(jwt)));
                }
                Err(mistake) => mistakes.push(mistake),
            },
            Provider::Session(_) | Provider::Introspect(_) => {}
            Provider::Plugin(plugin) => {
                let name = PluginName::new(plugin.name.as_str());
                providers.push(AuthProvider::Plugin { name, cookies: plugin.cookies.clone() });
            }
        }
    }
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    Ok(AuthPolicy {
        anonymous: config.auth.anonymous == Anonymous::Allow,
        cookie: config.auth.cookie.clone(),
        origins: config.auth.origins.clone(),
        providers,
    })
}

fn key_source(jwt: &JwtProvider) -> Result<KeySource, Diagnostic> {
    let mistake = |message: String| match &jwt.place {
        Some(place) => Diagnostic::at(place.clone(), message),
        None => Diagnostic::new(message),
    };
    let key = match (&jwt.secret, &jwt.public_key) {
        (Some(secret), _) => Key::secret(Secret::expose(secret).as_bytes()),
        (None, Some(PublicKeyPlace::Pem(pem))) => {
            pem::read(pem).map_err(|why| mistake(format!("the public key is no good: {why}")))?
        }
        (None, Some(PublicKeyPlace::File(file))) => {
            let shown = file.display();
            let text = read_bounded(file).map_err(|why| mistake(format!("the public key `{shown}` cannot be read: {why}")))?;
            pem::read(&text).map_err(|why| mistake(format!("the public key `{shown}` is no good: {why}")))?
        }
        (None, None) => return Err(mistake("a `jwt` provider needs a key".to_owned())),
    };
    let unfit = jwt.algorithm.as_slice().iter().find(|algorithm| !key.checks(**algorithm));
    if let Some(algorithm) = unfit {
        let (name, kind) = (algorithm.as_str(), key.kind().name());
        let hint = "name the algorithm that the issuer signs with";
        return Err(mistake(format!("`{name}` does not go with the public key, which is {kind}")).hint(hint));
    }
    Ok(KeySource::Fixed(Keys::one(key)))
}

fn read_bounded(file: &Path) -> Result<String, String> {
    use std::io::Read as _;
    let mut text = String::new();
    let opened = std::fs::File::open(file).map_err(|error| error.to_string())?;
    opened.take(KEY_FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if text.len() as u64 > KEY_FILE_BYTES_MAX { Err("it is too large".to_owned()) } else { Ok(text) }
}
