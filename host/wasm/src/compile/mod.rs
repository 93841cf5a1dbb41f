//! From the bytes of a component to native code: compiled in a child process under limits, or taken from the cache. The
//! compiler has no sandbox, so its crash or its endless loop only ends the child.

mod cache;
mod child;
pub(crate) mod engine;
mod needs;

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
pub use needs::Needs;

use crate::mistake::Mistake;
use crate::version::Digest;
use cache::Cache;
use tidegate_core::telemetry;

/// How components are compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompileSettings {
    /// Where the compiler runs. Default: in this process.
    pub place: CompilePlace,
    /// How much the compiler optimises. Default: fully.
    pub effort: Effort,
    /// Address space of the child, in bytes. Default 2 GiB. A component that needs more does not load.
    pub memory_bytes_max: u64,
    /// How long a compilation may take. Default 60 s; a component that takes longer does not load.
    pub wall_max: Duration,
    /// The cache of compiled components, a directory that only the server uses. Default: no cache.
    pub cache: Option<PathBuf>,
    /// The size of that directory, in bytes. Default 1 GiB; the components that were not used for the longest time go
    /// first.
    pub cache_bytes_max: u64,
}

/// How much the compiler optimises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Effort {
    /// Fully: for plugins that serve.
    #[default]
    Full,
    /// Quickly, for an author who waits. Optimised code in the cache is taken; a child compiles without optimising.
    Quick,
}

/// Where the compiler runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum CompilePlace {
    /// In this process, without limits: for tests, and for tools other than the `tidegate` binary.
    #[default]
    Here,
    /// In a child process: this program, with the arguments of `tidegate plugin compile`.
    Child(PathBuf),
}

impl CompilePlace {
    /// In children that run the same program; in this process if the operating system does not say which program that
    /// is. On Linux the children run the same build even if its file was replaced, because another build makes other
    /// native code.
    #[must_use]
    pub fn this_program() -> Self {
        let running = PathBuf::from("/proc/self/exe");
        let program = if running.exists() { Some(running) } else { std::env::current_exe().ok() };
        program.map_or(Self::Here, Self::Child)
    }
}

impl CompileSettings {
    /// The directory of the cache: the configured directory, or one among the caches of this user.
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
pub(crate) struct Compiler {
    settings: CompileSettings,
    cache: Option<Arc<Cache>>,
    /// One at a time: a large component takes seconds of every core and hundreds of megabytes.
    turn: Mutex<()>,
}

/// A compiled component.
pub(crate) struct Compiled {
    pub(crate) component: Component,
    /// Whether the native code came from the cache.
    pub(crate) cached: bool,
    pub(crate) elapsed: Duration,
}

impl Compiler {
    /// Without a usable cache the server logs the reason, and compiles everything.
    pub(crate) fn new(settings: CompileSettings, engine: &Engine) -> Self {
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

    /// Takes a component from the cache, or compiles it and puts it there.
    ///
    /// # Errors
    /// [`Mistake`] when it does not compile within the limits.
    pub(crate) async fn compile(&self, engine: &Engine, digest: &Digest, bytes: Vec<u8>) -> Result<Compiled, Mistake> {
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
        // This process has one engine, which always optimises fully.
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

/// A private directory for one compilation. Dropping it removes the directory, unless it became an entry of the cache.
pub(crate) struct Work(PathBuf);

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

/// Loads fresh native code, and puts it into the cache.
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
    // SAFETY: the compiler of this program wrote the file: either a moment ago, in a directory that only this user can
    // write to, or earlier, and the cache verified every byte by its MAC. Nobody writes to the file again: the cache
    // replaces entries as whole directories, and removes them by name.
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
    // In this process a panic of the compiler on one component must not end the others.
    match catch_unwind(AssertUnwindSafe(compile)) {
        Ok(Ok(compiled)) => Ok(compiled),
        Ok(Err(error)) => Err(does_not_compile(&error.root_cause().to_string())),
        Err(_) => Err(panics()),
    }
}

/// Part of the engine's error about a component that is too large for the pool.
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
