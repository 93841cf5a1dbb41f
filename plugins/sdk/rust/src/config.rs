//! The `config:` section of the plugin's `plugin.yaml`.

use serde::de::DeserializeOwned;

/// Reads one top-level key. It never changes while an instance lives, so a plugin may keep what it read.
///
/// # Errors
/// A sentence naming the key when it is absent or has another shape.
pub fn get<T: DeserializeOwned>(key: &str) -> Result<T, String> {
    let text = host_value(key).ok_or_else(|| format!("`config.{key}` is missing in plugin.yaml"))?;
    crate::json::read(&text).map_err(|error| format!("`config.{key}` in plugin.yaml: {error}"))
}

#[cfg(target_arch = "wasm32")]
fn host_value(key: &str) -> Option<String> {
    crate::bindings::handler_world::tidegate::host::config::get(key)
}

#[cfg(not(target_arch = "wasm32"))]
fn host_value(key: &str) -> Option<String> {
    crate::testing::config_value(key)
}
