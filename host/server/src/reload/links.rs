//! Links among the files of a generation. Links that stay inside a directory are followed, like those of a mounted
//! volume: `order.json -> ..data/order.json`, `..data -> ..2026_11_29`. A link that leads out of it is an error.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};
use std::{env, fs, io};

/// Most links on the way to one file, as Linux has it.
const LINKS_MAX: usize = 40;

/// A directory that files must stay in; it may be a link itself.
#[derive(Debug, Clone)]
pub(super) struct Home {
    /// The name for messages.
    name: PathBuf,
    real: Vec<PathBuf>,
}

impl Home {
    /// This directory.
    pub(super) fn of(directory: &Path) -> Self {
        Self { name: directory.to_path_buf(), real: directory.canonicalize().into_iter().collect() }
    }

    /// Also allows this directory.
    pub(super) fn or(mut self, directory: &Path) -> Self {
        self.real.extend(directory.canonicalize());
        self
    }

    /// The real path behind a path.
    ///
    /// # Errors
    /// If it leads nowhere, or out of the directory ([`LeadsOut`]).
    pub(super) fn real(&self, path: &Path) -> io::Result<PathBuf> {
        let real = path.canonicalize()?;
        if self.real.iter().any(|home| real.starts_with(home)) {
            return Ok(real);
        }
        Err(io::Error::other(LeadsOut { directory: self.name.clone(), is_directory: real.is_dir() }))
    }
}

/// A link that leads out of its directory.
#[derive(Debug, thiserror::Error)]
#[error("it is a link that leads out of `{}`", directory.display())]
pub(super) struct LeadsOut {
    directory: PathBuf,
    is_directory: bool,
}

impl LeadsOut {
    /// The hint for it.
    pub(super) const HINT: &str = "replace it with a copy, or make the whole directory a link: links to files may lead only to places inside the directory";

    /// Whether an error is about a link to a directory elsewhere.
    pub(super) fn is_of_directory(error: &io::Error) -> bool {
        Self::of(error).is_some_and(|out| out.is_directory)
    }

    /// The link of an error, if it leads out.
    pub(super) fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

/// The way to a file or a directory, which need not exist.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Way {
    /// Every link on it, by the real path of the link's directory.
    pub(super) links: Vec<PathBuf>,
    /// Where it ends.
    pub(super) end: PathBuf,
}

/// Follows a path, link by link.
pub(super) fn way(path: &Path) -> Way {
    let mut way = Way::default();
    let absolute =
        if path.is_absolute() { path.to_path_buf() } else { env::current_dir().unwrap_or_default().join(path) };
    let mut ahead: VecDeque<OsString> = steps(&absolute).collect();
    while let Some(step) = ahead.pop_front() {
        if step == ".." {
            way.end.pop();
            continue;
        }
        // An absolute step starts over.
        way.end.push(&step);
        if way.links.len() < LINKS_MAX
            && let Ok(target) = fs::read_link(&way.end)
        {
            way.links.push(way.end.clone());
            way.end.pop();
            for step in steps(&target).collect::<Vec<_>>().into_iter().rev() {
                ahead.push_front(step);
            }
        }
    }
    way
}

fn steps(path: &Path) -> impl Iterator<Item = OsString> + '_ {
    let steps = path.components().filter(|component| !matches!(component, Component::CurDir));
    steps.map(|component| component.as_os_str().to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_link_is_followed_inside_its_directory_and_refused_when_it_leads_out() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        fs::create_dir_all(at("channels/..1")).unwrap();
        fs::create_dir_all(at("elsewhere")).unwrap();
        for file in ["channels/..1/a.json", "elsewhere/b.json"] {
            fs::write(at(file), "{}").unwrap();
        }
        symlink("..1", at("channels/..data")).unwrap();
        symlink("..data/a.json", at("channels/a.json")).unwrap();
        symlink("../elsewhere/b.json", at("channels/b.json")).unwrap();
        symlink("loop.json", at("channels/loop.json")).unwrap();
        symlink("channels", at("linked")).unwrap();
        for directory in ["channels", "linked"] {
            let home = Home::of(&at(directory));
            assert!(home.real(&at(directory).join("a.json")).unwrap().ends_with("channels/..1/a.json"));
            let error = home.real(&at(directory).join("b.json")).unwrap_err();
            assert!(LeadsOut::of(&error).is_some(), "{error}");
            assert!(home.real(&at(directory).join("loop.json")).is_err());
        }
        assert!(Home::of(&at("channels")).or(&at("elsewhere")).real(&at("channels/b.json")).is_ok());
    }

    #[test]
    fn every_link_on_a_way_is_known_and_a_circle_ends() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("..1/channels")).unwrap();
        symlink("..1", root.join("..data")).unwrap();
        symlink("..data/channels", root.join("channels")).unwrap();
        let found = way(&root.join("channels"));
        assert_eq!(found.links, [root.join("channels"), root.join("..data")]);
        assert_eq!(found.end, root.join("..1/channels"));
        symlink("there", root.join("here")).unwrap();
        symlink("here", root.join("there")).unwrap();
        assert_eq!(way(&root.join("here/x")).links.len(), LINKS_MAX);
        assert_eq!(way(&root.join("none/x")), Way { links: Vec::new(), end: root.join("none/x") });
    }
}
