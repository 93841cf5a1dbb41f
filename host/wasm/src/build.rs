//! Builds a plugin with the command of its `plugin.yaml`, and puts the component in the place that the manifest names.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::{env, fs, io, thread};

use parking_lot::Mutex;

use super::PluginManifest;

/// The target of Rust plugins.
pub const WASM_TARGET: &str = "wasm32-wasip2";

/// Variables of an outer cargo or rustup that an inner one must not see: flags for another target, facts about another
/// package. Names, and prefixes that end in `_`.
const OUTER_CARGO: [&str; 17] = [
    "CARGO",
    "CARGO_BIN_",
    "CARGO_BUILD_",
    "CARGO_CFG_",
    "CARGO_CRATE_NAME",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_FEATURE_",
    "CARGO_MAKEFLAGS",
    "CARGO_MANIFEST_",
    "CARGO_PKG_",
    "CARGO_PRIMARY_PACKAGE",
    "CARGO_PROFILE_",
    "CARGO_TARGET_",
    "RUSTC",
    "RUSTC_",
    "RUSTFLAGS",
    "RUSTUP_TOOLCHAIN",
];

/// Where the output of a toolchain goes.
#[derive(Clone, Copy)]
pub enum Words<'a> {
    /// To standard error, unchanged.
    Through,
    /// To this function, line by line, so that concurrent builds do not mix their lines.
    Lines(&'a (dyn Fn(&str) + Sync)),
}

/// The result of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildReport {
    /// The component.
    pub component: PathBuf,
    /// Whether the component has changed.
    pub changed: bool,
}

