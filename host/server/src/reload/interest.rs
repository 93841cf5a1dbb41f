//! The parts of the file system that a generation depends on: its directories, and every link on the way to a file.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::Paths;
use super::links::{Way, way};
use super::read::{DEPTH_MAX, PLUGIN_VECTORS, is_hidden};

/// Real paths, as in the events of the file system.
#[derive(Debug, Default)]
pub(super) struct Interest {
    /// Directories in which every change matters.
    whole: BTreeSet<PathBuf>,
    /// Files, directories and links that matter on their own, in a directory with others that do not.
    names: BTreeSet<PathBuf>,
}

impl Interest {
    /// What matters now; it changes when a link leads elsewhere.
    pub(super) fn of(paths: &Paths) -> Self {
        let mut interest = Self::default();
        interest.lead_to(&paths.bridge);
        let channels = interest.lead_to(&paths.channels);
        interest.below(&channels, DEPTH_MAX, &channels);
        let plugins = interest.lead_to(&paths.plugins);
        // Not recursive: below a plugin's directory there are build trees of thousands of files.
        for plugin in interest.directory(&plugins) {
            interest.directory(&plugin);
            let vectors = interest.lead_to(&plugin.join(PLUGIN_VECTORS));
            interest.directory(&vectors);
        }
        interest
    }

    /// The directories to watch. If a directory is deleted and created again, only the directory around it shows that.
    pub(super) fn directories(&self) -> BTreeSet<PathBuf> {
        let around = self.names.iter().filter_map(|name| name.parent()).map(PathBuf::from);
        self.whole.iter().cloned().chain(around).filter(|path| path.is_dir()).collect()
    }

    /// Whether a change of these paths matters; an empty list means that changes were missed.
    pub(super) fn is_touched_by(&self, changed: &[PathBuf]) -> bool {
        let matters = |path: &PathBuf| {
            self.names.contains(path) || path.parent().is_some_and(|directory| self.whole.contains(directory))
        };
        changed.is_empty() || changed.iter().any(matters)
    }

    /// Adds every link on the way to a path, and returns the path's end.
    fn lead_to(&mut self, path: &Path) -> PathBuf {
        let Way { links, end } = way(path);
        self.names.extend(links);
        self.names.insert(end.clone());
        end
    }

    /// Adds a directory; returns the directories in it, including those behind links.
    fn directory(&mut self, directory: &Path) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
        if !self.whole.insert(directory.to_path_buf()) {
            return Vec::new();
        }
        let paths = entries.flatten().map(|entry| entry.path()).filter(|path| !is_hidden(path));
        let ends = paths.map(|path| if path.is_symlink() { self.lead_to(&path) } else { path });
        ends.filter(|end| end.is_dir()).collect()
    }

    /// Adds a directory and those below it, except behind links that lead elsewhere.
    fn below(&mut self, directory: &Path, depth: usize, home: &Path) {
        for child in self.directory(directory) {
            if depth > 0 && child.starts_with(home) {
                self.below(&child, depth - 1, home);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_swap_of_a_volume_matters_and_what_lies_beside_it_does_not() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("..1/schemas")).unwrap();
        fs::create_dir_all(root.join("plugins/p/tests")).unwrap();
        fs::create_dir_all(root.join("elsewhere/deep")).unwrap();
        fs::write(root.join("..1/a.yaml"), "").unwrap();
        symlink("..1", root.join("..data")).unwrap();
        symlink("..data", root.join("channels")).unwrap();
        symlink("../elsewhere", root.join("..1/out")).unwrap();
        symlink(".", root.join("..1/schemas/again")).unwrap();
        symlink("../elsewhere", root.join("plugins/linked")).unwrap();
        let paths = Paths {
            channels: root.join("channels"),
            plugins: root.join("plugins"),
            bridge: root.join("config/bridge.yaml"),
            ..Paths::default()
        };
        let interest = Interest::of(&paths);
        let touched = |path: &str| interest.is_touched_by(&[root.join(path)]);
        for matters in ["..data", "channels", "..1/b.yaml", "..1/schemas/x.json", "plugins/q", "plugins/p/p.wasm"] {
            assert!(touched(matters), "{matters}: {interest:#?}");
        }
        for matters in ["plugins/p/tests/x.json", "elsewhere/plugin.yaml", "config/bridge.yaml"] {
            assert!(touched(matters), "{matters}: {interest:#?}");
        }
        for beside in ["other", "config/tidegate.yaml", "elsewhere/deep/x.json", "plugins/p/target/x"] {
            assert!(!touched(beside), "{beside}: {interest:#?}");
        }
        assert!(interest.is_touched_by(&[]));
        assert!(interest.directories().contains(&root), "{interest:#?}");
    }
}
