//! The `tidegate` command.

use std::process::ExitCode;

use git_version::git_version;
use tidegate::cli;
use tidegate_core::telemetry;

/// What git says of the checkout. Only this file asks: after a commit this small program is compiled and linked again,
/// and nothing else.
const CHECKOUT: &str =
    git_version!(args = ["--always", "--exclude=*", "--abbrev=12", "--dirty=-modified"], fallback = "");

fn main() -> ExitCode {
    // The panic has been reported by then.
    let code = std::panic::catch_unwind(|| cli::run(CHECKOUT)).unwrap_or(cli::exit::BUG);
    telemetry::finish_output();
    ExitCode::from(code)
}
