//! A revision of git as files in a directory of its own, which goes with it. The work tree stays as it is.

use std::io::{BufReader, Read as _, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};

use crate::cli::failure::Failure;

/// Most files that are taken from a revision.
const FILES_MAX: usize = 100_000;
/// Largest file that is taken, in bytes: no component may be larger.
const FILE_BYTES_MAX: u64 = tidegate_wasm::COMPONENT_BYTES_MAX as u64;

/// A revision and the files that were taken from it.
pub(super) struct Extracted {
    /// As given, with the path in the repository: `main:apps/live/`.
    name: String,
    given: String,
    commit: String,
    /// The project's folder in the repository: empty, or with a `/` at its end.
    folder: String,
    directory: PathBuf,
}

/// A file of a revision.
struct Entry {
    is_link: bool,
    object: String,
    /// Below the project's folder.
    path: String,
}

impl Extracted {
    /// Finds a revision: `main`, `HEAD~1`, `main:apps/live`.
    ///
    /// # Errors
    /// [`Failure::NoGit`], [`Failure::Revision`].
    pub(super) fn open(given: &str) -> Result<Self, Failure> {
        let (revision, path) = given.split_once(':').map_or((given, None), |(revision, path)| (revision, Some(path)));
        let failed = |what: String, hint: &str| Failure::Revision { what, hint: hint.to_owned() };
        let Some(here) = output(given, &["rev-parse", "--show-prefix"])? else {
            return Err(failed(
                format!("there is no directory `{given}`, and the working directory is in no repository of git"),
                "give two directories, or run the command in the repository with the revision",
            ));
        };
        let commit = format!("{revision}^{{commit}}");
        let Some(commit) = output(given, &["rev-parse", "--verify", "--quiet", "--end-of-options", &commit])? else {
            return Err(failed(
                format!("there is no directory `{given}`, and git knows no revision `{revision}`"),
                "`git log --oneline --all` lists revisions; CI often fetches only the newest one: `git fetch --unshallow`",
            ));
        };
        let folder = match path {
            None => here.trim_end_matches('\n').to_owned(),
            Some(path) if path.starts_with("./") || path.starts_with("../") || path == "." => {
                format!("{}{path}", here.trim_end_matches('\n'))
            }
            Some(path) => path.to_owned(),
        };
        let Some(folder) = plain(&folder) else {
            return Err(failed(
                format!("`{given}` leads out of the repository"),
                "give a folder in it: `main:apps/live`",
            ));
        };
        let directory = std::env::temp_dir().join(format!("tidegate-diff-{}", uuid::Uuid::new_v4().simple()));
        // Nobody else reads what may be in a repository.
        std::fs::DirBuilder::new().mode(0o700).create(&directory)?;
        let directory = directory.canonicalize()?;
        let name = format!("{revision}:{folder}");
        Ok(Self { name, given: given.to_owned(), commit: commit.trim_end().to_owned(), folder, directory })
    }

    /// Where the files are.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The revision and the folder in it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Takes the configuration; the file that is named, or the first one that is there. Where it is now.
    ///
    /// # Errors
    /// [`Failure::Revision`] if there is none.
    pub(super) fn config(&self, named: Option<&Path>, usual: &[&str]) -> Result<PathBuf, Failure> {
        let named = named.map(|named| named.display().to_string());
        let tried: Vec<&str> = named.as_deref().map_or_else(|| usual.to_vec(), |named| vec![named]);
        for file in &tried {
            let files = plain(file).map(|path| self.list(path.trim_end_matches('/'))).transpose()?.unwrap_or_default();
            if !files.is_empty() {
                self.write(files)?;
                return Ok(self.directory.join(file));
            }
        }
        Err(Failure::Revision {
            what: format!("`{}` has no file `{}`", self.name, tried[0]),
            hint: "give the project's folder in the repository: `main:apps/live`; or `--config FILE`, relative to it"
                .to_owned(),
        })
    }

    /// Takes what is needed of these places: manifests, schemas, plugins without their sources.
    ///
    /// # Errors
    /// [`Failure::Revision`] if one of them leads out of the folder.
    pub(super) fn take(&self, places: &[&Path]) -> Result<(), Failure> {
        for place in places {
            let Some(path) =
                place.strip_prefix(&self.directory).ok().and_then(|path| plain(&path.display().to_string()))
            else {
                return Err(Failure::Revision {
                    what: format!(
                        "`{}` names `{}`, which is not in that folder of the revision",
                        self.name,
                        place.display()
                    ),
                    hint: "give the folder that holds all of it, and `--config FILE` with the path in it".to_owned(),
                });
            };
            self.write(self.list(path.trim_end_matches('/'))?)?;
        }
        Ok(())
    }

