//! Lists the files that `tidegate init` and `tidegate new plugin` write: the SDKs, the contract, the templates. A file
//! that is added to one of them is in the projects without being named anywhere. And the files of the dashboard's page,
//! if they were built before.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// What is listed, below the repository.
const LISTED: [&str; 11] = [
    "host/server/project",
    "plugins/Cargo.toml",
    "plugins/Cargo.lock",
    "plugins/sdk/c",
    "plugins/sdk/componentize",
    "plugins/sdk/go",
    "plugins/sdk/javascript",
    "plugins/sdk/python",
    "plugins/sdk/rust",
    "plugins/templates",
    "wit",
];
/// Directories that are build output, or tests of the SDK itself.
const LEFT_OUT: [&str; 5] = ["__pycache__", "node_modules", "target", "test", "tests"];
/// The directories in which tests belong to the written files.
const TEMPLATES: [&str; 2] = ["host/server/project", "plugins/templates"];

fn main() -> io::Result<()> {
    let repository = PathBuf::from(variable("CARGO_MANIFEST_DIR")?).join("../..").canonicalize()?;
    let mut files = Vec::new();
    for listed in LISTED {
        list(&repository, Path::new(listed), &mut files)?;
    }
    files.sort();
    let mut table = String::from("&[\n");
    for file in &files {
        println!("cargo::rerun-if-changed={}", repository.join(file).display());
        let _ = writeln!(table, "    ({file:?}, include_str!({:?})),", repository.join(file));
    }
    table.push(']');
    fs::write(Path::new(&variable("OUT_DIR")?).join("carried_files.rs"), table)?;
    dashboard(&repository.join("host/dashboard"))
}

/// Each file of the page, with the one beside it that is the same, compressed.
fn dashboard(project: &Path) -> io::Result<()> {
    let built = project.join("dist");
    // Where there is no page yet, its directory appears in the project's.
    let watched = if built.is_dir() { &built } else { project };
    println!("cargo::rerun-if-changed={}", watched.display());
    let mut files = Vec::new();
    if built.is_dir() {
        list(&built, Path::new(""), &mut files)?;
    }
    files.sort();
    let mut table = String::from("&[\n");
    for file in files.iter().filter(|file| file.extension().is_none_or(|extension| extension != "gz")) {
        let path = built.join(file);
        let zipped = path.with_file_name(format!("{}.gz", path.file_name().unwrap_or_default().to_string_lossy()));
        let is_shorter =
            fs::metadata(&zipped).is_ok_and(|zip| fs::metadata(&path).is_ok_and(|whole| zip.len() < whole.len()));
        let gzip = if is_shorter { format!("Some(include_bytes!({zipped:?}))") } else { "None".to_owned() };
        let _ = writeln!(table, "    File {{ path: {file:?}, bytes: include_bytes!({path:?}), gzip: {gzip} }},");
    }
    table.push(']');
    fs::write(Path::new(&variable("OUT_DIR")?).join("dashboard_files.rs"), table)
}

/// Every file at or below a path.
fn list(repository: &Path, path: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let whole = repository.join(path);
    if whole.is_file() {
        files.push(path.to_path_buf());
        return Ok(());
    }
    // Cargo would look into every file of the installed packages.
    if !whole.join("package-lock.json").exists() {
        println!("cargo::rerun-if-changed={}", whole.display());
    }
    for entry in fs::read_dir(&whole)? {
        let name = entry?.file_name();
        let left_out = LEFT_OUT.iter().any(|left_out| name == *left_out);
        if !left_out || TEMPLATES.iter().any(|templates| path.starts_with(templates)) {
            list(repository, &path.join(name), files)?;
        }
    }
    Ok(())
}

fn variable(name: &str) -> io::Result<String> {
    env::var(name).map_err(|error| io::Error::other(format!("{name}: {error}")))
}
