//! `tidegate:host/log`: the lines of a plugin in the server's log, within limits.

use std::collections::VecDeque;

use crate::contract::host;
use crate::run::Guest;
use crate::tape::{plays, record};

/// Longest log line with its fields, in bytes. The host cuts the rest.
const LINE_BYTES_MAX: usize = 4096;

/// Most lines of a call that are remembered for a fault, and the longest.
const REMEMBERED_MAX: usize = 20;
const REMEMBERED_BYTES_MAX: usize = 400;

/// The log lines of one call.
#[derive(Debug)]
pub(crate) struct LogLines {
    left: u32,
    dropped: u32,
    /// The last line of the level `error`, even if it was dropped: an SDK writes it before it traps.
    last_error: Option<String>,
    /// The last lines, for a fault; also those that were dropped.
    last: VecDeque<String>,
}

impl LogLines {
    /// Allows so many lines (`limits.log_lines`).
    pub(crate) const fn new(lines_max: u32) -> Self {
        Self { left: lines_max, dropped: 0, last_error: None, last: VecDeque::new() }
    }

    /// The last line of the level `error`, if there was one.
    pub(crate) fn take_last_error(&mut self) -> Option<String> {
        self.last_error.take()
    }

    /// Takes the last lines of the call.
    pub(crate) fn take_last(&mut self) -> VecDeque<String> {
        std::mem::take(&mut self.last)
    }

    fn remember(&mut self, line: &str) {
        if self.last.len() == REMEMBERED_MAX {
            self.last.pop_front();
        }
        self.last.push_back(line[..line.floor_char_boundary(REMEMBERED_BYTES_MAX)].to_owned());
    }

    /// The number of dropped lines.
    pub(crate) const fn dropped(&self) -> u32 {
        self.dropped
    }
}

impl host::log::Host for Guest {
    fn write(&mut self, level: host::log::Level, message: String, fields: Vec<(String, String)>) {
        let line = line(message, &fields);
        if level == host::log::Level::Error {
            self.log.last_error = Some(line.clone());
        }
        self.log.remember(&line);
        if self.log.left == 0 || !self.capabilities.log.admit() {
            self.log.dropped = self.log.dropped.saturating_add(1);
            return;
        }
        self.log.left -= 1;
        let (plugin, version) = (&*self.identity.plugin, &*self.identity.version);
        let (channel, user) = (self.caller.channel(), self.caller.user());
        record::note(|record| record.log.push((word(level), line.clone())));
        if plays() {
            // The call that is played again has said it already.
            return;
        }
        match level {
            host::log::Level::Trace => tracing::trace!(target: "plugin", plugin, version, channel, user, "{line}"),
            host::log::Level::Debug => tracing::debug!(target: "plugin", plugin, version, channel, user, "{line}"),
            host::log::Level::Info => tracing::info!(target: "plugin", plugin, version, channel, user, "{line}"),
            host::log::Level::Warn => tracing::warn!(target: "plugin", plugin, version, channel, user, "{line}"),
            host::log::Level::Error => tracing::error!(target: "plugin", plugin, version, channel, user, "{line}"),
        }
    }
}

fn line(message: String, fields: &[(String, String)]) -> String {
    let mut line = message;
    for (name, value) in fields {
        line.push_str(&format!(" {name}={value}"));
    }
    line.truncate(line.floor_char_boundary(LINE_BYTES_MAX));
    line
}

const fn word(level: host::log::Level) -> &'static str {
    match level {
        host::log::Level::Trace => "trace",
        host::log::Level::Debug => "debug",
        host::log::Level::Info => "info",
        host::log::Level::Warn => "warn",
        host::log::Level::Error => "error",
    }
}
