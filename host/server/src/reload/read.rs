//! Reads every file that a generation is built from. An unreadable file is a diagnostic, not a panic and not a guess.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::ffi::OsStr;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io::{self, Read as _};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::links::{Home, LeadsOut};
use tidegate_core::channels::{NamedPlugin, UnreadFiles};
use tidegate_core::config::{self, ByteSize, Diagnostic, SourceFile, Teams};
use tidegate_core::protocol::PluginName;
use tidegate_wasm::{PluginSource, Vector};

/// Largest manifest or schema file read, in bytes.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// The deepest level below `channels/` at which schemas are read.
pub(super) const DEPTH_MAX: usize = 8;
/// Most files and directories below `channels/`: links may lead to one directory in many ways.
const ENTRIES_MAX: usize = 50_000;
/// The file that makes a directory a plugin.
const PLUGIN_MANIFEST: &str = "plugin.yaml";
/// Where a plugin's golden vectors are, in its directory.
pub(super) const PLUGIN_VECTORS: &str = "tests";
/// Where the examples of channels are, in the channels directory.
const CHANNEL_EXAMPLES: &str = "tests";

/// Where the files are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Paths {
    /// The manifests and their schemas.
    pub channels: PathBuf,
    /// The directory with one directory for each plugin.
    pub plugins: PathBuf,
    /// The bridge table.
    pub bridge: PathBuf,
    /// Plugins that the configuration names: every generation must have them.
    pub named: Vec<NamedPlugin>,
    /// `limits.ack_bytes`, which the snapshots of every generation must fit into.
    pub ack_bytes_max: Option<usize>,
    /// The teams of the configuration, which own the features of every generation.
    pub teams: Teams,
}

/// The files as read, not checked.
#[derive(Debug, Clone, Default)]
pub struct Read {
    /// `channels/*.yaml`, by path.
    pub manifests: Vec<Arc<SourceFile>>,
    /// Schema files by their path below `channels/`.
    pub schemas: BTreeMap<String, Arc<SourceFile>>,
    /// The bridge table, if there is one.
    pub bridge: Option<Arc<SourceFile>>,
    /// Every plugin.
    pub plugins: Vec<PluginSource>,
    /// Plugins that must be among them.
    pub named: Vec<NamedPlugin>,
    /// The most bytes of a snapshot.
    pub ack_bytes_max: Option<usize>,
    /// The teams of the configuration.
    pub teams: Teams,
    /// Plugins that exist but could not be read.
    pub unread: Vec<Unread>,
    /// Other unreadable files, as far as other files may refer to their content.
    pub missed: UnreadFiles,
    /// All other errors of reading.
    pub mistakes: Vec<Diagnostic>,
}

/// A plugin that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// The directory's name.
    pub name: PluginName,
    /// Why.
    pub mistakes: Vec<Diagnostic>,
    /// Whether its component is missing and its `build` would create it.
    pub is_unbuilt: bool,
}

impl Read {
    /// Equal contents give equal fingerprints, so that a file with a new time but the same content causes no reload.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for file in self.manifests.iter().chain(self.schemas.values()).chain(&self.bridge) {
            (&file.path, &file.text).hash(&mut hasher);
        }
        for plugin in &self.plugins {
            (&plugin.manifest.path, &plugin.manifest.text, &plugin.component).hash(&mut hasher);
            for vector in &plugin.vectors {
                (&vector.path, &vector.text).hash(&mut hasher);
            }
        }
        for mistake in self.unread.iter().flat_map(|plugin| &plugin.mistakes).chain(&self.mistakes) {
            mistake.render().hash(&mut hasher);
        }
        hasher.finish()
    }
}

