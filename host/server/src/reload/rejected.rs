//! The plugins that a reload could not load, and why.

use std::collections::BTreeMap;
use std::path::Path;

use tidegate_core::config::Diagnostic;
use tidegate_core::flow::ports::{Clock as _, PluginState, PluginStatus, SystemClock};
use tidegate_core::protocol::PluginName;
use tidegate_wasm::{Fingerprint, PluginSource};

/// Most reasons that are kept for one plugin.
const REASONS_MAX: usize = 8;

/// The fingerprints of a reload's candidates; unreadable plugins are missing.
pub(super) type Candidates = BTreeMap<PluginName, Fingerprint>;

/// What would be loaded from these files.
pub(super) fn candidates(sources: &[PluginSource]) -> Candidates {
    let fingerprint = |source: &PluginSource| Fingerprint::of(&source.manifest.text, &source.component);
    sources.iter().map(|source| (source.name.clone(), fingerprint(source))).collect()
}

/// The plugins with errors in their own files.
pub(super) fn rejected(plugins: &Path, candidates: &Candidates, mistakes: &[Diagnostic]) -> Vec<PluginStatus> {
    let mut reasons: BTreeMap<PluginName, Vec<String>> = BTreeMap::new();
    for mistake in mistakes {
        let Some(name) = plugin_of(plugins, mistake) else { continue };
        let reasons = reasons.entry(name).or_default();
        if reasons.len() < REASONS_MAX {
            reasons.push(mistake.summary());
        }
    }
    let since_unix_s = SystemClock.now_unix_s();
    let status = |(name, reasons): (PluginName, Vec<String>)| PluginStatus {
        state: PluginState::Rejected,
        version: candidates.get(&name).map(|candidate| candidate.version().to_string()),
        digest: candidates.get(&name).map(|candidate| candidate.digest().as_str().to_owned()),
        name: name.as_str().to_owned(),
        since_unix_s,
        reasons,
        service: None,
        last_faults: Vec::new(),
        shadow: None,
        recording: None,
    };
    reasons.into_iter().map(status).collect()
}

/// A file that holds up a reload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldUp {
    /// Its path; empty for errors without a place in a file.
    pub path: String,
    /// How many errors it has.
    pub mistakes: usize,
    /// The first of them, in one line.
    pub first: String,
}

/// The files that hold up a reload, in the order of their errors.
#[must_use]
pub fn by_file(mistakes: &[Diagnostic]) -> Vec<HeldUp> {
    let mut files: Vec<HeldUp> = Vec::new();
    for mistake in mistakes {
        let path = mistake.place.as_ref().map(|place| place.source.path.as_str()).unwrap_or_default();
        match files.iter_mut().find(|file| file.path == path) {
            Some(file) => file.mistakes += 1,
            None => files.push(HeldUp { path: path.to_owned(), mistakes: 1, first: mistake.summary() }),
        }
    }
    files
}

/// The plugin whose directory contains an error.
fn plugin_of(plugins: &Path, mistake: &Diagnostic) -> Option<PluginName> {
    let file = Path::new(&mistake.place.as_ref()?.source.path);
    let directory = file.strip_prefix(plugins).ok()?.components().next()?;
    Some(PluginName::new(directory.as_os_str().to_string_lossy()))
}
