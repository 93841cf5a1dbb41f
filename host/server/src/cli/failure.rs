//! Why a command failed: its output on stderr, and the exit code.

use std::borrow::Cow;
use std::error::Error;
use std::path::Path;

use serde_json::{Value, json};

use super::exit;
use crate::app::AppError;
use crate::auth::SignError;
use tidegate_core::config::{Diagnostic, NoPostgresUrl, Place};
use tidegate_core::protocol::PayloadError;
use tidegate_core::telemetry::LoggingError;
use tidegate_wasm::{BuildError, Quarantine};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// All errors in files, the environment or flags.
    #[error("{} mistakes", .0.len())]
    Mistakes(Vec<Diagnostic>),
    /// The server does not start.
    #[error(transparent)]
    App(AppError),
    /// A plugin does not build.
    #[error("plugin `{plugin}` does not build")]
    Build {
        /// The name of its directory.
        plugin: String,
        /// The reason.
        source: BuildError,
    },
    /// Plugins do not build: a failure for each.
    #[error("{} plugins do not build", .0.len())]
    Builds(Vec<Failure>),
    /// There is no such plugin.
    #[error("there is no plugin `{name}`")]
    NoPlugin {
        /// The name as given.
        name: String,
        /// The existing plugins.
        known: Vec<String>,
        /// The one that was probably meant.
        nearest: Option<String>,
    },
    /// No manifest declares this channel.
    #[error("there is no channel `{name}`")]
    NoChannel {
        /// The name as given.
        name: String,
        /// The declared channels.
        known: Vec<String>,
        /// The one that was probably meant.
        nearest: Option<String>,
    },
    /// A revision of git cannot be read.
    #[error("{what}")]
    Revision {
        /// What is wrong.
        what: String,
        /// The hint.
        hint: String,
    },
    /// There is no git.
    #[error("cannot run `git`, which reads the revision `{revision}`")]
    NoGit {
        /// The revision as given.
        revision: String,
        /// The reason.
        source: std::io::Error,
    },
    /// The API key for a server is missing.
    #[error("an API key for the server is missing")]
    NoApiKey,
    /// No server answers.
    #[error("no server answers at `{url}`: {why}")]
    NoServer {
        /// The URL.
        url: String,
        /// The network's error.
        why: String,
        /// Whether the machine says that nobody listens there.
        nobody: bool,
    },
    /// A server answers, but not with the requested data.
    #[error("`{url}` answers {status}: {said}")]
    Refused {
        /// The requested URL.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The server's message.
        said: String,
    },
    /// No quarantined version has this name or digest.
    #[error("{place} has no quarantined version of `{what}`")]
    NotQuarantined {
        /// The name as given.
        what: String,
        /// The server or the file.
        place: String,
    },
    /// A new plugin cannot have this name.
    #[error("a plugin cannot be named `{name}`")]
    NewName {
        /// The name as given.
        name: String,
    },
    /// Something new cannot be created in this way.
    #[error("{what}")]
    New {
        /// What is wrong.
        what: String,
        /// The hint.
        hint: String,
    },
    /// The new file or directory exists already.
    #[error("`{path}` exists already")]
    Exists {
        /// Its path.
        path: String,
    },
    /// No provider can sign a token.
    #[error("no `jwt` provider with a `secret` is configured")]
    NoJwtProvider,
    /// A token was not signed.
    #[error("cannot sign a token for this user")]
    Sign(#[from] SignError),
    /// A payload given as an argument is not JSON.
    #[error("the payload is not JSON")]
    Payload(#[source] PayloadError),
    /// A file cannot be read or written.
    #[error("cannot access `{path}`")]
    File {
        /// The file.
        path: String,
        /// The reason.
        source: std::io::Error,
    },
    /// An address given as an argument is not one of a database.
    #[error("`--store`")]
    Store(#[source] NoPostgresUrl),
    /// The log filter of `RUST_LOG` is not valid.
    #[error("`RUST_LOG` is not valid")]
    Logging(#[from] LoggingError),
    /// The operating system refused something.
    #[error("cannot run")]
    Io(#[from] std::io::Error),
}

impl From<AppError> for Failure {
    fn from(error: AppError) -> Self {
        match error {
            AppError::Diagnostics(diagnostics) => Self::Mistakes(diagnostics),
            other => Self::App(other),
        }
    }
}

impl Failure {
    /// The exit code. If all errors are below the plugins' directory, it is that of a plugin that does not load.
    pub(super) fn exit_code(&self, plugins: Option<&Path>) -> u8 {
        match self {
            Self::Mistakes(diagnostics) => {
                let plugins = plugins.and_then(|plugins| plugins.canonicalize().ok());
                let of_plugin = |diagnostic: &Diagnostic| {
                    let path =
                        diagnostic.place.as_ref().and_then(|place| Path::new(&place.source.path).canonicalize().ok());
                    path.zip(plugins.as_ref()).is_some_and(|(path, plugins)| path.starts_with(plugins))
                };
                if diagnostics.iter().all(of_plugin) { exit::PLUGIN } else { exit::CONFIG }
            }
            Self::Build { .. } | Self::Builds(_) => exit::PLUGIN,
            Self::NoJwtProvider | Self::Sign(_) | Self::Logging(_) => exit::CONFIG,
            Self::NotQuarantined { .. } => exit::NO,
            Self::Payload(_)
            | Self::Store(_)
            | Self::NoPlugin { .. }
            | Self::NoChannel { .. }
            | Self::NoApiKey
            | Self::NewName { .. }
            | Self::New { .. }
            | Self::Revision { .. }
            | Self::Exists { .. } => exit::USAGE,
            Self::App(_)
            | Self::File { .. }
            | Self::NoGit { .. }
            | Self::Io(_)
            | Self::NoServer { .. }
            | Self::Refused { .. } => exit::UNAVAILABLE,
        }
    }

    /// The output on stderr: `error:`, `caused by:`, `hint:`; for several errors all of them, and their number.
    pub(super) fn render(&self) -> String {
        if let Self::Mistakes(diagnostics) = self {
            return render(diagnostics);
        }
        if let Self::Builds(failures) = self {
            return failures.iter().map(Self::render).collect();
        }
        let mut text = format!("error: {self}\n");
        let mut cause = self.source();
        while let Some(error) = cause {
            let said = error.to_string();
            // Some libraries put their cause into their own message.
            if !text.trim_end().ends_with(&said) {
                text += &format!("  caused by: {said}\n");
            }
            cause = error.source();
        }
        if let Some(hint) = self.hint() {
            text += &format!("hint: {hint}\n");
        }
        text
    }

    fn hint(&self) -> Option<Cow<'static, str>> {
        if let Self::NoPlugin { name, known, nearest } = self {
            return Some(Cow::Owned(match nearest {
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None if known.is_empty() => {
                    format!("a plugin is a directory with a file plugin.yaml; `{name}` has none")
                }
                None => format!("the plugins are: {}; a path must contain a `/`", known.join(", ")),
            }));
        }
        if let Self::NoChannel { known, nearest, .. } = self {
            return Some(Cow::Owned(match nearest {
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None => format!("the channels are: {}", known.join(", ")),
            }));
        }
        if let Self::NotQuarantined { what, .. } = self
            && what.len() < Quarantine::DIGITS_MIN
            && what.bytes().all(|byte| byte.is_ascii_hexdigit())
        {
            let (fewest, digits) = (Quarantine::DIGITS_MIN, what.len());
            return Some(Cow::Owned(format!("give at least {fewest} digits of the digest; these are {digits}")));
        }
        if let Self::New { hint, .. } | Self::Revision { hint, .. } = self {
            return Some(Cow::Owned(hint.clone()));
        }
        let hint = match self {
            Self::App(AppError::Bind { source, .. }) if source.kind() == std::io::ErrorKind::AddrInUse => Some(
                "another process listens at this address; stop it, or choose another address with `--listen ADDRESS:PORT`",
            ),
            Self::App(AppError::Store(_)) => Some(
                "`store` in tidegate.yaml or TIDEGATE__STORE names the store; config/README.md lists the rights that the server needs",
            ),
            Self::NoGit { .. } => Some("install git, or give a directory"),
            Self::NoApiKey => Some("set TIDEGATE_API_KEY, or use `--key KEY`: a key in `api_keys:` that may `operate`"),
            Self::NoServer { .. } => {
                Some("start it with `tidegate serve`, or give its address with `--url http://ADDRESS:PORT`")
            }
            Self::Refused { status: 401, .. } => {
                Some("the server does not know this key; use a key of its `api_keys:` with `--key KEY`")
            }
            Self::Refused { status: 403, .. } => Some("give the key the permission: `may: [operate]` in `api_keys:`"),
            Self::Refused { status: 503, .. } => {
                Some("the log of the server says more; host/OPERATING.md has what may be away, and until when")
            }
            Self::Refused { .. } => {
                Some("does a Tidegate server of this version run at this address? give another address with `--url`")
            }
            Self::NotQuarantined { .. } => {
                Some("`tidegate plugin list` shows the quarantined versions of a running server")
            }
            Self::NewName { .. } => Some(
                "use lower-case letters, digits and dashes, and begin with a letter; names of parts of a project (`sdk`, `target`) and of crates that it needs are reserved",
            ),
            Self::Exists { .. } => Some("choose another name, or move the existing one away"),
            Self::NoJwtProvider => Some(
                "add one under `auth: providers:` in the configuration; with a public key only the issuer can sign",
            ),
            Self::Sign(SignError::NoTenantClaim) => {
                Some("name the claim: `jwt: { tenant: … }`, or leave out `--tenant`")
            }
            Self::Payload(_) => Some("quote the payload for the shell: `--payload '{\"n\": 1}'`"),
            _ => None,
        };
        hint.map(Cow::Borrowed)
    }
}

/// Every error, and how many there are.
pub(super) fn render(diagnostics: &[Diagnostic]) -> String {
    let shown: Vec<String> = diagnostics.iter().map(Diagnostic::render).collect();
    let count = match diagnostics.len() {
        1 => "1 error".to_owned(),
        count => format!("{count} errors"),
    };
    format!("{}\n{count}\n", shown.join("\n"))
}

/// Every error, for a script.
pub(super) fn to_json(diagnostics: &[Diagnostic]) -> Value {
    let place = |place: &Place| json!({ "file": place.source.path, "line": place.line, "column": place.column });
    let one = |diagnostic: &Diagnostic| {
        let related = diagnostic.related.iter().map(|(note, at)| json!({ "note": note, "place": place(at) }));
        json!({
            "message": diagnostic.message,
            "place": diagnostic.place.as_ref().map(place),
            "related": related.collect::<Vec<_>>(),
            "hint": diagnostic.hint,
        })
    };
    diagnostics.iter().map(one).collect()
}