/// Reads all files. The result also has the errors: one file hides no error of another.
#[must_use]
pub fn read(paths: &Paths) -> Read {
    let Paths { named, ack_bytes_max, teams, .. } = paths;
    let (named, teams) = (named.clone(), teams.clone());
    let mut found = Read { named, ack_bytes_max: *ack_bytes_max, teams, ..Read::default() };
    let mut mistakes = Vec::new();
    read_manifests(&paths.channels, &mut found, &mut mistakes);
    match read_text(&paths.bridge) {
        Ok(file) => found.bridge = Some(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => mistakes.push(unreadable("bridge table", &paths.bridge, &error)),
    }
    read_plugins(&paths.plugins, &mut found, &mut mistakes);
    Read { mistakes, ..found }
}

/// Reads only the manifests and their schemas.
///
/// # Errors
/// Every file and directory that could not be read.
pub fn read_channels(directory: &Path) -> Result<Read, Vec<Diagnostic>> {
    let (mut found, mut mistakes) = (Read::default(), Vec::new());
    read_manifests(directory, &mut found, &mut mistakes);
    if mistakes.is_empty() { Ok(found) } else { Err(mistakes) }
}

fn read_manifests(directory: &Path, found: &mut Read, mistakes: &mut Vec<Diagnostic>) {
    let entries =
        match sorted_entries(directory) {
            Ok(entries) => entries,
            Err(error) => {
                found.missed.manifests = true;
                mistakes.push(unreadable("channels directory", directory, &error).hint(
                    "set it with `channels:` in the configuration; the path is relative to the configuration file",
                ));
                return;
            }
        };
    let home = Home::of(directory);
    for path in entries.into_iter().filter(|path| has_extension(path, &["yaml", "yml"])) {
        match read_file(&home, &path) {
            Ok(file) => found.manifests.extend(file),
            Err(error) => {
                found.missed.manifests = true;
                mistakes.push(unreadable("channel manifest", &path, &error));
            }
        }
    }
    Schemas { root: directory, home: &home, entries: 0, found, mistakes }
        .read(directory, &mut directory.canonicalize().into_iter().collect());
}

/// Reads every schema below the channels directory.
struct Schemas<'a> {
    root: &'a Path,
    home: &'a Home,
    entries: usize,
    found: &'a mut Read,
    mistakes: &'a mut Vec<Diagnostic>,
}

impl Schemas<'_> {
    /// Reads the schemas of a directory; `above` holds the real paths of the directories around it.
    fn read(&mut self, directory: &Path, above: &mut Vec<PathBuf>) {
        let Ok(entries) = sorted_entries(directory) else { return };
        for path in entries {
            self.entries += 1;
            if self.entries == ENTRIES_MAX {
                let message = format!("`{}` has more than {ENTRIES_MAX} files and directories", show(self.root));
                self.mistakes.push(Diagnostic::new(message).hint("does a link inside it lead back to it?"));
            }
            if self.entries >= ENTRIES_MAX {
                return;
            }
            let is_json = has_extension(&path, &["json"]);
            match self.home.real(&path) {
                Ok(real) if real.is_dir() => self.below(&path, real, above),
                Ok(real) if is_json && real.is_file() => self.file(&path),
                Ok(_) => {}
                Err(error) if is_json || LeadsOut::is_of_directory(&error) => self.missed(&path, &error),
                Err(_) => {}
            }
        }
    }

    /// A link to a surrounding directory leads to nothing new.
    fn below(&mut self, path: &Path, real: PathBuf, above: &mut Vec<PathBuf>) {
        if above.len() <= DEPTH_MAX && !above.contains(&real) {
            above.push(real);
            self.read(path, above);
            above.pop();
        }
    }

    fn file(&mut self, path: &Path) {
        match read_text(path) {
            Ok(file) => {
                self.found.schemas.insert(relative(self.root, path), file);
            }
            Err(error) => self.missed(path, &error),
        }
    }

    fn missed(&mut self, path: &Path, error: &io::Error) {
        self.found.missed.schemas.insert(relative(self.root, path));
        self.mistakes.push(unreadable("schema", path, error));
    }
}

fn read_plugins(directory: &Path, found: &mut Read, mistakes: &mut Vec<Diagnostic>) {
    let entries = match sorted_entries(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return,
        Err(error) => {
            found.missed.plugins = true;
            return mistakes.push(unreadable("plugins directory", directory, &error));
        }
    };
    for plugin in entries {
        // A link that leads nowhere counts as a plugin, too, with an error.
        if fs::symlink_metadata(plugin.join(PLUGIN_MANIFEST)).is_err() {
            continue;
        }
        match read_plugin(&plugin) {
            Ok(source) => found.plugins.push(source),
            Err(mistakes) => {
                let (name, is_unbuilt) = (plugin_name(&plugin), is_unbuilt(&plugin));
                found.unread.push(Unread { name, mistakes, is_unbuilt });
            }
        }
    }
}

fn is_unbuilt(directory: &Path) -> bool {
    let manifest =
        read_text(&directory.join(PLUGIN_MANIFEST)).ok().and_then(|file| tidegate_wasm::read_manifest(&file).ok());
    manifest.is_some_and(|manifest| manifest.build.is_some() && !directory.join(&manifest.component).exists())
}

