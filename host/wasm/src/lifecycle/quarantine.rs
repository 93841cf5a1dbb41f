//! The quarantine: plugin versions that the server does not load again, and why. A file keeps them, one line for each.
//!
//! A line is a JSON object. The server writes a new file beside the old one, syncs it, and replaces the old one in one
//! step. A line that cannot be read, after an edit or on a broken disk, is lost; the others are not.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::plugin::Plugin;
use crate::version::{Digest, Fingerprint};
use crate::{PluginHost, PluginSource};
use tidegate_core::flow::OwnEvent;
use tidegate_core::flow::ports::{Clock as _, PluginState, PluginStatus, PluginVersion, RememberedFault, SystemClock};
use tidegate_core::protocol::PluginName;
use tidegate_core::telemetry;

/// Most quarantined versions; the oldest goes first.
const ENTRIES_MAX: usize = 1000;

/// The quarantined versions.
#[derive(Debug, Default)]
pub struct Quarantine {
    /// The file; `None` keeps them in memory only.
    path: Option<PathBuf>,
    entries: Mutex<Vec<Quarantined>>,
    /// One change of the file at a time.
    changing: Mutex<()>,
    cleared: Notify,
}

/// A quarantined version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quarantined {
    /// The plugin.
    plugin: String,
    /// What the quarantine covers.
    scope: Scope,
    /// The SHA-256 of the component.
    digest: String,
    /// The version: component and `plugin.yaml` together.
    version: String,
    /// When it was quarantined, in seconds since the Unix epoch.
    since_unix_s: u64,
    /// Why, in a sentence.
    reason: String,
    /// Whether the file lacks it, because the file could not be written.
    #[serde(skip)]
    unsaved: bool,
    /// Its last faults, the newest first. Not in the file, because they may show payloads.
    #[serde(skip)]
    last_faults: Vec<RememberedFault>,
}

/// A quarantined version in the directory of its plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptOut {
    /// The plugin.
    pub plugin: PluginName,
    /// Why, in a sentence.
    pub reason: String,
    /// The version that serves instead, if any.
    pub serving: Option<String>,
    candidate: Fingerprint,
}

/// What a quarantine covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Scope {
    /// The component, under any `plugin.yaml` of this plugin.
    Component,
    /// This component under this `plugin.yaml`: the version before had the same component.
    Version,
}

impl Quarantined {
    /// The version `bad`, which was rolled back to `good`.
    pub(crate) fn new(bad: &Plugin, good: &Plugin, reason: String) -> Self {
        let scope = if bad.digest() == good.digest() { Scope::Version } else { Scope::Component };
        Self {
            plugin: bad.name().as_str().to_owned(),
            scope,
            digest: bad.digest().as_str().to_owned(),
            version: bad.fingerprint().version().to_string(),
            since_unix_s: SystemClock.now_unix_s(),
            reason,
            unsaved: false,
            last_faults: bad.statistics.last_faults(),
        }
    }

    /// Why, in a sentence.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The plugin's name, and the component's SHA-256.
    #[must_use]
    pub fn names(&self) -> (&str, &str) {
        (&self.plugin, &self.digest)
    }

    /// Its status, for operators.
    pub(crate) fn status(&self) -> PluginStatus {
        PluginStatus {
            name: self.plugin.clone(),
            state: PluginState::Quarantined,
            version: Some(self.version.clone()),
            digest: Some(self.digest.clone()),
            since_unix_s: self.since_unix_s,
            reasons: vec![self.reason.clone()],
            service: None,
            last_faults: self.last_faults.clone(),
            shadow: None,
            recording: None,
        }
    }

    fn covers(&self, plugin: &PluginName, digest: &Digest, version: PluginVersion) -> bool {
        let same = match self.scope {
            Scope::Component => self.digest == digest.as_str(),
            Scope::Version => self.version == version.to_string(),
        };
        self.plugin == plugin.as_str() && same
    }

    /// Whether a plugin's name, or the beginning of a digest, means this version.
    fn is_meant_by(&self, what: &str) -> bool {
        let digits = what.to_ascii_lowercase();
        let begins = |digest: &str| digits.len() >= Quarantine::DIGITS_MIN && digest.starts_with(&digits);
        self.plugin == what || begins(&self.digest) || begins(&self.version)
    }
}

impl Quarantine {
    /// Fewest digits of a digest that a command accepts.
    pub const DIGITS_MIN: usize = 12;

