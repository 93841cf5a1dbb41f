//! `tidegate plugin build`: builds a component from source with the command of `plugin.yaml`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::super::failure::Failure;
use super::super::show;
use super::super::{Answer, Format, complain, exit};
use super::choose::{Choose, PluginDirectory};
use tidegate_core::config::SourceFile;
use tidegate_wasm::{BuildInputs, BuildOutput, PluginManifest, WASM_TARGET};

#[derive(Debug, Args)]
pub(in crate::cli) struct Build {
    /// The output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    choose: Choose,
}

/// The result for one plugin.
struct Built {
    name: String,
    component: PathBuf,
    /// `None`: its `plugin.yaml` has no `build`, because the component is shipped ready-made.
    changed: Option<bool>,
    bytes: u64,
    took: Duration,
}

impl Build {
    pub(super) fn run(self, plugins: &mut Option<PathBuf>) -> Result<Answer, Failure> {
        let chosen = self.choose.plugins(plugins)?;
        let mut built = Vec::new();
        let mut failed = Vec::new();
        for plugin in &chosen {
            match build(plugin, BuildOutput::Inherit) {
                Ok(one) => built.push(one),
                Err(failure) => {
                    complain(&failure.render());
                    failed.push((plugin.name.clone(), failure));
                }
            }
        }
        let answer = match self.format {
            Format::Text => Answer::ok(show::table(built.iter().map(Built::row).collect())),
            Format::Json => {
                let failed = failed.iter().map(|(name, failure)| json!({ "plugin": name, "error": told(failure) }));
                let failed: Vec<Value> = failed.collect();
                Answer::json(&json!({
                    "ok": failed.is_empty(),
                    "built": built.iter().map(Built::to_json).collect::<Vec<_>>(),
                    "failed": failed,
                }))
            }
        };
        Ok(if failed.is_empty() { answer } else { Answer { exit: exit::PLUGIN, ..answer } })
    }
}

impl Built {
    fn row(&self) -> [String; 4] {
        let state = match self.changed {
            Some(true) => "built",
            Some(false) => "unchanged",
            None => "as shipped",
        };
        let size = show::bytes(self.bytes);
        let took = if self.changed.is_some() { show::duration(self.took) } else { String::new() };
        [state.to_owned(), self.name.clone(), size, took]
    }

    fn to_json(&self) -> Value {
        json!({
            "plugin": self.name,
            "component": self.component,
            "changed": self.changed,
            "bytes": self.bytes,
            "took_ms": self.took.as_secs_f64() * 1000.0,
        })
    }
}

/// Builds one plugin and prints the result in a line; prints nothing for a plugin that is shipped ready-made.
///
/// # Errors
/// [`Failure::Build`], or the errors of its `plugin.yaml`.
pub(in crate::cli) fn build_plugin(plugin: &PluginDirectory, output: BuildOutput<'_>) -> Result<String, Failure> {
    let built = build(plugin, output)?;
    let (name, took) = (&built.name, show::duration(built.took));
    Ok(match built.changed {
        Some(true) => format!("built plugin `{name}`: {} in {took}\n", show::bytes(built.bytes)),
        Some(false) => format!("built plugin `{name}`: unchanged, in {took}\n"),
        None => String::new(),
    })
}

/// Builds the plugins whose component was not built from their present sources, and prints the results in lines.
///
/// # Errors
/// [`Failure::Builds`], after all were tried.
pub(in crate::cli) fn build_changed(plugins: &[PluginDirectory]) -> Result<(), Failure> {
    let is_due = |plugin: &&PluginDirectory| {
        let sources = plugin_sources(plugin);
        sources.is_some_and(|sources| !(sources.is_complete() && is_built(plugin, &sources.digest())))
    };
    let mut failed = Vec::new();
    for plugin in plugins.iter().filter(is_due) {
        match build_plugin(plugin, BuildOutput::Inherit) {
            Ok(text) => complain(&text),
            Err(failure) => failed.push(failure),
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(Failure::Builds(failed)) }
}

/// The files that a plugin is built from; `None` if its `plugin.yaml` cannot be read or has errors, or if the component
/// is shipped ready-made.
pub(in crate::cli) fn plugin_sources(plugin: &PluginDirectory) -> Option<BuildInputs> {
    sources(plugin, &manifest(plugin).ok()?)
}

fn sources(plugin: &PluginDirectory, manifest: &PluginManifest) -> Option<BuildInputs> {
    manifest.build.as_ref().map(|_| BuildInputs::of(&plugin.path, manifest, &plugin.target()))
}

/// Whether the existing component was built from these sources.
pub(in crate::cli) fn is_built(plugin: &PluginDirectory, digest: &str) -> bool {
    manifest(plugin).is_ok_and(|manifest| BuildInputs::made(digest, &plugin.path.join(&manifest.component)))
}

fn build(plugin: &PluginDirectory, output: BuildOutput<'_>) -> Result<Built, Failure> {
    let manifest = manifest(plugin)?;
    let name = plugin.name.clone();
    let started = Instant::now();
    let before = sources(plugin, &manifest).map(|sources| (sources.digest(), sources));
    let report = run(plugin, &manifest, output).map_err(|source| Failure::Build { plugin: name.clone(), source })?;
    // Cargo lists only now what it read; a file saved meanwhile may or may not be in the build.
    if let (Some((digest, before)), Some(now)) = (before, sources(plugin, &manifest))
        && now.is_complete()
        && before.digest() == digest
    {
        // Where it cannot be kept it is built once more.
        let _ = BuildInputs::keep(&now.digest(), &report.component);
    }
    let bytes = std::fs::metadata(&report.component).map_or(0, |metadata| metadata.len());
    let changed = manifest.build.is_some().then_some(report.changed);
    Ok(Built { name, component: report.component, changed, bytes, took: started.elapsed() })
}

fn run(
    plugin: &PluginDirectory,
    manifest: &PluginManifest,
    output: BuildOutput<'_>,
) -> Result<tidegate_wasm::BuildReport, tidegate_wasm::BuildError> {
    if let Some(command) = &manifest.build {
        complain(&format!("building plugin `{}`: {command}\n", plugin.name));
        if command.contains(WASM_TARGET) {
            tidegate_wasm::ensure_wasm_target(&plugin.path)?;
        }
    }
    tidegate_wasm::build(&plugin.path, manifest, &plugin.target(), output)
}

/// Reads the plugin's `plugin.yaml`.
///
/// # Errors
/// The errors of the file, or the reason that it cannot be read.
pub(super) fn manifest(plugin: &PluginDirectory) -> Result<PluginManifest, Failure> {
    let path = plugin.path.join("plugin.yaml");
    let unreadable = |source| Failure::File { path: path.display().to_string(), source };
    let text = std::fs::read_to_string(&path).map_err(unreadable)?;
    let source = Arc::new(SourceFile { path: path.display().to_string(), text });
    tidegate_wasm::read_manifest(&source).map_err(Failure::Mistakes)
}

/// The first line of a failure and its causes, for a script.
fn told(failure: &Failure) -> String {
    let text = failure.render();
    text.trim_end().trim_start_matches("error: ").to_owned()
}
