//! From a component's bytes to native code: in a child process with limits, or from the cache. The compiler is not
//! sandboxed; if it fails or takes too long, only the child is lost.

mod cache;
mod child;

use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;
use wasmtime::Engine;
use wasmtime::component::Component;

pub use child::{CompileOrder, CompileOrderError, compile_here};

use super::load::Mistake;
use super::plugin::Digest;
use cache::Cache;
use tidegate_core::telemetry;

/// How components are compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompileSettings {
    /// Where the compiler runs. Default: in this process.
    pub place: CompilePlace,
    /// How well to optimise the native code. Default: fully.
    pub effort: Effort,
    /// Address space of the child, in bytes. Default 2 GiB; a component that needs more is not loaded.
    pub memory_bytes_max: u64,
    /// How long a compilation may take. Default 60 s; a component that takes longer is not loaded.
    pub wall_max: Duration,
    /// The directory for compiled components, which nothing else uses. Default: none.
    pub cache: Option<PathBuf>,
    /// The size of that directory, in bytes. Default 1 GiB; the least recently used components are removed first.
    pub cache_bytes_max: u64,
}

/// How well to optimise native code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Effort {
    /// Fully, for plugins that serve.
    #[default]
    Full,
    /// Fast, for an author who waits. Better code from the cache is used; a child compiles without optimisation.
    Quick,
}

/// Where the compiler runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum CompilePlace {
    /// In this process, without limits: for tests and for tools that are not the `tidegate` binary.
    #[default]
    Here,
    /// In a child process: this program with the arguments of `tidegate plugin compile`.
    Child(PathBuf),
}

impl CompilePlace {
    /// In children of the running program; in this process if the program's path is unknown. On Linux it is the program
    /// that runs now, even if its file was replaced since: another build makes different native code.
    #[must_use]
    pub fn this_program() -> Self {
        let running = PathBuf::from("/proc/self/exe");
        let program = if running.exists() { Some(running) } else { std::env::current_exe().ok() };
        program.map_or(Self::Here, Self::Child)
    }
}

impl CompileSettings {
    /// The directory for compiled plugins: the operator's choice, or this user's cache directory.
    #[must_use]
    pub fn cache_place(configured: Option<PathBuf>) -> Option<PathBuf> {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let configured = configured.or_else(|| variable("CACHE_DIRECTORY"));
        let of_user = || variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")));
        configured.or_else(|| Some(of_user()?.join("tidegate")))
    }
}

impl Default for CompileSettings {
    fn default() -> Self {
        Self {
            place: CompilePlace::Here,
            effort: Effort::Full,
            memory_bytes_max: 2 << 30,
            wall_max: Duration::from_secs(60),
            cache: None,
            cache_bytes_max: 1 << 30,
        }
    }
}

/// The compiler of one engine.
pub(super) struct Compiler {
    settings: CompileSettings,
    cache: Option<Arc<Cache>>,
    /// One compilation at a time: a large component takes seconds of every core and hundreds of megabytes.
    turn: Mutex<()>,
}

/// A component from the compiler or from the cache.
pub(super) struct Compiled {
    pub(super) component: Component,
    /// Whether it was compiled before, by this server or by an earlier one.
    pub(super) cached: bool,
    pub(super) elapsed: Duration,
}

impl Compiler {
    /// If the cache cannot be used, this is logged, and every component is compiled.
    pub(super) fn new(settings: CompileSettings, engine: &Engine) -> Self {
        let cache = settings.cache.as_ref().and_then(|directory| {
            match Cache::open(directory, settings.cache_bytes_max, engine) {
                Ok(cache) => Some(Arc::new(cache)),
                Err(error) => {
                    telemetry::plugin_cache_unusable(&directory.display().to_string(), &error.to_string());
                    None
                }
            }
        });
        Self { settings, cache, turn: Mutex::new(()) }
    }

    /// Takes a component from the cache, or compiles it and stores it there.
    ///
    /// # Errors
    /// [`Mistake`] if it does not compile within the limits.
    pub(super) async fn compile(&self, engine: &Engine, digest: &Digest, bytes: Vec<u8>) -> Result<Compiled, Mistake> {
        let started = Instant::now();
        let done = |component, cached| Compiled { component, cached, elapsed: started.elapsed() };
        if let Some(component) = self.find_kept(engine, digest).await {
            return Ok(done(component, true));
        }
        let _turn = self.turn.lock().await;
        if self.settings.place == CompilePlace::Here && self.cache.is_none() {
            let engine = engine.clone();
            let compiling = blocking(move || guarded(|| Component::from_binary(&engine, &bytes)));
            return compiling.await.map(|component| done(component, false));
        }
        let work = Work::begin(self.cache.as_deref()).map_err(|error| cannot("write", &error))?;
        match &self.settings.place {
            CompilePlace::Here => {
                let (engine, output) = (engine.clone(), work.output());
                blocking(move || precompile(&engine, &bytes, &output)).await?;
            }
            CompilePlace::Child(program) => {
                tokio::fs::write(work.input(), bytes).await.map_err(|error| cannot("write", &error))?;
                child::run(program, &self.settings, &work).await?;
            }
        }
        let (engine, cache, digest) = (engine.clone(), self.cache.clone(), digest.clone());
        // In this process the engine compiles everything in the same way.
        let effort = if self.settings.place == CompilePlace::Here { Effort::Full } else { self.settings.effort };
        let adopting = blocking(move || adopt(&engine, cache.as_deref(), &digest, effort, work));
        adopting.await.map(|component| done(component, false))
    }