    /// Reads the file. A missing file is empty; unreadable lines are logged. Blocks.
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        let quarantine = Self { path: Some(path), ..Self::default() };
        quarantine.refresh();
        quarantine
    }

    /// Reads the file again: somebody may have edited it. Blocks.
    pub fn refresh(&self) {
        let _one = self.changing.lock();
        self.replace(self.kept());
    }

    /// All quarantined versions.
    #[must_use]
    pub fn list(&self) -> Vec<Quarantined> {
        self.entries.lock().clone()
    }

    /// Waits until a version was cleared.
    pub async fn cleared(&self) {
        self.cleared.notified().await;
    }

    /// Whether a version of this plugin is quarantined.
    fn knows(&self, plugin: &PluginName) -> bool {
        self.entries.lock().iter().any(|entry| entry.plugin == plugin.as_str())
    }

    /// The quarantine of a version, if any.
    pub(crate) fn find(&self, plugin: &PluginName, digest: &Digest, version: PluginVersion) -> Option<Quarantined> {
        self.entries.lock().iter().find(|entry| entry.covers(plugin, digest, version)).cloned()
    }

    /// Quarantines a version. If the file cannot be written, the server logs that, and the quarantine lasts until the
    /// server ends. Blocks.
    pub fn add(&self, entry: Quarantined) {
        let _one = self.changing.lock();
        let mut entries = self.kept();
        entries.retain(|other| (&other.plugin, &other.version) != (&entry.plugin, &entry.version));
        entries.push(entry);
        let too_many = entries.len().saturating_sub(ENTRIES_MAX);
        entries.drain(..too_many);
        if let Err(error) = self.write(&mut entries) {
            if let Some(last) = entries.last_mut() {
                last.unsaved = true;
            }
            telemetry::plugin_quarantine_unusable(&self.shown(), &error.to_string());
        }
        self.replace(entries);
    }

    /// Clears the versions that a plugin's name, or 12 or more digits of a digest, mean. Blocks.
    ///
    /// # Errors
    /// The error of the operating system; then nothing was cleared.
    pub fn clear(&self, what: &str) -> io::Result<Vec<Quarantined>> {
        let changing = self.changing.lock();
        let (cleared, mut left): (Vec<_>, Vec<_>) = self.kept().into_iter().partition(|entry| entry.is_meant_by(what));
        if cleared.is_empty() {
            return Ok(cleared);
        }
        self.write(&mut left)?;
        self.replace(left);
        drop(changing);
        for entry in &cleared {
            telemetry::plugin_cleared(&entry.plugin, &entry.digest);
        }
        self.cleared.notify_one();
        Ok(cleared)
    }

    /// The versions of the file, and those that it lacks. If it cannot be read, the versions in memory.
    fn kept(&self) -> Vec<Quarantined> {
        let known = self.list();
        let Some(path) = &self.path else { return known };
        match read(path) {
            Ok(mut kept) => {
                for entry in &mut kept {
                    let same = |old: &&Quarantined| (&old.plugin, &old.version) == (&entry.plugin, &entry.version);
                    entry.last_faults = known.iter().find(same).map(|old| old.last_faults.clone()).unwrap_or_default();
                }
                kept.extend(known.into_iter().filter(|entry| entry.unsaved));
                kept
            }
            Err(error) => {
                telemetry::plugin_quarantine_unusable(&self.shown(), &error.to_string());
                known
            }
        }
    }

    fn replace(&self, entries: Vec<Quarantined>) {
        let mut known = self.entries.lock();
        for old in known.iter().filter(|old| entries.iter().all(|entry| entry.plugin != old.plugin)) {
            telemetry::plugin_state(&old.plugin, PluginState::Quarantined.as_str(), false);
        }
        for entry in &entries {
            telemetry::plugin_state(&entry.plugin, PluginState::Quarantined.as_str(), true);
        }
        *known = entries;
    }

    /// Writes the file, and marks all versions as saved.
    fn write(&self, entries: &mut [Quarantined]) -> io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let fresh = path.with_added_extension("new");
        let mut file = File::create(&fresh)?;
        for entry in &*entries {
            serde_json::to_writer(&mut file, entry)?;
            file.write_all(b"\n")?;
        }
        file.sync_all()?;
        fs::rename(&fresh, path)?;
        // The new name must survive a power cut too.
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(directory)?.sync_all()?;
        entries.iter_mut().for_each(|entry| entry.unsaved = false);
        Ok(())
    }

    fn shown(&self) -> String {
        self.path.as_ref().map(|path| path.display().to_string()).unwrap_or_default()
    }
}