/// Reads the plugin of a directory: its `plugin.yaml`, its component, and its golden vectors.
///
/// # Errors
/// Every file that cannot be read, and the errors of the others.
pub fn read_plugin(directory: &Path) -> Result<PluginSource, Vec<Diagnostic>> {
    let component = read_plugin_manifest(directory)
        .and_then(|manifest| read_component(directory, plugin_name(directory), manifest));
    match (component, read_vectors(directory)) {
        (Ok(source), Ok(vectors)) => Ok(PluginSource { vectors, ..source }),
        (Ok(source), Err(mut mistakes)) => {
            mistakes.extend(tidegate_wasm::read_manifest(&source.manifest).err().unwrap_or_default());
            Err(mistakes)
        }
        (Err(mut mistakes), Ok(vectors)) => {
            mistakes.extend(vectors.iter().filter_map(|vector| Vector::read(vector).err()));
            Err(mistakes)
        }
        (Err(mut mistakes), Err(mut others)) => {
            mistakes.append(&mut others);
            Err(mistakes)
        }
    }
}

/// Reads the `plugin.yaml` of a directory.
///
/// # Errors
/// Why it cannot be read.
pub fn read_plugin_manifest(directory: &Path) -> Result<Arc<SourceFile>, Vec<Diagnostic>> {
    let (path, home) = (directory.join(PLUGIN_MANIFEST), plugin_home(directory));
    let manifest = home.real(&path).and_then(|_| read_text(&path));
    manifest.map_err(|error| vec![unreadable("plugin manifest", &path, &error)])
}

/// The name of the plugin in a directory: the directory's own name, or that of a link to it.
#[must_use]
pub fn plugin_name(directory: &Path) -> PluginName {
    // `.` has no name of its own.
    let name = directory.file_name().map(OsStr::to_owned);
    let name = name.or_else(|| directory.canonicalize().ok()?.file_name().map(OsStr::to_owned));
    PluginName::new(name.unwrap_or_default().to_string_lossy())
}

/// The directories that a plugin's files may be in: its own, and that of all plugins.
fn plugin_home(directory: &Path) -> Home {
    let absolute = std::path::absolute(directory).unwrap_or_default();
    Home::of(directory).or(absolute.parent().unwrap_or(directory))
}

/// Reads a component without a `plugin.yaml`.
///
/// # Errors
/// The file system's error.
pub fn read_component_file(path: &Path) -> io::Result<Vec<u8>> {
    read_bounded(path)
}

/// Reads the golden vectors of a plugin's directory: `tests/*.json`, by name.
///
/// # Errors
/// Every file that cannot be read.
pub fn read_vectors(directory: &Path) -> Result<Vec<Arc<SourceFile>>, Vec<Diagnostic>> {
    read_json(&directory.join(PLUGIN_VECTORS), "vector", &plugin_home(directory))
}

/// Reads the examples of channels: `tests/*.json` below the channels directory, by name.
///
/// # Errors
/// Every file that cannot be read.
pub fn read_channel_examples(channels: &Path) -> Result<Vec<Arc<SourceFile>>, Vec<Diagnostic>> {
    read_json(&channels.join(CHANNEL_EXAMPLES), "example", &Home::of(channels))
}

/// Every JSON file of a directory; none if there is no directory.
fn read_json(directory: &Path, what: &str, home: &Home) -> Result<Vec<Arc<SourceFile>>, Vec<Diagnostic>> {
    let entries = match sorted_entries(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(vec![unreadable(&format!("directory of {what}s"), directory, &error)]),
    };
    let (mut files, mut mistakes) = (Vec::new(), Vec::new());
    for path in entries.iter().filter(|path| has_extension(path, &["json"])) {
        match read_file(home, path) {
            Ok(file) => files.extend(file),
            Err(error) => mistakes.push(unreadable(what, path, &error)),
        }
    }
    if mistakes.is_empty() { Ok(files) } else { Err(mistakes) }
}

fn read_component(
    directory: &Path,
    name: PluginName,
    manifest: Arc<SourceFile>,
) -> Result<PluginSource, Vec<Diagnostic>> {
    let mistakes = || tidegate_wasm::read_manifest(&manifest).err().unwrap_or_default();
    // Whatever other errors the manifest has: they are reported when the plugin is loaded.
    let Some((component, build)) = tidegate_wasm::component_named(&manifest) else { return Err(mistakes()) };
    let path = directory.join(&component);
    match plugin_home(directory).real(&path).and_then(|_| read_bounded(&path)) {
        Ok(component) => {
            Ok(PluginSource { name, manifest, component_path: show(&path), component, vectors: Vec::new() })
        }
        Err(error) => {
            let mut mistake = unreadable(&format!("component of plugin `{name}`"), &path, &error);
            let tree = config::parse_yaml(&manifest, &mut Vec::new());
            mistake.place = tree.and_then(|root| Some(root.get("component")?.place.clone()));
            if let (io::ErrorKind::NotFound, Some(build)) = (error.kind(), &build) {
                mistake = mistake
                    .hint(format!("build it: `tidegate plugin build {name}` runs `{build}` in the plugin's directory"));
            }
            Err([mistakes(), vec![mistake]].concat())
        }
    }
}

