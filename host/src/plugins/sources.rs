//! What a plugin is built from: the files of its own directory, and those cargo says it read elsewhere.

use std::collections::BTreeSet;
use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};

use super::{PluginManifest, WASM_TARGET};

/// Deepest directory below a plugin's that is looked at.
const DEPTH_MAX: usize = 8;
/// Largest file that is compared by its content, in bytes; of a larger one, size and time.
const CONTENT_BYTES_MAX: u64 = 4 << 20;
/// Directories that builds fill.
const BUILD_TREES: [&str; 3] = ["target", "node_modules", "__pycache__"];
/// What makes a directory a cargo package.
const CARGO_MANIFEST: &str = "Cargo.toml";

/// The files a plugin is built from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    files: BTreeSet<PathBuf>,
    directories: BTreeSet<PathBuf>,
    /// Whether the files elsewhere are known: only a cargo build that went well tells them.
    complete: bool,
}

impl Sources {
    /// The sources of the plugin in `dir`, which builds into `target_dir`. Not among them: hidden files, what builds
    /// leave (`target/`, `node_modules/`, `__pycache__/`), editors' backups, and components.
    #[must_use]
    pub fn of(dir: &Path, manifest: &PluginManifest, target_dir: &Path) -> Self {
        let mut sources = Self::default();
        sources.walk(dir, 0);
        let told = target_dir.join(WASM_TARGET).join("release").join(&manifest.component).with_extension("d");
        if let Ok(text) = fs::read_to_string(told) {
            sources.complete = true;
            for file in prerequisites(&text) {
                sources.add_package_of(&file);
                sources.add(file);
            }
            sources.add_package_of(&dir.join(CARGO_MANIFEST));
        } else {
            sources.complete = !dir.join(CARGO_MANIFEST).is_file();
        }
        sources
    }

    /// Whether a path may be a source or a directory of sources, by its name.
    #[must_use]
    pub fn may_hold(path: &Path) -> bool {
        is_source(path)
    }

    /// Where the files are: a change of one, and a new one, is a change in one of these.
    #[must_use]
    pub const fn directories(&self) -> &BTreeSet<PathBuf> {
        &self.directories
    }

    /// Whether all files are known. Those elsewhere are not before the first build that went well.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.complete
    }

    /// Equal for equal contents.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for path in &self.files {
            path.hash(&mut hasher);
            match fs::metadata(path) {
                Ok(metadata) if metadata.len() <= CONTENT_BYTES_MAX => fs::read(path).ok().hash(&mut hasher),
                Ok(metadata) => (metadata.len(), metadata.modified().ok()).hash(&mut hasher),
                Err(_) => {}
            }
        }
        hasher.finish()
    }

    fn walk(&mut self, directory: &Path, depth: usize) {
        self.directories.insert(directory.to_path_buf());
        let Ok(entries) = fs::read_dir(directory) else { return };
        for path in entries.flatten().map(|entry| entry.path()).filter(|path| is_source(path)) {
            // Not through links: where they lead is not the plugin's.
            let Ok(kind) = fs::symlink_metadata(&path).map(|metadata| metadata.file_type()) else { continue };
            if kind.is_dir() && depth < DEPTH_MAX {
                self.walk(&path, depth + 1);
            } else if !kind.is_dir() {
                self.files.insert(path);
            }
        }
    }

    fn add(&mut self, file: PathBuf) {
        self.directories.extend(file.parent().map(Path::to_path_buf));
        self.files.insert(file);
    }

    /// The manifests above a file: of its package, and of the workspace that may hold it.
    fn add_package_of(&mut self, file: &Path) {
        let manifests = file.ancestors().skip(1).map(|above| above.join(CARGO_MANIFEST));
        for manifest in manifests.filter(|manifest| manifest.is_file()).take(2).collect::<Vec<_>>() {
            self.add(manifest);
        }
    }
}

/// Not what builds, editors and version control leave.
fn is_source(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let is_component = name.ends_with(".wasm") || name.ends_with(".wasm.new");
    !name.starts_with('.') && !name.ends_with('~') && !is_component && !BUILD_TREES.contains(&&*name)
}

/// The files after the first `: ` of cargo's dep-info, which writes a space of a path as `\ `.
/// <https://doc.rust-lang.org/cargo/reference/build-cache.html#dep-info-files>
fn prerequisites(dep_info: &str) -> Vec<PathBuf> {
    let Some((_, listed)) = dep_info.lines().next().and_then(|line| line.split_once(": ")) else { return Vec::new() };
    let mut files = vec![String::new()];
    let mut escaped = false;
    for letter in listed.chars() {
        match (letter, escaped) {
            ('\\', false) => escaped = true,
            (' ', false) => files.push(String::new()),
            (letter, was_escaped) => {
                if let Some(file) = files.last_mut() {
                    if was_escaped && letter != ' ' {
                        file.push('\\');
                    }
                    file.push(letter);
                }
                escaped = false;
            }
        }
    }
    files.into_iter().filter(|file| !file.is_empty()).map(PathBuf::from).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::SourceFile;
    use crate::plugins::read_manifest;

    fn sources(root: &Path) -> Sources {
        let text = "component: p.wasm\nbuild: cargo build\n".to_owned();
        let manifest = read_manifest(&Arc::new(SourceFile { path: "plugin.yaml".to_owned(), text })).unwrap();
        Sources::of(&root.join("p"), &manifest, &root.join("target"))
    }

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn only_a_change_of_a_source_changes_the_fingerprint() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "p/src/main.py", "1");
        let first = sources(root.path()).fingerprint();
        for built in ["p/p.wasm", "p/target/x", "p/node_modules/x/y.js", "p/.venv/z", "p/src/main.py~", "p/.main.swp"] {
            write(root.path(), built, "built");
        }
        assert_eq!(sources(root.path()).fingerprint(), first);
        write(root.path(), "p/src/more.py", "2");
        let second = sources(root.path()).fingerprint();
        assert_ne!(second, first);
        write(root.path(), "p/src/main.py", "3");
        assert_ne!(sources(root.path()).fingerprint(), second);
    }

    #[test]
    fn the_files_cargo_read_elsewhere_are_sources_once_it_told_them() {
        let root = tempfile::tempdir().unwrap();
        for file in ["p/Cargo.toml", "p/src/lib.rs", "s d k/src/lib.rs", "s d k/Cargo.toml", "wit/plugin.wit"] {
            write(root.path(), file, "");
        }
        assert!(!sources(root.path()).is_complete());
        let at = root.path().display();
        let told = format!("{at}/p.wasm: {at}/p/src/lib.rs {at}/s\\ d\\ k/src/lib.rs {at}/wit/plugin.wit\n");
        write(root.path(), "target/wasm32-wasip2/release/p.d", &told);
        let found = sources(root.path());
        assert!(found.is_complete());
        for file in ["p/Cargo.toml", "s d k/src/lib.rs", "s d k/Cargo.toml", "wit/plugin.wit"] {
            assert!(found.files.contains(&root.path().join(file)), "{file}: {found:?}");
        }
        assert!(found.directories().contains(&root.path().join("wit")));
    }
}
