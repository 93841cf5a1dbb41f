//! The child process that compiles: its order, its side and the server's side. The child limits itself before it reads
//! the first byte of the component.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, nice, setrlimit};
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;
use wasmtime::Engine;

use super::engine;
use super::{CompileSettings, Effort, Work, does_not_compile, panics};
use crate::mistake::Mistake;
use tidegate_core::config::ByteSize;

/// The threads of the compiler.
const THREADS: u32 = 2;
/// The priority of the child, lower than that of every server.
const NICENESS: i32 = 10;
/// Largest compiled component, in bytes. `StarlingMonkey` makes 37 MB.
const NATIVE_BYTES_MAX: u64 = 512 << 20;
/// How much of the child's standard error the server keeps, in bytes.
const STDERR_BYTES_MAX: u64 = 4096;
/// The exit codes for a bad component and for a bug (a panic), the same as in `cli/exit.rs`.
const EXIT_COMPONENT: i32 = 65;
const EXIT_PANIC: i32 = 70;
const SIGABRT: i32 = 6;
const SIGKILL: i32 = 9;
const SIGXCPU: i32 = 24;

/// The order to a child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompileOrder {
    /// The component.
    pub input: PathBuf,
    /// The file for the native code.
    pub output: PathBuf,
    /// Address space, in bytes.
    pub memory_bytes_max: u64,
    /// CPU time of all threads together, in seconds.
    pub cpu_s_max: u64,
    /// How much to optimise.
    pub effort: Effort,
}

/// Why a child did not compile.
#[derive(Debug, thiserror::Error)]
pub enum CompileOrderError {
    /// The component is at fault.
    #[error("{0}")]
    Component(String),
    /// The machine, or the order, is at fault.
    #[error("{0}")]
    Machine(#[from] io::Error),
}

/// The child's side: limits itself, then compiles. Call it in a process of its own.
///
/// # Errors
/// [`CompileOrderError`]; a child that exceeds a limit ends instead.
pub fn compile_here(order: &CompileOrder) -> Result<(), CompileOrderError> {
    let limit = |resource, most| {
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) }).map_err(io::Error::from)
    };
    // A core dump of the compiler is gigabytes, and helps nobody.
    limit(Resource::Core, 0)?;
    limit(Resource::Fsize, NATIVE_BYTES_MAX)?;
    limit(Resource::Cpu, order.cpu_s_max)?;
    limit(Resource::As, order.memory_bytes_max)?;
    if order.effort == Effort::Full {
        // A sandbox may forbid this; the other limits still hold. A quick compilation keeps its priority: an author
        // waits for it.
        let _ = nice(NICENESS);
    }
    let bytes = fs::read(&order.input)?;
    let component = |error: wasmtime::Error| CompileOrderError::Component(error.root_cause().to_string());
    let config = match order.effort {
        Effort::Full => engine::config(),
        Effort::Quick => engine::quick_config(),
    };
    let engine = Engine::new(&config).map_err(component)?;
    let native = engine.precompile_component(&bytes).map_err(component)?;
    fs::write(&order.output, native)?;
    Ok(())
}

/// The server's side: runs the child, and waits until it ends or its time is over.
///
/// # Errors
/// [`Mistake`] with the limit that the child exceeded, or with what the child wrote.
pub(super) async fn run(program: &Path, settings: &CompileSettings, work: &Work) -> Result<(), Mistake> {
    let wall_s = settings.wall_max.as_secs().max(1);
    let mut command = Command::new(program);
    command.args(["plugin", "compile", "--in"]).arg(work.input()).arg("--out").arg(work.output());
    command.arg("--memory").arg(settings.memory_bytes_max.to_string());
    command.arg("--cpu").arg((wall_s * u64::from(THREADS)).to_string());
    if settings.effort == Effort::Quick {
        command.arg("--quick");
    }
    // The child gets none of the server's secrets.
    command.env_clear().env("RAYON_NUM_THREADS", THREADS.to_string());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| {
        let message = format!("cannot be compiled: `{}` does not start: {error}", program.display());
        Mistake::new(message)
            .hint("the server starts its own binary again to compile plugins; allow it to execute this binary")
    })?;
    let mut said = String::new();
    let running = async {
        if let Some(stderr) = child.stderr.take() {
            let mut bytes = Vec::new();
            let mut stderr = stderr.take(STDERR_BYTES_MAX);
            let _ = stderr.read_to_end(&mut bytes).await;
            said = String::from_utf8_lossy(&bytes).trim().to_owned();
        }
        child.wait().await
    };
    match tokio::time::timeout(settings.wall_max, running).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(judge(status, &said, settings)),
        Ok(Err(error)) => Err(Mistake::new(format!("cannot be compiled: {error}"))),
        Err(_) => {
            let _ = child.kill().await;
            Err(too_slow(settings.wall_max))
        }
    }
}

fn too_slow(wall_max: Duration) -> Mistake {
    Mistake::new(format!("takes longer to compile than {} s", wall_max.as_secs_f64()))
        .hint("make it smaller, for example without debug information, or raise `limits.plugin_compile_time`")
}

fn judge(status: ExitStatus, said: &str, settings: &CompileSettings) -> Mistake {
    if status.code() == Some(EXIT_COMPONENT) {
        return does_not_compile(said);
    }
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    let memory = ["memory allocation of", "Cannot allocate memory", "out of memory", "WouldBlock"];
    if memory.iter().any(|sign| said.contains(sign)) {
        let most = ByteSize::from_bytes(settings.memory_bytes_max);
        return Mistake::new(format!("needs more than {most} of memory to compile"))
            .hint("make it smaller, for example without debug information, or raise `limits.plugin_compile_memory`");
    }
    match (status.code(), signal) {
        (_, Some(SIGXCPU | SIGKILL)) => too_slow(settings.wall_max),
        (Some(EXIT_PANIC), _) | (_, Some(SIGABRT)) => panics(),
        _ => Mistake::new(format!("cannot be compiled: the compiler ended with {status}: {said}")),
    }
}