impl PluginHost {
    /// The quarantine of a plugin's files, if any. Such files do not load.
    #[must_use]
    pub fn kept_out(&self, source: &PluginSource) -> Option<KeptOut> {
        let quarantine = self.quarantine();
        // Most plugins are never rolled back, and need no digest here.
        if !quarantine.knows(&source.name) {
            return None;
        }
        let candidate = Fingerprint::of(&source.manifest.text, &source.component);
        let entry = quarantine.find(&source.name, candidate.digest(), candidate.version())?;
        Some(KeptOut { plugin: source.name.clone(), candidate, reason: entry.reason, serving: None })
    }
}

impl KeptOut {
    /// What an operator is told of it.
    #[must_use]
    pub fn status(&self) -> PluginStatus {
        PluginStatus {
            name: self.plugin.as_str().to_owned(),
            state: PluginState::Rejected,
            version: Some(self.candidate.version().to_string()),
            digest: Some(self.candidate.digest().as_str().to_owned()),
            since_unix_s: SystemClock.now_unix_s(),
            reasons: vec![format!("is quarantined: {}", self.reason)],
            service: None,
            last_faults: Vec::new(),
            shadow: None,
            recording: None,
        }
    }

    /// It, as an event of the server itself.
    #[must_use]
    pub fn event(&self) -> OwnEvent<'_> {
        let (plugin, component) = (self.plugin.as_str(), self.candidate.digest().short());
        OwnEvent::PluginKeptOut { plugin, component, serving: self.serving.as_deref() }
    }

    /// Logs it.
    pub fn tell(&self) {
        let component = self.candidate.digest().short();
        telemetry::plugin_kept_out(self.plugin.as_str(), component, &self.reason, self.serving.as_deref());
    }
}

/// The readable lines of a file.
fn read(path: &Path) -> io::Result<Vec<Quarantined>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut entries = Vec::new();
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty()) {
        match serde_json::from_slice(line) {
            Ok(entry) => entries.push(entry),
            Err(error) => {
                let at = format!("{}:{}", path.display(), index + 1);
                telemetry::plugin_quarantine_unusable(&at, &error.to_string());
            }
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(plugin: &str, digit: char) -> Quarantined {
        Quarantined {
            plugin: plugin.to_owned(),
            scope: Scope::Component,
            digest: digit.to_string().repeat(64),
            version: "0".repeat(64),
            since_unix_s: 1,
            reason: "taken back".to_owned(),
            unsaved: false,
            last_faults: Vec::new(),
        }
    }

    fn plugins(quarantine: &Quarantine) -> Vec<String> {
        quarantine.list().into_iter().map(|entry| entry.plugin).collect()
    }

    #[test]
    fn what_is_kept_out_outlives_the_server_and_half_a_write() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("quarantine.json");
        let quarantine = Quarantine::at(path.clone());
        quarantine.add(entry("a", 'a'));
        quarantine.add(entry("b", 'b'));
        // A server that ended while it wrote leaves this beside the file.
        fs::write(path.with_added_extension("new"), "{\"plugin\":\"a").unwrap();
        assert_eq!(plugins(&Quarantine::at(path.clone())), ["a", "b"]);
        Quarantine::at(path.clone()).add(entry("c", 'c'));
        assert_eq!(plugins(&Quarantine::at(path)), ["a", "b", "c"]);
    }

    #[test]
    fn a_damaged_line_costs_itself_and_not_the_others() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("quarantine.json");
        let quarantine = Quarantine::at(path.clone());
        quarantine.add(entry("a", 'a'));
        quarantine.add(entry("b", 'b'));
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("\u{0}garbage\n{}", &text[..text.len() - 20])).unwrap();
        assert_eq!(plugins(&Quarantine::at(path)), ["a"]);
    }

    #[test]
    fn it_is_cleared_by_name_or_by_the_beginning_of_a_digest() {
        let quarantine = Quarantine::default();
        ['a', 'b', 'c', 'd'].into_iter().for_each(|digit| quarantine.add(entry(&digit.to_string().repeat(3), digit)));
        let clear = |what: &str| quarantine.clear(what).unwrap().len();
        assert_eq!(clear("aaa"), 1);
        assert_eq!(clear("BBBBBBBBBBBB"), 1);
        assert_eq!((clear("ccccccccccc"), clear("x"), clear("")), (0, 0, 0), "11 digits are too few");
        assert_eq!(plugins(&quarantine), ["ccc", "ddd"]);
    }

    #[test]
    fn where_the_file_cannot_be_written_it_holds_until_the_server_ends() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("gone").join("quarantine.json");
        let quarantine = Quarantine::at(path);
        quarantine.add(entry("a", 'a'));
        quarantine.refresh();
        assert_eq!(plugins(&quarantine), ["a"]);
        assert!(quarantine.clear("a").is_err());
        assert_eq!(plugins(&quarantine), ["a"], "nothing was cleared");
    }
}