/// Reads at most one byte more than a component may have, even if the file grows meanwhile. A file that is too large
/// from the beginning is not read: nobody needs its digest.
fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let bytes_max = tidegate_wasm::COMPONENT_BYTES_MAX as u64;
    let file = fs::File::open(path)?;
    let bytes = file.metadata()?.len();
    if bytes > bytes_max {
        let most = ByteSize::from_bytes(bytes_max);
        return Err(io::Error::other(format!("it has {bytes} bytes, at most {most} are allowed")));
    }
    let mut component = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut component)?;
    Ok(component)
}

fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    path.extension().is_some_and(|extension| extensions.iter().any(|one| extension == *one))
}

/// Whether a name begins with a dot: an editor's file, or a mounted volume's file (`..data`), which has another name,
/// too.
#[must_use]
pub fn is_hidden(path: &Path) -> bool {
    path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'))
}

fn sorted_entries(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(directory)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    entries.retain(|path| !is_hidden(path));
    entries.sort();
    Ok(entries)
}

/// Reads a file that stays in its directory; `None` if it is not a file.
fn read_file(home: &Home, path: &Path) -> io::Result<Option<Arc<SourceFile>>> {
    if home.real(path)?.is_file() { read_text(path).map(Some) } else { Ok(None) }
}

fn read_text(path: &Path) -> io::Result<Arc<SourceFile>> {
    let bytes = fs::metadata(path)?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(io::Error::other(format!("it has {bytes} bytes, at most {FILE_BYTES_MAX} are allowed")));
    }
    Ok(Arc::new(SourceFile { path: show(path), text: fs::read_to_string(path)? }))
}

fn unreadable(what: &str, path: &Path, error: &io::Error) -> Diagnostic {
    let diagnostic = Diagnostic::new(format!("failed to read {what} `{}`: {error}", show(path)));
    if LeadsOut::of(error).is_some() { diagnostic.hint(LeadsOut::HINT) } else { diagnostic }
}

fn relative(root: &Path, path: &Path) -> String {
    let parts = path.strip_prefix(root).unwrap_or(path).components();
    parts.map(|part| part.as_os_str().to_string_lossy().into_owned()).collect::<Vec<_>>().join("/")
}

/// The path as a person would type it: without `config/../`, and relative to the working directory if it is below it.
/// For a link the link's own path, because its target changes.
fn show(path: &Path) -> String {
    let mut full = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    if full.components().any(|step| step == Component::ParentDir) {
        full = full.canonicalize().unwrap_or(full);
    }
    let here = std::env::current_dir().unwrap_or_default();
    full.strip_prefix(&here).unwrap_or(&full).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(root: &Path) -> Paths {
        Paths {
            channels: root.join("channels"),
            plugins: root.join("plugins"),
            bridge: root.join("bridge.yaml"),
            ..Paths::default()
        }
    }

    #[test]
    fn manifests_schemas_and_the_bridge_are_found_and_other_files_are_not() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("channels/schemas/deep")).unwrap();
        for file in ["a.yaml", "b.yml", ".c.yaml", "a.yaml~", "schemas/x.json", "schemas/deep/y.json"] {
            fs::write(root.path().join("channels").join(file), "{}").unwrap();
        }
        fs::write(root.path().join("bridge.yaml"), "rules: []").unwrap();
        let found = read(&paths(root.path()));
        let names: Vec<_> = found.manifests.iter().map(|file| file.path.rsplit('/').next().unwrap()).collect();
        assert_eq!(names, ["a.yaml", "b.yml"]);
        assert_eq!(found.schemas.keys().collect::<Vec<_>>(), ["schemas/deep/y.json", "schemas/x.json"]);
        assert!(found.bridge.is_some());
    }

    #[test]
    fn a_missing_channels_directory_is_named_and_a_missing_bridge_table_is_none() {
        let root = tempfile::tempdir().unwrap();
        let mistakes = read(&paths(root.path())).mistakes;
        assert_eq!(mistakes.len(), 1);
        assert!(mistakes[0].message.contains("channels directory"), "{}", mistakes[0].message);
    }

    #[test]
    fn equal_contents_have_equal_fingerprints() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("channels")).unwrap();
        let manifest = root.path().join("channels/a.yaml");
        fs::write(&manifest, "feature: a").unwrap();
        let first = read(&paths(root.path())).fingerprint();
        fs::write(&manifest, "feature: a").unwrap();
        assert_eq!(read(&paths(root.path())).fingerprint(), first);
        fs::write(&manifest, "feature: b").unwrap();
        assert_ne!(read(&paths(root.path())).fingerprint(), first);
    }
}
