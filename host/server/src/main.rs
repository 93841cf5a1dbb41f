//! The `tidegate` command.

use std::process::ExitCode;

use tidegate::cli;
use tidegate_core::telemetry;

fn main() -> ExitCode {
    // The panic has been reported by then.
    let code = std::panic::catch_unwind(cli::run).unwrap_or(cli::exit::BUG);
    telemetry::finish_output();
    ExitCode::from(code)
}
