//! Builds a generation aside from what is served: plugins first, for the catalog asks what each can be.

use std::sync::Arc;

use super::Read;
use crate::channels::{self, Sources};
use crate::config::Diagnostic;
use crate::flow::Serving;
use crate::plugins::{Fingerprint, KeptOut, Plugin, PluginHost, PluginSet, PluginSource};
use crate::protocol::Generation;

/// A generation ready to serve.
#[derive(Clone)]
pub struct Built {
    /// What goes behind the gates.
    pub serving: Serving,
    /// Its plugins, kept by the next generation where they did not change.
    pub plugins: Vec<Arc<Plugin>>,
    /// What its catalog was compiled from.
    pub sources: Sources,
    /// Of the files it was built from; `None` when it was built from none, after a plugin was taken back.
    pub fingerprint: Option<u64>,
    /// What lies in a plugin's directory and is quarantined: the version of `previous` serves on, or none.
    pub kept_out: Vec<KeptOut>,
}

/// Builds a generation. A plugin of `previous` that did not change keeps its warm instances. One whose file is quarantined
/// holds up nothing else: the first of its name in `previous` serves on; where there is none the plugin is missing, and
/// what needs it is refused.
///
/// # Errors
/// Every mistake of every file: plugins, manifests and bridge in one run.
pub async fn build(
    host: &PluginHost,
    read: Read,
    generation: Generation,
    previous: &[Arc<Plugin>],
) -> Result<Built, Vec<Diagnostic>> {
    let fingerprint = Some(read.fingerprint());
    let mut mistakes = Vec::new();
    let mut plugins = Vec::new();
    let mut unloadable = Vec::new();
    let mut kept_out = Vec::new();
    for source in read.plugins {
        let name = source.name.clone();
        let unchanged = unchanged(previous, &source);
        if unchanged.is_none()
            && let Some(mut kept) = host.kept_out(&source)
        {
            let serving = previous.iter().find(|plugin| *plugin.name() == name);
            kept.serving = serving.map(|plugin| plugin.version().to_owned());
            kept_out.push(kept);
            match serving {
                Some(plugin) => plugins.push(plugin.clone()),
                None => unloadable.push(name),
            }
            continue;
        }
        let loaded = match unchanged {
            // What it must answer may have changed alone.
            Some(plugin) => host.prove(&plugin, &source.vectors).await.map(|()| plugin),
            None => host.load(source).await,
        };
        match loaded {
            Ok(plugin) => plugins.push(plugin),
            Err(mut errors) => {
                unloadable.push(name);
                mistakes.append(&mut errors);
            }
        }
    }
    let kinds = plugins.iter().map(|plugin| (plugin.name().clone(), plugin.kinds())).collect();
    let Read { manifests, schemas, bridge, named, .. } = read;
    let sources = Sources { manifests, schemas, bridge, plugins: kinds, unloadable, named };
    match channels::compile(&sources, generation) {
        Ok(catalog) if mistakes.is_empty() => {
            let set = PluginSet::new(plugins.iter().cloned());
            let serving = Serving { catalog: catalog.into(), plugins: Arc::new(set) };
            Ok(Built { serving, plugins, sources, fingerprint, kept_out })
        }
        Ok(_) => Err(mistakes),
        Err(mut errors) => {
            mistakes.append(&mut errors);
            Err(mistakes)
        }
    }
}

/// The plugin that was loaded from these very files, if there is one.
fn unchanged(previous: &[Arc<Plugin>], source: &PluginSource) -> Option<Arc<Plugin>> {
    let mut named = previous.iter().filter(|plugin| *plugin.name() == source.name).peekable();
    named.peek()?;
    let fingerprint = Fingerprint::of(&source.manifest.text, &source.component);
    named.find(|plugin| plugin.fingerprint() == fingerprint).cloned()
}
