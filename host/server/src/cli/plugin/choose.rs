//! Which plugins a command works on: names in the plugins directory, directories, or all plugins.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use super::super::failure::Failure;
use super::super::load::Load;
use crate::reload;
use tidegate_backends::store::{PostgresLook, PostgresSettings, SqliteLook};
use tidegate_core::config::{Limits, nearest_name};
use tidegate_core::flow::queries::Queries;
use tidegate_wasm::{CompilePlace, CompileSettings, Effort, HostSettings, PluginHost, Quarantine, Secrets, Services};

/// The file that makes a directory a plugin.
const MANIFEST: &str = "plugin.yaml";
/// The most live instances of a command that calls plugins; it serves nobody.
const INSTANCES_MAX: u32 = 16;

#[derive(Debug, Args)]
pub(super) struct Choose {
    /// Plugins by name, or their directories (with a `/`); default: all plugins of the configuration
    #[arg(value_name = "NAME|DIR")]
    names: Vec<String>,
    #[command(flatten)]
    load: Load,
}

/// The database that a command offers to the plugins that it calls or loads.
#[derive(Debug, Default, Args)]
pub(super) struct Database {
    /// A database for the plugins' queries: a SQLite file, or `postgres://…`; without it queries fail with
    /// `unavailable`
    #[arg(long, value_name = "FILE|URL")]
    store: Option<String>,
}

impl Database {
    /// Lets queries read the database; they cannot change it.
    ///
    /// # Errors
    /// [`Failure::File`] if the database does not exist, [`Failure::Store`] if its address is not valid.
    pub(super) fn look(&self, services: Services) -> Result<Services, Failure> {
        let queries: Arc<dyn Queries> = match self.store.as_deref() {
            Some(url) if url.starts_with("postgres") && url.contains("://") => {
                let url = url.parse().map_err(Failure::Store)?;
                Arc::new(PostgresLook::at(url, PostgresSettings::from(&Limits::default())))
            }
            Some(file) => {
                std::fs::metadata(file).map_err(|source| Failure::File { path: file.to_owned(), source })?;
                Arc::new(SqliteLook::at(file.into()))
            }
            None => Arc::new(SqliteLook::nowhere("there is no database: give one with `--store FILE|URL`")),
        };
        Ok(Services { queries, ..services })
    }
}

/// A directory with a `plugin.yaml`.
#[derive(Debug, Clone)]
pub(in crate::cli) struct PluginDirectory {
    /// The directory's own name, which is the plugin's name.
    pub(in crate::cli) name: String,
    pub(super) path: PathBuf,
}

impl PluginDirectory {
    fn new(path: PathBuf) -> Self {
        let name = reload::plugin_name(&path).to_string();
        Self { name, path }
    }

    /// Where the plugin's cargo builds: one target directory for all plugins in the same directory.
    pub(super) fn target(&self) -> PathBuf {
        let path = std::path::absolute(&self.path).unwrap_or_else(|_| self.path.clone());
        path.parent().unwrap_or(&path).join("target")
    }
}

impl Choose {
    /// The plugins. If the command works on all of them, they are sorted by name. `plugins` is set to the
    /// configuration's directory, if the configuration was read.
    ///
    /// # Errors
    /// [`Failure::Mistakes`] of the configuration, which is read only for a plugin's name or for all plugins;
    /// [`Failure::NoPlugin`].
    pub(super) fn plugins(&self, plugins: &mut Option<PathBuf>) -> Result<Vec<PluginDirectory>, Failure> {
        if self.names.is_empty() {
            return all(self.directory(plugins)?);
        }
        self.names.iter().map(|name| one(&self.load, name, plugins)).collect()
    }

    /// The configuration's quarantine. It is empty if the command works on directories only and there is no
    /// configuration.
    ///
    /// # Errors
    /// [`Failure::Mistakes`] of the configuration, where it is needed.
    pub(super) fn quarantine(&self) -> Result<Quarantine, Failure> {
        let config = self.load.places();
        if config.is_err() && !self.names.is_empty() && self.names.iter().all(|name| is_path(name)) {
            return Ok(Quarantine::default());
        }
        Ok(Quarantine::at(config?.plugin_quarantine))
    }