/// Why a plugin could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The command did not start.
    #[error("`{command}` does not start: {source}")]
    Start {
        /// The command.
        command: String,
        /// Why.
        source: io::Error,
    },
    /// The command failed; it wrote the reason to standard error.
    #[error("`{command}` failed: {status}")]
    Failed {
        /// The command.
        command: String,
        /// The exit status.
        status: ExitStatus,
    },
    /// The Rust toolchain cannot build for WebAssembly.
    #[error("the Rust target `{WASM_TARGET}` is not installed; add it with `rustup target add {WASM_TARGET}`")]
    NoWasmTarget,
    /// The command succeeded, but the component is neither in the target directory nor in the plugin's directory.
    #[error("`{command}` created no component, neither at `{built}` nor at `{component}`")]
    NoComponent {
        /// The command.
        command: String,
        /// Where cargo would have put it.
        built: PathBuf,
        /// Where the manifest expects it.
        component: PathBuf,
    },
    /// The component was built, but could not be put in its place.
    #[error("cannot write `{path}`: {source}")]
    Write {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Runs the manifest's `build` in the plugin's directory with `CARGO_TARGET_DIR` set to `target_dir`, and copies what
/// cargo built to `component`. For a manifest without `build` nothing happens. Blocks; the command's output goes to
/// `words`.
///
/// # Errors
/// [`BuildError`] if there is no new component; an older one stays unchanged.
pub fn build(
    dir: &Path,
    manifest: &PluginManifest,
    target_dir: &Path,
    words: Words<'_>,
) -> Result<BuildReport, BuildError> {
    let component = dir.join(&manifest.component);
    let Some(command) = &manifest.build else { return Ok(BuildReport { component, changed: false }) };
    let before = fs::read(&component).ok();
    if command.contains(WASM_TARGET) && !has_wasm_target(dir) {
        return Err(BuildError::NoWasmTarget);
    }
    run(command, dir, target_dir, words)?;
    let built = target_dir.join(WASM_TARGET).join("release").join(&manifest.component);
    let fresh = fs::read(&built).ok();
    match (fresh, before) {
        (Some(fresh), before) if before.as_ref() != Some(&fresh) => {
            put(&component, &fresh)?;
            Ok(BuildReport { component, changed: true })
        }
        (Some(_), _) => Ok(BuildReport { component, changed: false }),
        // Toolchains other than cargo write to the right place themselves.
        (None, before) => match fs::read(&component) {
            Ok(now) => Ok(BuildReport { component, changed: before != Some(now) }),
            Err(_) => Err(BuildError::NoComponent { command: command.clone(), built, component }),
        },
    }
}

/// Installs the WebAssembly target for the toolchain of a directory, if it is missing and rustup exists. Returns `true`
/// if it was installed.
///
/// # Errors
/// [`BuildError::NoWasmTarget`] if it is still missing.
pub fn ensure_wasm_target(dir: &Path) -> Result<bool, BuildError> {
    if has_wasm_target(dir) {
        return Ok(false);
    }
    let added = clean(Command::new("rustup")).args(["target", "add", WASM_TARGET]).current_dir(dir).status();
    if added.is_ok_and(|status| status.success()) && has_wasm_target(dir) {
        return Ok(true);
    }
    Err(BuildError::NoWasmTarget)
}

/// The version that `rustc` reports; empty if there is no `rustc`.
pub(super) fn rust_version() -> String {
    let output = clean(Command::new("rustc")).arg("-vV").stderr(Stdio::null()).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}

fn has_wasm_target(dir: &Path) -> bool {
    /// Directories whose toolchain has the target. Asking takes as long as compiling a small plugin.
    static HAVE_IT: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
    if HAVE_IT.lock().contains(dir) {
        return true;
    }
    let mut rustc = clean(Command::new("rustc"));
    rustc.args(["--print", "target-libdir", "--target", WASM_TARGET]).current_dir(dir).stderr(Stdio::null());
    let Ok(output) = rustc.output() else { return false };
    let path = String::from_utf8_lossy(&output.stdout);
    let has_it = output.status.success() && Path::new(path.trim()).is_dir();
    if has_it {
        HAVE_IT.lock().insert(dir.to_owned());
    }
    has_it
}

fn run(command: &str, dir: &Path, target_dir: &Path, words: Words<'_>) -> Result<(), BuildError> {
    let mut shell = if cfg!(windows) { Command::new("cmd") } else { Command::new("sh") };
    shell.arg(if cfg!(windows) { "/C" } else { "-c" }).arg(command);
    let mut shell = clean(shell);
    shell.current_dir(dir).env("CARGO_TARGET_DIR", target_dir).stdin(Stdio::null());
    let status = match words {
        Words::Through => shell.stdout(io::stderr()).status(),
        Words::Lines(tell) => run_telling(shell, tell),
    };
    let status = status.map_err(|source| BuildError::Start { command: command.to_owned(), source })?;
    if status.success() { Ok(()) } else { Err(BuildError::Failed { command: command.to_owned(), status }) }
}

/// Runs a command to its end and reports its output line by line.
fn run_telling(mut command: Command, tell: &(dyn Fn(&str) + Sync)) -> io::Result<ExitStatus> {
    let (reader, writer) = io::pipe()?;
    command.stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn()?;
    // The command holds the writing ends of the pipes; with them open the lines would never end.
    drop(command);
    thread::scope(|scope| {
        scope.spawn(|| {
            for line in BufReader::new(reader).split(b'\n').map_while(Result::ok) {
                tell(&String::from_utf8_lossy(&line));
            }
        });
        child.wait()
    })
}

fn clean(mut command: Command) -> Command {
    for (name, _) in env::vars_os() {
        let Some(text) = name.to_str() else { continue };
        let is_outer = |outer: &&str| text == *outer || (outer.ends_with('_') && text.starts_with(*outer));
        if OUTER_CARGO.iter().any(is_outer) {
            command.env_remove(name);
        }
    }
    command
}

/// A concurrent reader of the component sees the old one or the new one, never a part of it.
fn put(path: &Path, bytes: &[u8]) -> Result<(), BuildError> {
    let fresh = path.with_extension("wasm.new");
    let written = fs::write(&fresh, bytes).and_then(|()| fs::rename(&fresh, path));
    written.map_err(|source| BuildError::Write { path: path.to_owned(), source })
}
