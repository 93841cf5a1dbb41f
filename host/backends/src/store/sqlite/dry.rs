//! Whether a store could be opened, found out without creating or changing anything: `tidegate check` runs where the
//! server need not.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

use rustix::fs::{Access, access};

/// The first bytes of every SQLite database that is not empty.
/// <https://www.sqlite.org/fileformat2.html#magic_header_string>
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Whether this process could open the file as a store, or create it.
///
/// # Errors
/// Why not, in words for an operator, with the path that causes it.
pub fn sqlite_could_open(file: &Path) -> Result<(), String> {
    let told = |path: &Path, why: &dyn std::fmt::Display| format!("`{}`: {why}", path.display());
    let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match fs::metadata(directory) {
        Ok(metadata) if metadata.is_dir() => {}
        Ok(_) => return Err(told(directory, &"it is not a directory")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(told(directory, &"the directory does not exist"));
        }
        Err(error) => return Err(told(directory, &error)),
    }
    // SQLite keeps its log next to the file.
    access(directory, Access::WRITE_OK | Access::EXEC_OK).map_err(|error| told(directory, &error))?;
    match fs::metadata(file) {
        Ok(metadata) if metadata.is_dir() => return Err(told(file, &"it is a directory")),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(told(file, &error)),
    }
    access(file, Access::READ_OK | Access::WRITE_OK).map_err(|error| told(file, &error))?;
    let mut begins = Vec::new();
    let read = File::open(file).and_then(|file| file.take(MAGIC.len() as u64).read_to_end(&mut begins));
    read.map_err(|error| told(file, &error))?;
    if begins.is_empty() || begins == MAGIC { Ok(()) } else { Err(told(file, &"file is not a database")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_is_in_the_way_and_makes_nothing() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        fs::write(at("text"), "no database at all").unwrap();
        fs::write(at("empty"), "").unwrap();
        fs::write(at("kept.db"), [MAGIC.as_slice(), b"more"].concat()).unwrap();
        for fits in ["new.db", "empty", "kept.db"] {
            assert_eq!(sqlite_could_open(&at(fits)), Ok(()), "{fits}");
        }
        for (wrong, why) in [
            ("nowhere/x.db", "the directory does not exist"),
            ("text/x.db", "not a directory"),
            (".", "it is a directory"),
            ("text", "file is not a database"),
        ] {
            let told = sqlite_could_open(&at(wrong)).unwrap_err();
            assert!(told.contains(why) && told.contains(&*root.path().to_string_lossy()), "{wrong}: {told}");
        }
        assert!(!at("new.db").exists());
    }
}
