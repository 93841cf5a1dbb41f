//! The files that the program carries, to write them into projects: templates, SDKs and the contract.

/// Every such file, by its path in the repository; `build.rs` lists them.
const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/carried_files.rs"));

/// Path and text of the files below a directory, which ends with `/`; the paths begin there.
pub(super) fn below(directory: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    FILES.iter().filter_map(move |(path, text)| Some((path.strip_prefix(directory)?, *text)))
}

/// The text of a file, by its whole path.
pub(super) fn file(path: &str) -> &'static str {
    FILES.iter().find(|(listed, _)| *listed == path).map_or("", |(_, text)| text)
}
