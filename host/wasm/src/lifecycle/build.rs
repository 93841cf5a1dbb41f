//! Builds a plugin with the command of its `plugin.yaml`, and puts the component where the manifest says.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::{env, fs, io, thread};

use parking_lot::Mutex;

use crate::manifest::PluginManifest;

/// The target of Rust plugins.
pub const WASM_TARGET: &str = "wasm32-wasip2";

/// Environment variables of an outer cargo or rustup that would mislead the build: flags for another target, facts
/// about another package. Names, and prefixes that end in `_`.
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

/// Where the output of the build command goes.
#[derive(Clone, Copy)]
pub enum BuildOutput<'a> {
    /// To standard error of this process.
    Inherit,
    /// To this function, line by line, so that concurrent builds do not mix their output.
    Lines(&'a (dyn Fn(&str) + Sync)),
}

/// The result of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildReport {
    /// The component.
    pub component: PathBuf,
    /// Whether the component changed.
    pub changed: bool,
}

/// Why a build failed.
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
    /// The command failed; its output says why.
    #[error("`{command}` failed: {status}")]
    Failed {
        /// The command.
        command: String,
        /// How it ended.
        status: ExitStatus,
    },
    /// The Rust toolchain cannot build for WebAssembly.
    #[error("the Rust target `{WASM_TARGET}` is not installed; add it with `rustup target add {WASM_TARGET}`")]
    NoWasmTarget,
    /// The command succeeded, but neither the target directory nor the directory of the plugin has a component.
    #[error("`{command}` created no component, neither at `{built}` nor at `{component}`")]
    NoComponent {
        /// The command.
        command: String,
        /// Where cargo would have put the component.
        built: PathBuf,
        /// Where the manifest expects the component.
        component: PathBuf,
    },
    /// The build could not put the component in its place.
    #[error("cannot write `{path}`: {source}")]
    Write {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Runs the manifest's `build` in the plugin's directory with `CARGO_TARGET_DIR` set to `target_dir`, and copies what
/// cargo built to `component`. For a manifest without `build` nothing happens. The output of the command goes to
/// `output`. Blocks.
///
/// # Errors
/// [`BuildError`] when there is no new component; an older component stays.
pub fn build(
    dir: &Path,
    manifest: &PluginManifest,
    target_dir: &Path,
    output: BuildOutput<'_>,
) -> Result<BuildReport, BuildError> {
    let component = dir.join(&manifest.component);
    let Some(command) = &manifest.build else { return Ok(BuildReport { component, changed: false }) };
    let before = fs::read(&component).ok();
    if command.contains(WASM_TARGET) && !has_wasm_target(dir) {
        return Err(BuildError::NoWasmTarget);
    }
    run(command, dir, target_dir, output)?;
    let built = target_dir.join(WASM_TARGET).join("release").join(&manifest.component);
    let fresh = fs::read(&built).ok();
    match (fresh, before) {
        (Some(fresh), before) if before.as_ref() != Some(&fresh) => {
            put(&component, &fresh)?;
            Ok(BuildReport { component, changed: true })
        }
        (Some(_), _) => Ok(BuildReport { component, changed: false }),
        // Toolchains other than cargo put the component in its place themselves.
        (None, before) => match fs::read(&component) {
            Ok(now) => Ok(BuildReport { component, changed: before != Some(now) }),
            Err(_) => Err(BuildError::NoComponent { command: command.clone(), built, component }),
        },
    }
}

/// Installs the WebAssembly target for the toolchain of a directory with rustup, if it is missing. `true` if it was
/// missing.
///
/// # Errors
/// [`BuildError::NoWasmTarget`] when it is still missing.
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

/// The version of `rustc`, in its own words; empty if there is none.
pub(crate) fn rust_version() -> String {
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

fn run(command: &str, dir: &Path, target_dir: &Path, output: BuildOutput<'_>) -> Result<(), BuildError> {
    let mut shell = if cfg!(windows) { Command::new("cmd") } else { Command::new("sh") };
    shell.arg(if cfg!(windows) { "/C" } else { "-c" }).arg(command);
    let mut shell = clean(shell);
    shell.current_dir(dir).env("CARGO_TARGET_DIR", target_dir).stdin(Stdio::null());
    let status = match output {
        BuildOutput::Inherit => shell.stdout(io::stderr()).status(),
        BuildOutput::Lines(on_line) => run_by_line(shell, on_line),
    };
    let status = status.map_err(|source| BuildError::Start { command: command.to_owned(), source })?;
    if status.success() { Ok(()) } else { Err(BuildError::Failed { command: command.to_owned(), status }) }
}

/// Runs a command to its end, and passes its output on line by line.
fn run_by_line(mut command: Command, on_line: &(dyn Fn(&str) + Sync)) -> io::Result<ExitStatus> {
    let (reader, writer) = io::pipe()?;
    command.stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn()?;
    // The command holds the writing ends of the pipe, and the reader would wait for them for ever.
    drop(command);
    thread::scope(|scope| {
        scope.spawn(|| {
            for line in BufReader::new(reader).split(b'\n').map_while(Result::ok) {
                on_line(&String::from_utf8_lossy(&line));
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

/// Replaces the component in one step: a concurrent reader sees the old one or the new one.
fn put(path: &Path, bytes: &[u8]) -> Result<(), BuildError> {
    let fresh = path.with_extension("wasm.new");
    let written = fs::write(&fresh, bytes).and_then(|()| fs::rename(&fresh, path));
    written.map_err(|source| BuildError::Write { path: path.to_owned(), source })
}
