//! A snapshot of directories, for systems that do not report changes: it is taken every few seconds, and the difference
//! of two shows what changed between them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// A snapshot of the entries of directories, not below them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Look {
    entries: BTreeMap<PathBuf, Seen>,
}

/// The properties that show a change of an entry.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    File {
        inode: u64,
        bytes: u64,
        modified_ns: i128,
        changed_ns: i128,
    },
    /// Its own entries are checked if they matter.
    Directory {
        inode: u64,
    },
    /// It exists, but leads nowhere.
    Nothing,
}

impl Look {
    /// Takes a snapshot. An unreadable directory counts as empty.
    pub(super) fn at(directories: &BTreeSet<PathBuf>) -> Self {
        let entries = directories.iter().filter_map(|directory| fs::read_dir(directory).ok()).flatten().flatten();
        Self { entries: entries.map(|entry| entry.path()).map(|path| (path.clone(), Seen::of(&path))).collect() }
    }

    /// The paths that were created, deleted or changed between another snapshot and this one.
    pub(super) fn changed_since(&self, before: &Self) -> Vec<PathBuf> {
        let came = self.entries.iter().filter(|(path, seen)| before.entries.get(*path) != Some(*seen));
        let went = before.entries.keys().filter(|path| !self.entries.contains_key(*path));
        came.map(|(path, _)| path).chain(went).cloned().collect()
    }
}

impl Seen {
    /// The properties of a link's target: a changed link has another inode behind it.
    fn of(path: &Path) -> Self {
        let nanoseconds = |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => Self::Directory { inode: found.ino() },
            Ok(found) => Self::File {
                inode: found.ino(),
                bytes: found.size(),
                modified_ns: nanoseconds(found.mtime(), found.mtime_nsec()),
                changed_ns: nanoseconds(found.ctime(), found.ctime_nsec()),
            },
            Err(_) => Self::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_came_went_changed_or_leads_elsewhere_differs_and_nothing_else_does() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        for name in ["same", "changed", "gone", "one", "other", "touched"] {
            fs::write(at(name), "text").unwrap();
        }
        fs::create_dir(at("directory")).unwrap();
        symlink(at("one"), at("link")).unwrap();
        let directories = BTreeSet::from([directory.path().to_owned()]);
        let before = Look::at(&directories);
        assert_eq!(Look::at(&directories).changed_since(&before), Vec::<PathBuf>::new());

        // The same length as before: only the time differs.
        fs::write(at("changed"), "TEXT").unwrap();
        fs::write(at("came"), "text").unwrap();
        fs::write(at("directory/within"), "text").unwrap();
        fs::remove_file(at("gone")).unwrap();
        fs::remove_file(at("link")).unwrap();
        symlink(at("other"), at("link")).unwrap();
        let changed = Look::at(&directories).changed_since(&before);
        assert_eq!(changed, ["came", "changed", "link", "gone"].map(at));
    }
}
