//! The server's log. Lines are bounded in length and in number a call; what is beyond is dropped and counted.

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Step by step.
    Trace,
    /// For whoever looks for a mistake.
    Debug,
    /// Worth knowing.
    Info,
    /// Should not happen; the plugin copes.
    Warn,
    /// Went wrong.
    Error,
}

/// For whoever looks for a mistake.
pub fn debug(message: &str) {
    write(Level::Debug, message, &[]);
}

/// Worth knowing.
pub fn info(message: &str) {
    write(Level::Info, message, &[]);
}

/// Should not happen; the plugin copes.
pub fn warn(message: &str) {
    write(Level::Warn, message, &[]);
}

/// Went wrong.
pub fn error(message: &str) {
    write(Level::Error, message, &[]);
}

/// One line with fields: names and values that can be searched for.
#[cfg(target_arch = "wasm32")]
pub fn write(level: Level, message: &str, fields: &[(&str, &str)]) {
    use crate::bindings::handler_world::tidegate::host::log;
    let level = match level {
        Level::Trace => log::Level::Trace,
        Level::Debug => log::Level::Debug,
        Level::Info => log::Level::Info,
        Level::Warn => log::Level::Warn,
        Level::Error => log::Level::Error,
    };
    let fields: Vec<_> = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    log::write(level, message, &fields);
}

/// One line with fields. Off wasm, in unit tests, it goes to standard error.
#[cfg(not(target_arch = "wasm32"))]
pub fn write(level: Level, message: &str, fields: &[(&str, &str)]) {
    eprintln!("{level:?} {message} {fields:?}");
}
