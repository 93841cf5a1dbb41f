//! The providers of gate 1, which recognise credentials, and the policy made from them.

mod activity_log;
mod claims;
mod compact;
mod health;
mod introspect;
mod jwk;
mod jwt;
mod key_set;
mod keys;
mod pem;
mod sign;
mod web_session;
mod web_session_row;

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use jwt::Jwt;
pub use sign::{SignError, TokenRequest, sign};
pub use web_session::NoSessions;

use introspect::Introspect;
use jwt::KeySource;
use key_set::{KeySet, SET_BYTES_MAX, SetPlace};
use keys::{Key, Keys};
use tidegate_core::config::{Anonymous, Config, Diagnostic, JwksPlace, JwtProvider, Place, Provider, PublicKeyPlace};
use tidegate_core::flow::http_client::HttpClient;
use tidegate_core::flow::ports::Clock;
use tidegate_core::flow::queries::Queries;
use tidegate_core::flow::sessions::Sessions;
use tidegate_core::flow::{AuthPolicy, AuthProvider, Lifetimes};
use tidegate_core::protocol::PluginName;
use web_session::WebSessions;
use web_session_row::Unfit;

/// The services that providers need.
#[derive(Clone)]
pub struct AuthServices {
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The client for configured URLs, including private ones.
    pub http: Arc<dyn HttpClient>,
    /// Finds sessions.
    pub queries: Arc<dyn Queries>,
    /// Remembers when sessions were used.
    pub sessions: Arc<dyn Sessions>,
}

/// The providers of a configuration, ready for use.
pub struct Providers {
    /// The rules of gate 1.
    pub policy: AuthPolicy,
    /// The tasks that must run next to it.
    pub upkeep: Upkeep,
}

/// The tasks that keep providers up to date.
#[derive(Default)]
pub struct Upkeep {
    key_sets: Vec<Arc<KeySet>>,
    stored: Vec<Arc<WebSessions>>,
}

impl Upkeep {
    /// Starts the tasks; they run until `shutdown`.
    pub fn spawn(self, shutdown: &CancellationToken) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        for set in self.key_sets {
            let shutdown = shutdown.clone();
            tasks.spawn(async move { set.run(shutdown).await });
        }
        for sessions in self.stored {
            let shutdown = shutdown.clone();
            tasks.spawn(async move { sessions.run(shutdown).await });
        }
        tasks
    }
}

/// Creates the providers of a configuration. Reads the files of keys; URLs are fetched later.
///
/// # Errors
/// Missing or invalid keys.
pub async fn prepare(config: &Config, services: &AuthServices) -> Result<Providers, Vec<Diagnostic>> {
    let (mut providers, mut mistakes, mut upkeep) = (Vec::new(), Vec::new(), Upkeep::default());
    let waiting = Arc::new(Semaphore::new(config.limits.auth_waiting_max.min(Semaphore::MAX_PERMITS)));
    for provider in &config.auth.providers {
        match provider {
            Provider::Jwt(jwt) => match key_source(jwt, services, &waiting).await {
                Ok(keys) => {
                    if let KeySource::Set(set) = &keys {
                        upkeep.key_sets.push(set.clone());
                    }
                    let jwt = Jwt::new(JwtProvider::clone(jwt), keys, services.clock.clone());
                    providers.push(AuthProvider::Own(Arc::new(jwt)));
                }
                Err(mistake) => mistakes.push(mistake),
            },
            Provider::Session(session) => {
                let AuthServices { clock, queries, sessions, .. } = services.clone();
                let stored = Arc::new(WebSessions::new(session.clone(), queries, sessions, clock));
                if let Err(Unfit { why, hint }) = stored.check().await {
                    let mistake = mistake_at(session.place.as_ref(), format!("the query for sessions {why}"));
                    mistakes.push(match hint {
                        Some(hint) => mistake.hint(hint),
                        None => mistake,
                    });
                }
                upkeep.stored.push(stored.clone());
                providers.push(AuthProvider::Own(stored));
            }
            Provider::Introspect(introspect) => {
                let AuthServices { clock, http, .. } = services.clone();
                providers.push(AuthProvider::Own(Arc::new(Introspect::new(introspect.clone(), http, clock))));
            }
            Provider::Plugin(plugin) => {
                let name = PluginName::new(plugin.name.as_str());
                providers.push(AuthProvider::Plugin { name, cookies: plugin.cookies.clone() });
            }
        }
    }
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    let policy = AuthPolicy {
        anonymous: config.auth.anonymous == Anonymous::Allow,
        cookie: config.auth.cookie.clone(),
        origins: config.auth.origins.clone(),
        providers,
        lifetimes: Lifetimes {
            expiring_ahead: config.auth.expiring_ahead.get(),
            recheck: config.auth.recheck.get(),
            recheck_grace: config.auth.recheck_grace.get(),
        },
    };
    Ok(Providers { policy, upkeep })
}

async fn key_source(
    jwt: &JwtProvider,
    services: &AuthServices,
    waiting: &Arc<Semaphore>,
) -> Result<KeySource, Diagnostic> {
    let mistake = |message: String| mistake_at(jwt.place.as_ref(), message);
    let algorithms = jwt.algorithm.as_slice().to_vec();
    if let Some(place) = &jwt.jwks {
        return match place {
            JwksPlace::File(file) => {
                let set =
                    KeySet::new(SetPlace::File(file.clone()), algorithms, waiting.clone(), services.clock.clone());
                let loaded = set.load().await;
                loaded.map_err(|why| mistake(format!("the key set `{}` is not valid: {why}", file.display())))?;
                Ok(KeySource::Set(Arc::new(set)))
            }
            JwksPlace::Url(url) => {
                let (timeout, refresh) = (jwt.timeout.get(), jwt.refresh.get());
                let place = SetPlace::Url { url: url.clone(), http: services.http.clone(), timeout, refresh };
                Ok(KeySource::Set(Arc::new(KeySet::new(place, algorithms, waiting.clone(), services.clock.clone()))))
            }
        };
    }
    let key = match (&jwt.secret, &jwt.public_key) {
        (Some(secret), _) => Key::secret(secret.expose().as_bytes()),
        (None, Some(PublicKeyPlace::Pem(pem))) => {
            pem::read(pem).map_err(|why| mistake(format!("the public key is not valid: {why}")))?
        }
        (None, Some(PublicKeyPlace::File(file))) => {
            let read = read_bounded(file, SET_BYTES_MAX as u64).and_then(|text| pem::read(&text));
            read.map_err(|why| mistake(format!("the public key `{}` is not valid: {why}", file.display())))?
        }
        (None, None) => return Err(mistake("a `jwt` provider needs a key".to_owned())),
    };
    if let Some(unfit) = algorithms.iter().find(|algorithm| !key.checks(**algorithm)) {
        let (name, kind) = (unfit.as_str(), key.kind().name());
        let message = format!("`{name}` does not work with the public key, which is {kind}");
        return Err(mistake(message).hint("name the algorithm that the issuer signs with"));
    }
    Ok(KeySource::Fixed(Keys::one(key)))
}

fn mistake_at(place: Option<&Place>, message: String) -> Diagnostic {
    match place {
        Some(place) => Diagnostic::at(place.clone(), message),
        None => Diagnostic::new(message),
    }
}

fn read_bounded(file: &Path, bytes_max: u64) -> Result<String, String> {
    let mut text = String::new();
    let opened = std::fs::File::open(file).map_err(|error| error.to_string())?;
    opened.take(bytes_max + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if text.len() as u64 > bytes_max { Err(format!("it is larger than {bytes_max} bytes")) } else { Ok(text) }
}