    async fn find_kept(&self, engine: &Engine, digest: &Digest) -> Option<Component> {
        let (cache, engine, digest) = (self.cache.clone()?, engine.clone(), digest.clone());
        let efforts: &[Effort] = match self.settings.effort {
            Effort::Full => &[Effort::Full],
            Effort::Quick => &[Effort::Full, Effort::Quick],
        };
        tokio::task::spawn_blocking(move || {
            efforts.iter().find_map(|&effort| {
                let entry = cache.find(&digest, effort)?;
                match load_native(&engine, &entry) {
                    Ok(component) => Some(component),
                    Err(error) => {
                        cache.reject(&digest, effort, &format!("{error:#}"));
                        None
                    }
                }
            })
        })
        .await
        .ok()
        .flatten()
    }
}

/// A directory for one compilation. It is removed on drop, unless it became an entry of the cache.
pub(super) struct Work(PathBuf);

impl Work {
    fn begin(cache: Option<&Cache>) -> io::Result<Self> {
        let name = format!("work-{}", uuid::Uuid::new_v4().simple());
        let directory = match cache {
            Some(cache) => cache.directory().join(name),
            None => std::env::temp_dir().join(format!("tidegate-{name}")),
        };
        cache::make_private(&directory)?;
        Ok(Self(directory))
    }

    fn input(&self) -> PathBuf {
        self.0.join("component.wasm")
    }

    fn output(&self) -> PathBuf {
        self.0.join(cache::NATIVE)
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Loads what was just compiled, and stores it if there is a cache.
fn adopt(
    engine: &Engine,
    cache: Option<&Cache>,
    digest: &Digest,
    effort: Effort,
    work: Work,
) -> Result<Component, Mistake> {
    let component = load_native(engine, &work.output()).map_err(|error| does_not_load(&format!("{error:#}")))?;
    let _ = fs::remove_file(work.input());
    if let Some(cache) = cache
        && let Err(error) = cache.keep(digest, effort, work.path())
    {
        telemetry::plugin_cache_unusable(&cache.directory().display().to_string(), &error.to_string());
    }
    Ok(component)
}

/// Maps native code into this process.
#[expect(unsafe_code, reason = "native code is trusted: see below")]
fn load_native(engine: &Engine, path: &Path) -> wasmtime::Result<Component> {
    // SAFETY: the file contains the output of this program's own compiler: either its child wrote it a moment ago into
    // a directory that only this user can write to, or the cache verified the code that this server stored, with a MAC
    // over every byte. Nobody writes to it again: entries are replaced as directories, and removed by name.
    unsafe { Component::deserialize_file(engine, path) }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Mistake> + Send + 'static) -> Result<T, Mistake> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(Mistake::new("cannot be compiled: the server is shutting down".to_owned())))
}

fn precompile(engine: &Engine, bytes: &[u8], output: &Path) -> Result<(), Mistake> {
    let native = guarded(|| engine.precompile_component(bytes))?;
    fs::write(output, native).map_err(|error| cannot("write", &error))
}

fn guarded<T>(compile: impl FnOnce() -> wasmtime::Result<T>) -> Result<T, Mistake> {
    // In this process a component that makes the compiler panic must not end the others.
    match catch_unwind(AssertUnwindSafe(compile)) {
        Ok(Ok(compiled)) => Ok(compiled),
        Ok(Err(error)) => Err(does_not_compile(&error.root_cause().to_string())),
        Err(_) => Err(panics()),
    }
}

/// The engine's message for a component that does not fit into the pool.
const TOO_LARGE: &str = "in the pooling allocator";

fn does_not_compile(why: &str) -> Mistake {
    if why.contains(TOO_LARGE) {
        return Mistake::new(format!("needs too much for one instance: {why}"))
            .hint("build it from fewer and smaller modules");
    }

    Mistake::new(format!("does not compile: {why}")).hint("the file may be incomplete or damaged: build it again")
}

fn does_not_load(why: &str) -> Mistake {
    if why.contains(TOO_LARGE) {
        does_not_compile(why)
    } else {
        Mistake::new(format!("was compiled but does not load: {why}"))
    }
}

fn panics() -> Mistake {
    Mistake::new("causes the compiler to panic".to_owned())
}

fn cannot(what: &str, error: &io::Error) -> Mistake {
    Mistake::new(format!("cannot be compiled: cannot {what} its files: {error}"))
}