    /// The directory of compiled plugins.
    pub(super) fn cache(&self) -> Option<PathBuf> {
        cache(&self.load)
    }

    fn directory<'a>(&self, plugins: &'a mut Option<PathBuf>) -> Result<&'a Path, Failure> {
        configured(&self.load, plugins)
    }
}

/// One plugin, by name or directory.
///
/// # Errors
/// Like [`Choose::plugins`].
pub(super) fn one(load: &Load, name: &str, plugins: &mut Option<PathBuf>) -> Result<PluginDirectory, Failure> {
    if is_path(name) {
        let path = PathBuf::from(name);
        return if path.join(MANIFEST).is_file() {
            Ok(PluginDirectory::new(path))
        } else {
            Err(Failure::NoPlugin { name: name.to_owned(), known: Vec::new(), nearest: None })
        };
    }
    let directory = configured(load, plugins)?;
    let path = directory.join(name);
    if path.join(MANIFEST).is_file() {
        return Ok(PluginDirectory::new(path));
    }
    let known: Vec<String> = all(directory)?.into_iter().map(|plugin| plugin.name).collect();
    let nearest = nearest_name(name, &known.iter().map(String::as_str).collect::<Vec<_>>()).map(str::to_owned);
    Err(Failure::NoPlugin { name: name.to_owned(), known, nearest })
}

/// Every plugin of a directory, by name.
///
/// # Errors
/// [`Failure::File`] when the directory cannot be read.
pub(in crate::cli) fn all(directory: &Path) -> Result<Vec<PluginDirectory>, Failure> {
    let unreadable = |source| Failure::File { path: directory.display().to_string(), source };
    let entries = std::fs::read_dir(directory).map_err(unreadable)?;
    let mut found: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    found.retain(|path| !reload::is_hidden(path) && path.join(MANIFEST).is_file());
    found.sort();
    Ok(found.into_iter().map(PluginDirectory::new).collect())
}

/// Whether an argument is a path rather than a plugin's name.
pub(super) fn is_path(argument: &str) -> bool {
    argument == "." || argument.contains(['/', '\\'])
}

/// The engine for a command that serves nobody, with the services that its plugins use. Secrets come from the
/// environment; a missing secret does not stop a plugin from loading. The command uses what the server or another
/// command has compiled, and stores its own compiled plugins in `cache` for them.
///
/// # Errors
/// [`Failure::App`] when this machine cannot run WebAssembly.
pub(super) fn host(services: Services, cache: Option<PathBuf>, effort: Effort) -> Result<PluginHost, Failure> {
    let place = CompilePlace::this_program();
    Ok(engine(services)?.compiling(CompileSettings { place, cache, effort, ..CompileSettings::default() }))
}

fn engine(services: Services) -> Result<PluginHost, Failure> {
    let settings = HostSettings { instances_max: INSTANCES_MAX, ..HostSettings::default() };
    let services = Services { secrets: Secrets::Environment, may_lack_secrets: true, ..services };
    PluginHost::with_services(settings, services).map_err(|error| Failure::App(error.into()))
}

/// Where the server of this configuration stores compiled plugins; without a configuration, this user's cache.
pub(super) fn cache(load: &Load) -> Option<PathBuf> {
    CompileSettings::cache_place(load.places().ok().and_then(|places| places.plugin_cache))
}

/// The engine of a command that measures compiling: as in the server, in a child with limits, but without a cache.
///
/// # Errors
/// Like [`host`].
pub(super) fn inspecting_host() -> Result<PluginHost, Failure> {
    host(Services::in_memory(), None, Effort::Full)
}

fn configured<'a>(load: &Load, plugins: &'a mut Option<PathBuf>) -> Result<&'a Path, Failure> {
    Ok(plugins.insert(load.places()?.plugins))
}
