//! Reads every file a generation is built from. What cannot be read is a diagnostic, not a panic and not a guess.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::channels::NamedPlugin;
use crate::config::{self, ByteSize, Diagnostic, SourceFile};
use crate::plugins::{self, PluginSource};
use crate::protocol::PluginName;

/// Largest manifest or schema file read, in bytes.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Deepest directory below `channels/` that is looked at for schemas.
const DEPTH_MAX: usize = 8;
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
    /// One directory a plugin.
    pub plugins: PathBuf,
    /// The bridge table.
    pub bridge: PathBuf,
    /// Plugins that the configuration names: every generation must have them.
    pub named: Vec<NamedPlugin>,
}

/// Everything read, nothing judged.
#[derive(Debug, Clone, Default)]
pub struct Read {
    /// `channels/*.yaml`, by path.
    pub manifests: Vec<Arc<SourceFile>>,
    /// Schema files by their path below `channels/`.
    pub schemas: BTreeMap<String, Arc<SourceFile>>,
    /// The bridge table, when there is one.
    pub bridge: Option<Arc<SourceFile>>,
    /// Every plugin.
    pub plugins: Vec<PluginSource>,
    /// Plugins that must be among them.
    pub named: Vec<NamedPlugin>,
    /// Plugins that are there and could not be read.
    pub unread: Vec<Unread>,
    /// Everything else that could not be read.
    pub mistakes: Vec<Diagnostic>,
}

/// A plugin that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// The directory's name.
    pub name: PluginName,
    /// Why.
    pub mistakes: Vec<Diagnostic>,
    /// Whether its component is not there and its `build` would make it.
    pub is_unbuilt: bool,
}

