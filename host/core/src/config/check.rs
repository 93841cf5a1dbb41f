//! The rules for a configuration beyond its types.

use super::telemetry as telemetry_section;
use super::{Config, Diagnostic, Node, check_auth, check_bus, check_limits, teams, transport};
use crate::telemetry;

/// Shortest API key, in bytes.
const API_KEY_BYTES_MIN: usize = 16;

/// The keys with paths: an empty path would be the directory of the file.
const PATHS: [&str; 5] = ["channels", "plugins", "bridge", "plugin_cache", "plugin_quarantine"];

/// Reports errors in values that were decoded.
pub(super) fn check(config: &Config, root: &Node, diagnostics: &mut Vec<Diagnostic>) {
    let mut told = Told { root, diagnostics };
    for key in PATHS.into_iter().filter(|key| root.get(key).and_then(Node::as_str).is_some_and(str::is_empty)) {
        told.add(
            &format!("/{key}"),
            &format!("`{key}` is empty, expected a path"),
            Some("leave it out to use the default"),
        );
    }
    check_auth::check(&config.auth, &mut told);
    check_api_keys(config, &mut told);
    check_bus::check(config, &mut told);
    check_limits::check(&config.limits, &mut told);
    teams::check(&config.teams, &config.limits, &mut told);
    transport::check(&config.transport, &config.limits, &mut told);
    telemetry_section::check(&config.telemetry, &mut told);
    if let Err(error) = telemetry::check_filter(&config.log.filter) {
        told.add(
            "/log/filter",
            &error.to_string(),
            Some("use a level, or levels by module: `info,tidegate_core::flow=debug`"),
        );
    }
}

/// Whether an error was reported for a value; for a missing value the error is at its key.
#[must_use]
pub fn is_told(node: &Node, diagnostics: &[Diagnostic]) -> bool {
    node.is_null() || diagnostics.iter().any(|told| told.place.as_ref() == Some(&node.place))
}

/// The errors so far.
pub(super) struct Told<'a> {
    root: &'a Node,
    diagnostics: &'a mut Vec<Diagnostic>,
}

impl Told<'_> {
    /// Whether there are no errors so far.
    pub(super) const fn is_empty(&self) -> bool {
        self.diagnostics.is_empty()
    }

    /// Whether a key below a section of the file is given, in any layer.
    pub(super) fn is_given(&self, section: &str, key: &str) -> bool {
        self.root.get(section).is_some_and(|section| section.entry(key).is_some())
    }

    /// Whether an error was reported at this place.
    pub(super) fn mistaken(&self, pointer: &str) -> bool {
        is_told(self.root.nearest(pointer), self.diagnostics)
    }

    /// Adds an error at a JSON Pointer, unless another one was reported at the same place: a replaced value is not
    /// checked.
    pub(super) fn add(&mut self, pointer: &str, message: &str, hint: Option<&str>) {
        if self.mistaken(pointer) {
            return;
        }
        let diagnostic = Diagnostic::at(self.root.nearest(pointer).place.clone(), message);
        self.diagnostics.push(match hint {
            Some(hint) => diagnostic.hint(hint),
            None => diagnostic,
        });
    }
}

fn check_api_keys(config: &Config, told: &mut Told<'_>) {
    let keys = &config.api_keys.0;
    for (index, key) in keys.iter().enumerate() {
        if keys[..index].iter().any(|other| other.name == key.name) {
            let message = format!("two API keys are named `{}`", key.name);
            told.add(&format!("/api_keys/{index}/name"), &message, None);
        }
        let at = format!("/api_keys/{index}/key");
        let bytes = key.key.expose().len();
        if bytes < API_KEY_BYTES_MIN {
            let message = format!("the key has {bytes} bytes, but needs at least {API_KEY_BYTES_MIN}");
            told.add(&at, &message, Some("create one with `openssl rand -base64 48`"));
        }
        if let Some(other) = keys[..index].iter().find(|other| other.key == key.key) {
            told.add(&at, &format!("`{}` has the same key", other.name), None);
        }
        if key.may.is_empty() {
            told.add(
                &format!("/api_keys/{index}/may"),
                "this key may do nothing",
                Some("leave out `may` to allow everything"),
            );
        }
    }
}
