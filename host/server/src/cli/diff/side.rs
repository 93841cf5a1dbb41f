//! One of the two projects: its files, read and compiled without plugins that are built.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::git::Extracted;
use crate::cli::failure::Failure;
use crate::cli::load::environment;
use crate::reload::{self, Paths, Read};
use tidegate_core::channels::{self, Policy, Sources};
use tidegate_core::config::{Config, DEFAULT_FILE, Diagnostic, Place, SourceFile, parse_yaml};
use tidegate_core::protocol::{Generation, PluginName};
use tidegate_wasm::PluginManifest;

/// The configuration file where there is no [`DEFAULT_FILE`].
const FILE_AT_THE_TOP: &str = "tidegate.yaml";
/// The variables that override keys of the configuration. They are of this machine, and of neither side.
const OVERRIDES: &str = "TIDEGATE__";

/// One of the two projects.
pub(super) struct Side {
    pub(super) policy: Policy,
}

impl Side {
    /// Reads a directory, or a revision of git.
    ///
    /// # Errors
    /// [`Failure::Mistakes`] with everything that is wrong in the files; [`Failure::Revision`], [`Failure::NoGit`].
    pub(super) fn read(given: &str, config: Option<&Path>) -> Result<Self, Failure> {
        if Path::new(given).is_dir() {
            let files = Files { root: Path::new(given).to_owned(), shown: None };
            return files.read(config);
        }
        let extracted = Extracted::open(given)?;
        let files = Files { root: extracted.directory().to_owned(), shown: Some(extracted.name().to_owned()) };
        let file = extracted.config(config, &[DEFAULT_FILE, FILE_AT_THE_TOP])?;
        let places = files.places(&file)?;
        extracted.take(&[&places.channels, &places.plugins, &places.bridge])?;
        files.read(config)
    }
}

/// The files of a project in a directory.
struct Files {
    root: PathBuf,
    /// What errors show in place of the directory.
    shown: Option<String>,
}

impl Files {
    fn read(&self, config: Option<&Path>) -> Result<Side, Failure> {
        let file = self.config(config);
        let places = self.places(&file)?;
        let Config { channels, plugins, bridge, .. } = places;
        let paths = Paths { channels, plugins, bridge, ..Paths::default() };
        self.policy(reload::read(&paths), &paths, &file).map_err(|mistakes| self.failed(mistakes))
    }

    fn config(&self, config: Option<&Path>) -> PathBuf {
        let named = config.map(|config| self.root.join(config));
        let usual = self.root.join(DEFAULT_FILE);
        let at_the_top = self.root.join(FILE_AT_THE_TOP);
        named.unwrap_or(if !usual.exists() && at_the_top.exists() { at_the_top } else { usual })
    }

    fn places(&self, file: &Path) -> Result<Config, Failure> {
        let env = environment().filter(|(name, _)| !name.starts_with(OVERRIDES));
        Config::load_places(Some(file), env, &[]).map_err(|mistakes| self.failed(mistakes))
    }

    fn policy(&self, read: Read, paths: &Paths, file: &Path) -> Result<Side, Vec<Diagnostic>> {
        let Read { manifests, schemas, bridge, plugins, unread, missed, mut mistakes, .. } = read;
        let mut compared = Vec::new();
        let mut take =
            |name: &PluginName, manifest: Result<PluginManifest, Vec<Diagnostic>>, component: Option<&[u8]>| {
                match manifest {
                    Ok(manifest) => compared.push((name.as_str().to_owned(), manifest.policy(component))),
                    Err(mut others) => mistakes.append(&mut others),
                }
            };
        for plugin in &plugins {
            take(&plugin.name, tidegate_wasm::read_manifest(&plugin.manifest), Some(&plugin.component));
        }
        for plugin in &unread {
            // What cannot be read of it may be its component: `plugin.yaml` is enough here.
            let manifest = reload::read_plugin_manifest(&paths.plugins.join(plugin.name.as_str()));
            take(&plugin.name, manifest.and_then(|manifest| tidegate_wasm::read_manifest(&manifest)), None);
        }
        let names = plugins.into_iter().map(|plugin| plugin.name);
        let unloadable = names.chain(unread.into_iter().map(|plugin| plugin.name)).collect();
        let sources = Sources { manifests, schemas, bridge, unloadable, unread: missed, ..Sources::default() };
        let catalog = channels::compile(&sources, Generation(0));
        let configuration = std::fs::read_to_string(file).unwrap_or_default();
        let configuration = SourceFile { path: file.display().to_string(), text: configuration };
        let configuration = parse_yaml(&Arc::new(configuration), &mut mistakes);
        match catalog {
            Ok(catalog) if mistakes.is_empty() => {
                let policy = Policy::of(&catalog, &sources, compared);
                let configuration = configuration.map(|tree| tree.to_json()).unwrap_or_default();
                Ok(Side { policy: policy.with_configuration(&configuration) })
            }
            Ok(_) => Err(mistakes),
            Err(mut others) => {
                mistakes.append(&mut others);
                Err(mistakes)
            }
        }
    }

    /// Mistakes, with the places that people know.
    fn failed(&self, mistakes: Vec<Diagnostic>) -> Failure {
        let Some(shown) = &self.shown else { return Failure::Mistakes(mistakes) };
        let root = format!("{}/", self.root.display());
        let known = |text: &str| text.replace(&root, shown);
        let place = |place: Place| {
            let SourceFile { path, text } = &*place.source;
            let source = Arc::new(SourceFile { path: known(path), text: text.clone() });
            Place { source, ..place }
        };
        let told = mistakes.into_iter().map(|Diagnostic { message, place: at, related, hint }| Diagnostic {
            message: known(&message),
            place: at.map(place),
            related: related.into_iter().map(|(note, at)| (note, place(at))).collect(),
            hint: hint.map(|hint| known(&hint)),
        });
        Failure::Mistakes(told.collect())
    }
}
