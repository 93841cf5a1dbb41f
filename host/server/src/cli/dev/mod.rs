//! `tidegate dev`: everything for a quick start in one command.

mod rebuild;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use tokio::sync::oneshot;

use super::failure::Failure;
use super::load::{Load, made_up_secrets};
use super::serve::start_logging;
use super::signals::serve_until_signal;
use super::token::jwt_provider;
use super::{Answer, complain, failure, say};
use crate::app::{self, Options};
use crate::auth::{self, TokenRequest};
use crate::reload::{Terms, Triggers};
use rebuild::Rebuilder;
use tidegate_core::config::{Config, Diagnostic};
use tidegate_core::flow::ports::{Clock, SystemClock};

/// How long the printed tokens are valid.
const TOKEN_TTL: Duration = Duration::from_secs(12 * 60 * 60);

/// The users of the printed tokens. Alice and Bob are members of the shipped vault `v1`.
const USERS: [(&str, &[&str]); 3] = [("alice", &[]), ("bob", &[]), ("erin", &["editor"])];

/// The server's address in the shipped example; `URL` overrides it.
const EXAMPLE_URL: &str = "http://127.0.0.1:3000";
/// The shipped example, if the repository's examples are here.
const EXAMPLE: &str = "examples/realtime-ping/package.json";
/// The page of the shipped example, if the repository's examples are here.
const EXAMPLE_PAGE: &str = "examples/realtime-ping/index.html";

#[derive(Debug, Args)]
pub(super) struct Dev {
    /// The address and port that clients connect to; overrides the configuration
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    #[command(flatten)]
    load: Load,
}

impl Dev {
    pub(super) async fn run(self, plugins: &mut Option<PathBuf>) -> Result<Answer, Failure> {
        let mut config = self.load.config(self.listen.as_ref(), &made_up_secrets())?;
        *plugins = Some(config.plugins.clone());
        if config.auth.origins.is_empty() {
            // The page one tries things with is rarely served by this server.
            config.auth.origins.push("*".to_owned());
        }
        start_logging(&config)?;
        // What can be known first: builds take long.
        let banner = Banner::new(&config)?;
        let directory = config.plugins.clone();
        let prepared = app::prepare(config, Terms::EachAlone).await?;
        let rebuilder = Rebuilder::start(directory)?;
        let (ready, listening) = oneshot::channel();
        let greeting = tokio::spawn(async move {
            if let Ok(address) = listening.await {
                say(&banner.text(address));
            }
        });
        let triggers = Triggers::default();
        rebuilder.spawn(triggers.sender.clone())?;
        let options = Options {
            ready: Some(ready),
            on_rejected: Some(Box::new(show_held_up)),
            on_warned: Some(Box::new(show_warned)),
            triggers,
        };
        let served = serve_until_signal(prepared.build().await?, options).await;
        greeting.abort();
        served?;
        Ok(Answer::ok(""))
    }
}

/// An error stops only the part that it is in.
fn show_held_up(mistakes: &[Diagnostic]) {
    complain(&format!(
        "{}the parts without errors are live; for the others the server continues with the version before\n",
        failure::render(mistakes)
    ));
}

/// Golden vectors with a different answer: the author may have intended the change.
fn show_warned(differences: &[Diagnostic]) {
    complain(&differences.iter().map(|difference| difference.render_as("warning")).collect::<String>());
}

/// What `dev` prints once clients can connect.
struct Banner {
    tokens: Vec<(String, String)>,
    api_key: Option<String>,
}

impl Banner {
    fn new(config: &Config) -> Result<Self, Failure> {
        let mut tokens = Vec::new();
        let jwt = match jwt_provider(config) {
            Ok(jwt) => Some(jwt),
            // What tokens a plugin takes is its own affair.
            Err(_) if !config.auth.providers.is_empty() => None,
            Err(none) => return Err(none),
        };
        for (jwt, (user, roles)) in jwt.iter().flat_map(|jwt| USERS.map(|of| (*jwt, of))) {
            let roles: Vec<String> = roles.iter().map(ToString::to_string).collect();
            let label = if roles.is_empty() { user.to_owned() } else { format!("{user} ({})", roles.join(", ")) };
            let request = TokenRequest { user: user.to_owned(), roles, tenant: None, ttl: TOKEN_TTL };
            tokens.push((label, auth::sign(jwt, &request, SystemClock.now_unix_s())?));
        }
        Ok(Self { tokens, api_key: config.api_keys.0.first().map(|key| key.key.expose().to_owned()) })
    }

    fn text(&self, address: SocketAddr) -> String {
        let url = format!("http://{address}");
        let elsewhere = if url == EXAMPLE_URL { String::new() } else { format!("URL={url} ") };
        let mut text = format!(
            "\nTidegate listens on {url}. It reloads every file that you save, and builds a plugin when you save its source. Ctrl-C stops it.\n"
        );
        if !self.tokens.is_empty() {
            text += "\nTokens, valid for 12 hours:\n";
        }
        for (user, token) in &self.tokens {
            text += &format!("\n  {user}\n  {token}\n");
        }
        let is_there = |path: &str| Path::new(path).is_file();
        if let Some((_, token)) = self.tokens.first().filter(|_| is_there(EXAMPLE)) {
            text += "\nTry it in another terminal:\n\n";
            text += &format!("  cd examples/realtime-ping && npm install && {elsewhere}TOKEN={token} npm start\n");
        }
        if is_there(EXAMPLE_PAGE) {
            text += "\nOr in a browser, with the same token:\n\n";
            text += &format!(
                "  cd examples/realtime-ping && {elsewhere}npm run page     # then open http://127.0.0.1:8080/\n"
            );
        }
        if let Some(key) = &self.api_key {
            text += &format!("\nThe API key of a backend:\n\n  {key}\n\nPublish an event like a backend:\n\n");
            text += &curl(address, key);
        }
        text += "\n";
        text
    }
}

fn curl(address: SocketAddr, key: &str) -> String {
    let event = r#"{"specversion":"1.0","id":"1","source":"/cms","type":"article.published","data":{"id":"a1","title":"Hello"}}"#;
    format!(
        "  curl -i http://{address}/v1/events \\\n    -H 'authorization: Bearer {key}' \\\n    \
         -H 'content-type: application/cloudevents+json' \\\n    -d '{event}'\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_to_an_example_that_is_not_there() {
        let tokens = vec![("alice".to_owned(), "a.b.c".to_owned())];
        let text = Banner { tokens, api_key: None }.text(([127, 0, 0, 1], 3000).into());
        assert!(text.contains("a.b.c") && !text.contains("examples/"), "{text}");
    }
}
