//! A look at what would be served: the same path as a start, and one mistake hides no other.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use super::kept::KeptLook;
use super::{AppError, first_generation, gate_one, plugin_host, services};
use crate::auth::NoSessions;
use crate::reload::{Built, Terms};
use tidegate_backends::store::SqliteLook;
use tidegate_core::config::{Config, Diagnostic};
use tidegate_core::flow::Serving;
use tidegate_wasm::{KeptOut, Services};

/// What would be served.
pub struct Checked {
    /// What would stand behind the gates.
    pub serving: Serving,
    /// Secrets that plugins are granted and that this environment does not have: a start with it would be refused.
    pub secrets_missing: BTreeSet<String>,
    /// The store's file, when queries of plugins were not prepared because it is not there.
    pub store_missing: Option<PathBuf>,
    /// How many plugins would serve.
    pub plugins: usize,
    /// The plugins whose file is quarantined: they would be missing.
    pub kept_out: Vec<KeptOut>,
}

/// Builds what would be served, by the same path as a start, and serves nothing. Secrets of plugins may be missing, as
/// they do where a change is checked before it goes out.
///
/// # Errors
/// [`AppError::Diagnostics`] with every mistake.
pub async fn check(config: &Config) -> Result<Checked, AppError> {
    // The keys of this host are its own, and it only looks at the database: a check makes none.
    let mut offered = Services { may_lack_secrets: true, ..services() };
    let look = KeptLook::at(config);
    let mut found = Found::default();
    // Of a store that does not open nothing is asked: what is wrong with files is told all the same.
    offered.queries = match found.note(look.could_open().await) {
        Some(()) => look.queries(),
        None => Arc::new(SqliteLook::nowhere("the store does not open")),
    };
    if found.failure.is_none() {
        found.note(gate_one::providers(config, offered.queries.clone(), Arc::new(NoSessions)).await);
    }
    let host = plugin_host(config, Terms::Whole, offered)?;
    let built = found.note(first_generation(config, Terms::Whole, &host).await);
    if let Some(built) = &built {
        found.note(look.has_room_for(&built.plugins));
    }
    found.end()?;
    let Some(Built { serving, plugins, kept_out, .. }) = built else { return Err(AppError::Diagnostics(Vec::new())) };
    let secrets_missing = plugins.iter().flat_map(|plugin| plugin.secrets_missing()).map(str::to_owned).collect();
    Ok(Checked { serving, secrets_missing, store_missing: look.missing(), plugins: plugins.len(), kept_out })
}

/// What a check found so far: one mistake hides no other.
#[derive(Default)]
struct Found {
    mistakes: Vec<Diagnostic>,
    failure: Option<AppError>,
}

impl Found {
    /// Notes what is wrong.
    fn note<T>(&mut self, outcome: Result<T, AppError>) -> Option<T> {
        match outcome {
            Ok(good) => return Some(good),
            Err(AppError::Diagnostics(mut mistakes)) => self.mistakes.append(&mut mistakes),
            Err(failure) => self.failure = self.failure.take().or(Some(failure)),
        }
        None
    }

    fn end(self) -> Result<(), AppError> {
        let Self { mut mistakes, failure } = self;
        match failure {
            None if mistakes.is_empty() => Ok(()),
            Some(failure) if mistakes.is_empty() => Err(failure),
            failure => {
                mistakes.extend(failure.map(|failure| Diagnostic::new(failure.to_string())));
                Err(AppError::Diagnostics(mistakes))
            }
        }
    }
}
