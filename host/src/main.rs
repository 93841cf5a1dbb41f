//! The `tidegate` command.

use std::process::ExitCode;

use tidegate::cli;

fn main() -> ExitCode {
    // The panic's own message is on stderr by then.
    ExitCode::from(std::panic::catch_unwind(cli::run).unwrap_or(cli::exit::BUG))
}
