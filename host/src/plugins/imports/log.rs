//! `tidegate:host/log`: a plugin's lines in the server's log, bounded.

use super::super::contract::host;
use super::super::guest::Guest;

/// Most log lines of one call; those beyond are dropped and counted.
const LINES_PER_CALL_MAX: u32 = 64;
/// Longest log line, in bytes, fields included; the rest is cut.
const LINE_BYTES_MAX: usize = 4096;

/// The log lines of one call.
#[derive(Debug, Default)]
pub(in crate::plugins) struct LogLines(u32);

impl LogLines {
    /// Those that were dropped.
    pub(in crate::plugins) const fn dropped(&self) -> u32 {
        self.0.saturating_sub(LINES_PER_CALL_MAX)
    }
}

impl host::log::Host for Guest {
    fn write(&mut self, level: host::log::Level, message: String, fields: Vec<(String, String)>) {
        self.log.0 = self.log.0.saturating_add(1);
        if self.log.0 > LINES_PER_CALL_MAX {
            return;
        }
        let mut line = message;
        for (name, value) in fields {
            line.push_str(&format!(" {name}={value}"));
        }
        line.truncate(line.floor_char_boundary(LINE_BYTES_MAX));
        let plugin = &*self.plugin;
        match level {
            host::log::Level::Trace => tracing::trace!(target: "plugin", plugin, "{line}"),
            host::log::Level::Debug => tracing::debug!(target: "plugin", plugin, "{line}"),
            host::log::Level::Info => tracing::info!(target: "plugin", plugin, "{line}"),
            host::log::Level::Warn => tracing::warn!(target: "plugin", plugin, "{line}"),
            host::log::Level::Error => tracing::error!(target: "plugin", plugin, "{line}"),
        }
    }
}