impl Read {
    /// Equal for equal contents, so that a touched file is no reload.
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

/// Reads all of it. What could not be read stands in it, too: one file hides no mistake of another.
#[must_use]
pub fn read(paths: &Paths) -> Read {
    let mut found = Read { named: paths.named.clone(), ..Read::default() };
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

/// Reads the manifests and their schemas alone.
///
/// # Errors
/// Every file and directory that could not be read.
pub fn read_channels(directory: &Path) -> Result<Read, Vec<Diagnostic>> {
    let (mut found, mut mistakes) = (Read::default(), Vec::new());
    read_manifests(directory, &mut found, &mut mistakes);
    if mistakes.is_empty() { Ok(found) } else { Err(mistakes) }
}

fn read_manifests(directory: &Path, found: &mut Read, mistakes: &mut Vec<Diagnostic>) {
    let entries = match sorted_entries(directory) {
        Ok(entries) => entries,
        Err(error) => {
            mistakes.push(
                unreadable("channels directory", directory, &error)
                    .hint("`channels:` in the configuration names it, relative to the configuration file"),
            );
            return;
        }
    };
    for path in entries {
        if is_manifest(&path) {
            match read_text(&path) {
                Ok(file) => found.manifests.push(file),
                Err(error) => mistakes.push(unreadable("channel manifest", &path, &error)),
            }
        }
    }
    read_schemas(directory, directory, 0, found, mistakes);
}

fn read_schemas(root: &Path, directory: &Path, depth: usize, found: &mut Read, mistakes: &mut Vec<Diagnostic>) {
    let Ok(entries) = sorted_entries(directory) else { return };
    for path in entries {
        let is_json = path.extension().is_some_and(|extension| extension == "json");
        // Not through links: a schema is a file inside the directory.
        let Ok(kind) = fs::symlink_metadata(&path).map(|metadata| metadata.file_type()) else { continue };
        if kind.is_dir() && depth < DEPTH_MAX {
            read_schemas(root, &path, depth + 1, found, mistakes);
        } else if kind.is_file() && is_json {
            match read_text(&path) {
                Ok(file) => {
                    found.schemas.insert(relative(root, &path), file);
                }
                Err(error) => mistakes.push(unreadable("schema", &path, &error)),
            }
        }
    }
}

fn read_plugins(directory: &Path, found: &mut Read, mistakes: &mut Vec<Diagnostic>) {
    let entries = match sorted_entries(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return,
        Err(error) => return mistakes.push(unreadable("plugins directory", directory, &error)),
    };
    for plugin in entries {
        if !plugin.join(PLUGIN_MANIFEST).exists() {
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
    let manifest = read_text(&directory.join(PLUGIN_MANIFEST)).ok().and_then(|file| plugins::read_manifest(&file).ok());
    manifest.is_some_and(|manifest| manifest.build.is_some() && !directory.join(&manifest.component).exists())
}

/// A plugin's name is its directory's.
fn plugin_name(directory: &Path) -> PluginName {
    // `.` has no name of its own.
    let named = directory.canonicalize().unwrap_or_else(|_| directory.to_path_buf());
    PluginName::new(named.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default())
}

/// Reads the plugin of a directory: its `plugin.yaml`, the component that names, and its golden vectors.
///
/// # Errors
/// Every mistake of the manifest, or what cannot be read.
pub fn read_plugin(directory: &Path) -> Result<PluginSource, Vec<Diagnostic>> {
    let path = directory.join(PLUGIN_MANIFEST);
    let manifest = read_text(&path).map_err(|error| vec![unreadable("plugin manifest", &path, &error)])?;
    let (component, vectors) = (read_component(directory, plugin_name(directory), manifest), read_vectors(directory));
    match (component, vectors) {
        (Ok(source), Ok(vectors)) => Ok(PluginSource { vectors, ..source }),
        (component, vectors) => {
            let mistakes = [component.err(), vectors.err()];
            Err(mistakes.into_iter().flatten().flatten().collect())
        }
    }
}

/// Reads a component that no `plugin.yaml` names.
///
/// # Errors
/// The file system's.
pub fn read_component_file(path: &Path) -> io::Result<Vec<u8>> {
    read_bounded(path)
}

/// Reads the golden vectors of a plugin's directory: `tests/*.json`, by name.
///
/// # Errors
/// Every file that cannot be read.
pub fn read_vectors(directory: &Path) -> Result<Vec<Arc<SourceFile>>, Vec<Diagnostic>> {
    read_json(&directory.join(PLUGIN_VECTORS), "vector")
}

/// Reads the examples of channels: `tests/*.json` below the channels directory, by name.
///
/// # Errors
/// Every file that cannot be read.
pub fn read_channel_examples(channels: &Path) -> Result<Vec<Arc<SourceFile>>, Vec<Diagnostic>> {
    read_json(&channels.join(CHANNEL_EXAMPLES), "example")
}

/// Every JSON file of a directory; none where there is no directory.
fn read_json(directory: &Path, what: &str) -> Result<Vec<Arc<SourceFile>>, Vec<Diagnostic>> {
    let entries = match sorted_entries(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(vec![unreadable(&format!("directory of {what}s"), directory, &error)]),
    };
    let (mut files, mut mistakes) = (Vec::new(), Vec::new());
    for path in entries.iter().filter(|path| path.extension().is_some_and(|extension| extension == "json")) {
        match read_text(path) {
            Ok(file) => files.push(file),
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
    let declared = plugins::read_manifest(&manifest)?;
    let path = directory.join(&declared.component);
    match read_bounded(&path) {
        Ok(component) => {
            Ok(PluginSource { name, manifest, component_path: show(&path), component, vectors: Vec::new() })
        }
        Err(error) => {
            let mut mistake = unreadable(&format!("component of plugin `{name}`"), &path, &error);
            let manifest = config::parse_yaml(&manifest, &mut Vec::new());
            mistake.place = manifest.and_then(|root| Some(root.get("component")?.place.clone()));
            if let (io::ErrorKind::NotFound, Some(build)) = (error.kind(), &declared.build) {
                mistake = mistake
                    .hint(format!("build it: `tidegate plugin build {name}` runs `{build}` in the plugin's directory"));
            }
            Err(vec![mistake])
        }
    }
}

/// One byte more than a component may have, at most, whatever is written to the file meanwhile. What is larger already is
/// refused unread: nobody takes its digest.
fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let bytes_max = plugins::COMPONENT_BYTES_MAX as u64;
    let file = fs::File::open(path)?;
    let bytes = file.metadata()?.len();
    if bytes > bytes_max {
        let most = ByteSize::from_bytes(bytes_max);
        return Err(io::Error::other(format!("it has {bytes} bytes, at most {most} are taken")));
    }
    let mut component = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut component)?;
    Ok(component)
}

/// `*.yaml` and `*.yml`, but not an editor's hidden or backup file.
fn is_manifest(path: &Path) -> bool {
    let hidden = path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
    !hidden && path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") && path.is_file()
}

fn sorted_entries(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(directory)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    entries.sort();
    Ok(entries)
}

fn read_text(path: &Path) -> io::Result<Arc<SourceFile>> {
    let bytes = fs::metadata(path)?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(io::Error::other(format!("{bytes} bytes, more than the {FILE_BYTES_MAX} a manifest may have")));
    }
    Ok(Arc::new(SourceFile { path: show(path), text: fs::read_to_string(path)? }))
}

fn unreadable(what: &str, path: &Path, error: &io::Error) -> Diagnostic {
    Diagnostic::new(format!("failed to read {what} `{}`: {error}", show(path)))
}

fn relative(root: &Path, path: &Path) -> String {
    let parts = path.strip_prefix(root).unwrap_or(path).components();
    parts.map(|part| part.as_os_str().to_string_lossy().into_owned()).collect::<Vec<_>>().join("/")
}

/// The path as a person would type it: without `config/../`, relative to the working directory where it is below it.
fn show(path: &Path) -> String {
    let Ok(full) = path.canonicalize() else { return path.display().to_string() };
    let here = std::env::current_dir().and_then(|here| here.canonicalize()).unwrap_or_default();
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
