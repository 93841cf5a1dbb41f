//! The flags that find and override the configuration. They are the same for every command that needs a configuration.

use std::path::PathBuf;

use clap::Args;

use super::complain;
use super::failure::Failure;
use super::plugin::all_plugins;
use crate::reload;
use tidegate_core::channels::{self, Catalog, Sources};
use tidegate_core::config::{Config, DEV_SECRETS, Diagnostic, Failed, Override};
use tidegate_core::protocol::{Generation, PluginName};

/// Where the configuration is, and which of its values are overridden.
#[derive(Debug, Args)]
pub(super) struct Load {
    /// The configuration file [default: config/tidegate.yaml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The directory of the channel manifests; overrides the configuration
    #[arg(long, value_name = "DIR")]
    channels: Option<String>,
    /// The directory of the plugins; overrides the configuration
    #[arg(long, value_name = "DIR")]
    plugins: Option<String>,
    /// The bridge table; overrides the configuration
    #[arg(long, value_name = "FILE")]
    bridge: Option<String>,
}

impl Load {
    /// Reads the configuration. `listen` overrides its address. `env` supplies variables that the process's environment
    /// does not have.
    ///
    /// # Errors
    /// [`Failure::Mistakes`].
    pub(super) fn config(&self, listen: Option<&String>, env: &[(String, String)]) -> Result<Config, Failure> {
        let env = env.iter().cloned().chain(environment());
        Config::load(self.config.as_deref(), env, &self.overrides(listen)).map_err(Failure::Mistakes)
    }

    /// Reads only the paths, for a command that serves nothing and needs no secret.
    ///
    /// # Errors
    /// [`Failure::Mistakes`] of the keys for these paths.
    pub(super) fn places(&self) -> Result<Config, Failure> {
        Config::load_places(self.config.as_deref(), environment(), &self.overrides(None)).map_err(Failure::Mistakes)
    }

    fn overrides(&self, listen: Option<&String>) -> Vec<Override> {
        let flags: [(&str, &'static [&'static str], Option<&String>); 4] = [
            ("--listen", &["listen"], listen),
            ("--channels", &["channels"], self.channels.as_ref()),
            ("--plugins", &["plugins"], self.plugins.as_ref()),
            ("--bridge", &["bridge"], self.bridge.as_ref()),
        ];
        let given = flags.into_iter();
        given.filter_map(|(flag, path, value)| Some(Override { flag, path, value: value?.clone() })).collect()
    }

    /// Reads the configuration for a command that serves nothing. A secret that only `serve` needs may be missing, as
    /// it is where somebody checks a change before deployment.
    ///
    /// # Errors
    /// [`Failure::Mistakes`].
    pub(super) fn config_to_look_at(&self) -> Result<Config, Failure> {
        self.config_despite().map_err(|failed| Failure::Mistakes(failed.mistakes))
    }

    /// Like [`Load::config_to_look_at`]; on an error it also returns the valid part.
    ///
    /// # Errors
    /// [`Failed`].
    pub(super) fn config_despite(&self) -> Result<Config, Failed> {
        let load = |env: &[(String, String)]| {
            let env = env.iter().cloned().chain(environment());
            Config::load_despite(self.config.as_deref(), env, &self.overrides(None))
        };
        let strict = load(&[]);
        let missing = made_up_secrets();
        if strict.is_ok() || missing.is_empty() {
            return strict;
        }
        let config = load(&missing)?;
        for (name, _) in &missing {
            complain(&format!("note: `{name}` is not set; `tidegate serve` will need it\n"));
        }
        Ok(config)
    }
}

impl Load {
    /// The channels directory, and the files that its manifests and schemas are compiled from. Every plugin is assumed
    /// to exist and to be of the kind that the manifests need. `plugins` is set to the configuration's directory.
    ///
    /// # Errors
    /// [`Failure::Mistakes`] of the configuration, and of files that cannot be read.
    pub(super) fn channel_sources(&self, plugins: &mut Option<PathBuf>) -> Result<(PathBuf, Sources), Failure> {
        let config = self.places()?;
        *plugins = Some(config.plugins.clone());
        let sources = sources(&config).map_err(Failure::Mistakes)?;
        Ok((config.channels, sources))
    }

    /// The channels of the manifests, whatever the plugins are; `None` if the manifests have errors.
    pub(super) fn channels_alone(config: &Config) -> Option<Catalog> {
        channels::compile(&sources(config).ok()?, Generation(0)).ok()
    }
}

fn sources(config: &Config) -> Result<Sources, Vec<Diagnostic>> {
    let read = reload::read_channels(&config.channels)?;
    let there = all_plugins(&config.plugins).unwrap_or_default();
    let unloadable = there.into_iter().map(|plugin| PluginName::new(plugin.name)).collect();
    Ok(Sources { manifests: read.manifests, schemas: read.schemas, unloadable, ..Sources::default() })
}

/// The environment of the process, without the variables that are not text.
pub(super) fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// Random secrets for this run, for the variables of [`DEV_SECRETS`] that are not set.
pub(super) fn made_up_secrets() -> Vec<(String, String)> {
    let missing = DEV_SECRETS.into_iter().filter(|name| std::env::var_os(name).is_none_or(|value| value.is_empty()));
    missing.map(|name| (name.to_owned(), random())).collect()
}

/// 64 random characters with 244 bits of entropy.
fn random() -> String {
    format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple())
}
