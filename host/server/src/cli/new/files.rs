//! Writes files that are not there yet. If one of them cannot be written, those before it are taken away.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use super::super::failure::Failure;

/// What was written so far; taken away when this goes without [`Written::keep`].
#[derive(Debug, Default)]
pub(in crate::cli) struct Written {
    files: Vec<PathBuf>,
    directories: Vec<PathBuf>,
}

impl Written {
    /// Writes a file, and the directories above it.
    ///
    /// # Errors
    /// [`Failure::Exists`], [`Failure::File`].
    pub(in crate::cli) fn create(&mut self, path: &Path, text: &str) -> Result<(), Failure> {
        if let Some(directory) = path.parent() {
            self.directory(directory)?;
        }
        let file = OpenOptions::new().write(true).create_new(true).open(path);
        let mut file = file.map_err(|source| failed(path, source))?;
        self.files.push(path.to_path_buf());
        file.write_all(text.as_bytes()).map_err(|source| failed(path, source))
    }

    /// Makes a directory that need not be new, and those above it.
    ///
    /// # Errors
    /// [`Failure::File`].
    pub(in crate::cli) fn directory(&mut self, path: &Path) -> Result<(), Failure> {
        if path.as_os_str().is_empty() || path.is_dir() {
            return Ok(());
        }
        if let Some(parent) = path.parent() {
            self.directory(parent)?;
        }
        fs::create_dir(path).map_err(|source| failed(path, source))?;
        self.directories.push(path.to_path_buf());
        Ok(())
    }

    /// Everything is there.
    pub(in crate::cli) fn keep(mut self) {
        self.files.clear();
        self.directories.clear();
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        // What cannot be taken away is found by whoever reads the reported error.
        for file in self.files.drain(..) {
            let _ = fs::remove_file(file);
        }
        for directory in self.directories.drain(..).rev() {
            let _ = fs::remove_dir(directory);
        }
    }
}

/// Replaces a file in one step, so that a watching server sees either the old file or the new one.
///
/// # Errors
/// [`Failure::File`].
pub(super) fn replace(path: &Path, text: &str) -> Result<(), Failure> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = path.with_file_name(format!("{name}.new"));
    let replaced = fs::write(&beside, text).and_then(|()| fs::rename(&beside, path));
    replaced.map_err(|source| failed(path, source))
}

fn failed(path: &Path, source: io::Error) -> Failure {
    let path = path.display().to_string();
    match source.kind() {
        ErrorKind::AlreadyExists => Failure::Exists { path },
        _ => Failure::File { path, source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_goes_when_the_rest_cannot_be_written() {
        let directory = tempfile::tempdir().unwrap();
        let at = |path: &str| directory.path().join(path);
        fs::write(at("there"), "mine").unwrap();
        let mut written = Written::default();
        written.create(&at("a/b/new"), "text").unwrap();
        assert!(matches!(written.create(&at("there"), "text"), Err(Failure::Exists { .. })));
        drop(written);
        assert!(!at("a").exists() && fs::read_to_string(at("there")).unwrap() == "mine");
        let mut written = Written::default();
        written.create(&at("a/b/new"), "text").unwrap();
        written.keep();
        assert_eq!(fs::read_to_string(at("a/b/new")).unwrap(), "text");
    }
}