    /// The files at or below a path that matter.
    fn list(&self, path: &str) -> Result<Vec<Entry>, Failure> {
        let full = format!("{}{path}", self.folder);
        let mut arguments = vec!["--literal-pathspecs", "ls-tree", "-r", "-z", "-l", "--full-tree", &self.commit, "--"];
        if !full.is_empty() {
            arguments.push(&full);
        }
        let listed = output(&self.given, &arguments)?.unwrap_or_default();
        let entry = |line: &str| {
            let (meta, path) = line.split_once('\t')?;
            let [mode, kind, object, size] = meta.split_whitespace().collect::<Vec<_>>().try_into().ok()?;
            let path = path.strip_prefix(&self.folder)?.to_owned();
            let is_small = size.parse::<u64>().is_ok_and(|bytes| bytes <= FILE_BYTES_MAX);
            let matters = [".yaml", ".yml", ".json", ".wasm"].iter().any(|ending| path.ends_with(ending));
            let is_link = mode == "120000";
            (kind == "blob" && is_small && (matters || is_link)).then(|| Entry {
                is_link,
                object: object.to_owned(),
                path,
            })
        };
        let found: Vec<Entry> = listed.split('\0').filter_map(entry).collect();
        // A plugin's own sources may hold many files of the same kinds.
        let is_deep = |entry: &Entry| entry.path.split('/').any(|step| step == "node_modules" || step == "target");
        let found: Vec<Entry> = found.into_iter().filter(|entry| !is_deep(entry)).collect();
        if found.len() > FILES_MAX {
            let what = format!("`{}{path}` has more than {FILES_MAX} files", self.name);
            return Err(Failure::Revision { what, hint: "give the folder of one project".to_owned() });
        }
        Ok(found)
    }

    /// Writes files as they are in the revision.
    fn write(&self, entries: Vec<Entry>) -> Result<(), Failure> {
        if entries.is_empty() {
            return Ok(());
        }
        let no_git = |source| Failure::NoGit { revision: self.given.clone(), source };
        let mut git = command(&["cat-file", "--batch"]);
        let mut child =
            git.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().map_err(no_git)?;
        let (mut asking, answers) = (child.stdin.take(), child.stdout.take());
        let objects: Vec<String> = entries.iter().map(|entry| format!("{}\n", entry.object)).collect();
        // Git answers while it is asked, and stops reading while nobody reads its answers.
        let asker = std::thread::spawn(move || {
            objects
                .iter()
                .try_for_each(|object| asking.as_mut().map_or(Ok(()), |pipe| pipe.write_all(object.as_bytes())))
        });
        let mut answers = BufReader::new(answers.ok_or_else(|| std::io::Error::other("git has no output"))?);
        for entry in &entries {
            self.write_one(entry, &mut answers)?;
        }
        let _ = asker.join();
        child.wait()?;
        Ok(())
    }

    fn write_one(&self, entry: &Entry, answers: &mut impl std::io::BufRead) -> Result<(), Failure> {
        let mut head = String::new();
        answers.read_line(&mut head)?;
        let size = head.trim_end().rsplit(' ').next().and_then(|size| size.parse::<u64>().ok());
        let size =
            size.ok_or_else(|| std::io::Error::other(format!("git says of `{}`: {}", entry.path, head.trim_end())))?;
        let mut content = Vec::new();
        answers.by_ref().take(size).read_to_end(&mut content)?;
        answers.read_until(b'\n', &mut Vec::new())?;
        let Some(path) = plain(&entry.path).map(|path| self.directory.join(path.trim_end_matches('/'))) else {
            return Ok(());
        };
        std::fs::create_dir_all(path.parent().unwrap_or(&self.directory))?;
        if path.symlink_metadata().is_ok() {
            return Ok(());
        }
        if entry.is_link {
            std::os::unix::fs::symlink(String::from_utf8_lossy(&content).as_ref(), path)?;
        } else {
            std::fs::write(path, content)?;
        }
        Ok(())
    }
}

impl Drop for Extracted {
    fn drop(&mut self) {
        // What is left there is nobody's: the system clears its directory for such files.
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// A path in a repository without `.` and `..`: empty, or with a `/` at its end; `None` if it leads out.
fn plain(path: &str) -> Option<String> {
    let mut steps: Vec<&str> = Vec::new();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(step) => steps.push(step.to_str()?),
            Component::CurDir => {}
            Component::ParentDir => drop(steps.pop()?),
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(steps.iter().map(|step| format!("{step}/")).collect())
}

/// Git, which changes nothing and asks nobody.
fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new("git");
    command.args(arguments).env("GIT_OPTIONAL_LOCKS", "0").env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C");
    command.stdin(Stdio::null());
    command
}

/// What git says; `None` if it fails.
fn output(revision: &str, arguments: &[&str]) -> Result<Option<String>, Failure> {
    let no_git = |source| Failure::NoGit { revision: revision.to_owned(), source };
    let output = command(arguments).output().map_err(no_git)?;
    Ok(output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_stays_in_its_repository() {
        assert_eq!(plain("").as_deref(), Some(""));
        assert_eq!(plain("apps/./live/../live").as_deref(), Some("apps/live/"));
        assert_eq!(plain("./a//b/").as_deref(), Some("a/b/"));
        for outside in ["..", "a/../..", "/etc"] {
            assert_eq!(plain(outside), None, "{outside}");
        }
    }
}
