//! The destination and the format of log lines.

use std::io::IsTerminal;

use schemars::JsonSchema;
use serde::Deserialize;
use tracing_subscriber::EnvFilter;

use super::{output, panics};

/// The format of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// Readable lines on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// One coloured line for each event.
    Human,
    /// One JSON object for each event.
    Json,
}

/// Why the server cannot write logs.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The filter is not valid.
    #[error("log filter `{filter}`: {source}")]
    Filter {
        /// The filter as given.
        filter: String,
        /// The reason.
        source: tracing_subscriber::filter::ParseError,
    },
}

/// Whether a text is a valid log filter: a level (`info`), or levels by module (`info,tidegate_core::flow=debug`).
///
/// # Errors
/// [`LoggingError::Filter`].
pub fn check_filter(filter: &str) -> Result<(), LoggingError> {
    parse(filter).map(|_| ())
}

/// Starts logging to stderr for the rest of the process. Lines go through a queue of `lines_max` lines, so that a slow
/// reader cannot block a task. The output of [`super::say`] and [`super::complain`] goes through the same queue. A
/// second call changes nothing.
///
/// # Errors
/// [`LoggingError::Filter`].
pub fn init_logging(filter: &str, format: LogFormat, lines_max: usize) -> Result<(), LoggingError> {
    let filter = parse(filter)?;
    let terminal = std::io::stderr().is_terminal();
    let json = match format {
        LogFormat::Auto => !terminal,
        LogFormat::Human => false,
        LogFormat::Json => true,
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(output::start(lines_max));
    // It would report its own errors on standard error, and panic if nobody reads there.
    let builder = builder.log_internal_errors(false);
    panics::tell_in_log();
    // An error means that there is a subscriber already: the first one stays.
    let _ = if json {
        builder.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init()
    } else {
        builder.with_ansi(terminal).with_target(false).try_init()
    };
    Ok(())
}

fn parse(filter: &str) -> Result<EnvFilter, LoggingError> {
    // The reload reports a watched directory that disappears; `notify` reports it as well, with paths of its own
    // source. `async_nats` reports every attempt to connect; the sources and the broker report once what lasts.
    EnvFilter::try_new(format!("notify=error,async_nats=off,{filter}"))
        .map_err(|source| LoggingError::Filter { filter: filter.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_a_level_or_levels_by_module() {
        assert!(check_filter("info").is_ok());
        assert!(check_filter("warn,tidegate_core::flow=debug").is_ok());
        let error = check_filter("tidegate=loud").unwrap_err().to_string();
        assert!(error.starts_with("log filter `tidegate=loud`: "), "{error}");
    }
}
