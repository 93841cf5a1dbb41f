//! Checks what would be served: the same steps as a start. One error hides no other.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use super::stores::StoresLook;
use super::{AppError, first_generation, gate_one, plugin_host, services};
use crate::auth::NoSessions;
use crate::reload::{Built, Terms};
use tidegate_backends::store::SqliteLook;
use tidegate_core::config::{Config, Diagnostic};
use tidegate_core::flow::Serving;
use tidegate_wasm::{KeptOut, Services};

/// The result of a check.
pub struct Checked {
    /// What would stand behind the gates.
    pub serving: Serving,
    /// Secrets that plugins are granted and that this environment does not have: a start with it would be refused.
    pub secrets_missing: BTreeSet<String>,
    /// The store's file, if queries of plugins were not checked because the file does not exist.
    pub store_missing: Option<PathBuf>,
    /// How many plugins would serve.
    pub plugins: usize,
    /// The quarantined plugins: they would not be loaded.
    pub kept_out: Vec<KeptOut>,
}

/// Builds everything in the same way as a start, but serves nothing. Secrets of plugins may be missing, as they are
/// where somebody checks a change before deployment.
///
/// # Errors
/// [`AppError::Diagnostics`] with every error.
pub async fn check(config: &Config) -> Result<Checked, AppError> {
    // This host has its own keys and only looks at the database: a check creates none.
    let mut offered = Services { may_lack_secrets: true, ..services() };
    let look = StoresLook::at(config);
    let mut found = Found::default();
    // If the store does not open, no queries are asked; errors in files are reported nevertheless.
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

/// The errors found so far: one error hides no other.
#[derive(Default)]
struct Found {
    mistakes: Vec<Diagnostic>,
    failure: Option<AppError>,
}

impl Found {
    /// Records an error.
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
