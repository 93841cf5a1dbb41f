//! The candidates of shadows: read after the plugins that serve, and beside them. A candidate that is missing or does not
//! load holds nothing up.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::read::read_component_file;
use tidegate_wasm::{Plugin, PluginHost};

/// Begins, changes and ends shadows as the `plugin.yaml` of these plugins say, in a task of its own: a candidate compiles
/// for seconds.
pub(super) fn follow(host: &Arc<PluginHost>, directory: &Path, plugins: &[Arc<Plugin>]) {
    for plugin in plugins.iter().filter(|plugin| plugin.has_shadow()) {
        let (host, plugin) = (host.clone(), plugin.clone());
        let home: PathBuf = directory.join(plugin.name().as_str());
        tokio::spawn(async move { host.shadow(&plugin, |file| read_component_file(&home.join(file))).await });
    }
}
