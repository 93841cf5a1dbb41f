//! How a command asks a running server.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use crate::cli::failure::Failure;
use crate::cli::load::Load;
use tidegate_core::config::WebUrl;

/// How long the server may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Most bytes of an answer: a page of a recording with a call that has a page of its own.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// Where the server is.
#[derive(Debug, Args)]
pub(super) struct At {
    /// The URL of the server, plain HTTP [default: the configuration's listen address]
    #[arg(long, value_name = "URL", value_parser = server_url)]
    url: Option<String>,
}

/// Where the server is, and the key for what only operators may ask.
#[derive(Debug, Args)]
pub(super) struct Ask {
    #[command(flatten)]
    at: At,
    /// An API key with the permission `operate`
    #[arg(long, value_name = "KEY", env = "TIDEGATE_API_KEY", hide_env_values = true)]
    key: Option<String>,
}

/// A possible URL of a server.
fn server_url(text: &str) -> Result<String, String> {
    let url = WebUrl::parse(text).map_err(|why| format!("{why}; a server's URL is `http://ADDRESS:PORT`"))?;
    if !url.as_str().starts_with("http://") {
        return Err("a server speaks plain HTTP: `http://ADDRESS:PORT`".to_owned());
    }
    Ok(text.to_owned())
}

/// The server to ask.
pub(super) struct Asked {
    /// Its URL.
    pub(super) url: String,
    key: Option<String>,
}

impl At {
    /// The server at the given URL, or where its configuration makes it listen.
    pub(super) fn server(self, load: &Load) -> Asked {
        let configured = || {
            // Without a configuration it is where a server is that has none either.
            let mut address = load.places().unwrap_or_default().listen;
            if address.ip().is_unspecified() {
                address.set_ip(if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
            }
            format!("http://{address}")
        };
        Asked { url: self.url.unwrap_or_else(configured), key: None }
    }
}

impl Ask {
    /// Like [`At::server`], with the key.
    pub(super) fn server(self, load: &Load) -> Asked {
        Asked { key: self.key, ..self.at.server(load) }
    }
}

impl Asked {
    /// The API key.
    ///
    /// # Errors
    /// [`Failure::NoApiKey`].
    pub(super) fn key(&self) -> Result<&str, Failure> {
        self.key.as_deref().filter(|key| !key.is_empty()).ok_or(Failure::NoApiKey)
    }

    /// The list with this name in the answer to `GET`.
    ///
    /// # Errors
    /// [`Failure::NoApiKey`], [`Failure::NoServer`], or [`Failure::Refused`] with the server's message.
    pub(super) fn get(&self, path: &str, list: &str) -> Result<Value, Failure> {
        let key = self.key()?;
        let fits = |answer: &Value| answer[list].is_array();
        self.answer(path, fits, |agent, url| agent.get(url).header("authorization", format!("Bearer {key}")).call())
    }

    /// The list with this name in the answer to `DELETE`. Without a key the server answers that it needs one.
    ///
    /// # Errors
    /// [`Failure::NoServer`], or [`Failure::Refused`] with the server's message.
    pub(super) fn delete(&self, path: &str, list: &str) -> Result<Value, Failure> {
        let key = self.key().unwrap_or_default();
        let fits = |answer: &Value| answer[list].is_array();
        self.answer(path, fits, |agent, url| agent.delete(url).header("authorization", format!("Bearer {key}")).call())
    }

    /// Whether the answer to `GET`, which needs no key, has a `true` of this name.
    ///
    /// # Errors
    /// [`Failure::NoServer`], or [`Failure::Refused`] with the server's message.
    pub(super) fn is(&self, path: &str, name: &str) -> Result<(), Failure> {
        self.answer(path, |answer| answer[name] == true, |agent, url| agent.get(url).call()).map(drop)
    }

    /// The text of the answer to `GET`.
    ///
    /// # Errors
    /// As [`Asked::get`].
    pub(super) fn get_text(&self, path: &str) -> Result<String, Failure> {
        let key = self.key()?;
        self.text(path, |agent, url| agent.get(url).header("authorization", format!("Bearer {key}")).call())
    }

    /// The text of the answer to `POST` of this JSON.
    ///
    /// # Errors
    /// As [`Asked::get`].
    pub(super) fn post(&self, path: &str, body: &Value) -> Result<String, Failure> {
        let key = self.key()?;
        self.text(path, |agent, url| {
            let request = agent.post(url).header("authorization", format!("Bearer {key}"));
            request.header("content-type", "application/json").send(body.to_string())
        })
    }

    /// `DELETE`, whatever the server answers.
    ///
    /// # Errors
    /// As [`Asked::get`].
    pub(super) fn delete_any(&self, path: &str) -> Result<(), Failure> {
        let key = self.key()?;
        let ask =
            |agent: &ureq::Agent, url: &str| agent.delete(url).header("authorization", format!("Bearer {key}")).call();
        self.text(path, ask).map(drop)
    }

    fn answer(
        &self,
        path: &str,
        fits: impl FnOnce(&Value) -> bool,
        ask: impl FnOnce(&ureq::Agent, &str) -> Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<Value, Failure> {
        let (url, status, text) = self.exchange(path, ask)?;
        let answer: Option<Value> = serde_json::from_str(&text).ok();
        match answer {
            Some(answer) if status == 200 && fits(&answer) => Ok(answer),
            answer => Err(refused(url, status, answer)),
        }
    }

    fn text(
        &self,
        path: &str,
        ask: impl FnOnce(&ureq::Agent, &str) -> Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<String, Failure> {
        let (url, status, text) = self.exchange(path, ask)?;
        if (200..300).contains(&status) {
            Ok(text)
        } else {
            Err(refused(url, status, serde_json::from_str(&text).ok()))
        }
    }

    /// The URL, the status and the text of the answer.
    fn exchange(
        &self,
        path: &str,
        ask: impl FnOnce(&ureq::Agent, &str) -> Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<(String, u16, String), Failure> {
        // No proxy: the command runs on the server's machine, where a proxy would not know the way.
        let config =
            ureq::Agent::config_builder().timeout_global(Some(TIMEOUT)).http_status_as_error(false).proxy(None);
        let agent: ureq::Agent = config.build().into();
        let url = format!("{}{path}", self.url.trim_end_matches('/'));
        let unreachable = |error: ureq::Error| {
            let nobody = matches!(&error, ureq::Error::Io(error) if error.kind() == ErrorKind::ConnectionRefused);
            Failure::NoServer { url: self.url.clone(), why: error.to_string(), nobody }
        };
        let mut response = ask(&agent, &url).map_err(unreachable)?;
        let status = response.status().as_u16();
        let text = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string().unwrap_or_default();
        Ok((url, status, text))
    }
}

fn refused(url: String, status: u16, answer: Option<Value>) -> Failure {
    let said = answer.and_then(|answer| said(&answer["error"]));
    let said = said.unwrap_or_else(|| "this is not an answer of a Tidegate server".to_owned());
    Failure::Refused { url, status, said }
}

/// A text, escaped as one segment of a path.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped += &format!("%{byte:02X}");
        }
    }
    escaped
}

/// The message of a refusal, and what is away.
fn said(error: &Value) -> Option<String> {
    let message = error["message"].as_str()?;
    let away: Vec<&str> = error["details"]["away"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    Some(if away.is_empty() { message.to_owned() } else { format!("{message} (away: {})", away.join(", ")) })
}
