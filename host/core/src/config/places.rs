//! Where a configuration says that things are, for commands that serve nothing.

use std::path::{Path, PathBuf};

use super::{Config, Diagnostic, Override};

/// The keys that say it.
const PLACES: [&str; 6] = ["listen", "channels", "plugins", "plugin_cache", "plugin_quarantine", "bridge"];

impl Config {
    /// As [`Config::load`], and only where things are: the address, directories and files. All else is the default,
    /// whatever stands there and whatever of its environment is not set.
    ///
    /// # Errors
    /// The mistakes of those keys.
    pub fn load_places(
        file: Option<&Path>,
        env: impl IntoIterator<Item = (String, String)>,
        overrides: &[Override],
    ) -> Result<Self, Vec<Diagnostic>> {
        Self::load_keys(Some(&PLACES), file, env, overrides).map_err(|failed| failed.mistakes)
    }
}

/// Joins and takes `x/..` out, unless `x` is a link and the way back leads elsewhere.
pub(super) fn join(directory: &Path, path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in directory.join(path).components() {
        let back = part == std::path::Component::ParentDir;
        let named = matches!(out.components().next_back(), Some(std::path::Component::Normal(_)));
        if back && named && !out.is_symlink() {
            out.pop();
        } else if part != std::path::Component::CurDir {
            out.push(part);
        }
    }
    if out.as_os_str().is_empty() { PathBuf::from(".") } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_things_are_is_known_whatever_else_is_wrong_or_not_set() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("tidegate.yaml");
        std::fs::write(&file, "plugins: mine\nlisten: 127.0.0.1:4000\nstore: '${NOT_SET}'\nwrong: key\n").unwrap();
        let places = Config::load_places(Some(&file), [], &[]).unwrap();
        assert_eq!((places.plugins, places.listen.port()), (directory.path().join("mine"), 4000));
        std::fs::write(&file, "plugins: '${NOT_SET}'\n").unwrap();
        assert!(Config::load_places(Some(&file), [], &[]).is_err());
    }
}
