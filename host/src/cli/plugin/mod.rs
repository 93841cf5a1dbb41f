//! `tidegate plugin`: what is done with one plugin.

mod compile;

use clap::{Args, Subcommand};

use super::Answer;

#[derive(Debug, Args)]
pub(super) struct Plugin {
    #[command(subcommand)]
    command: PluginCommand,
}

#[derive(Debug, Subcommand)]
enum PluginCommand {
    /// Compile a component to native code, under limits: what the server runs for itself
    #[command(hide = true)]
    Compile(compile::Compile),
}

impl Plugin {
    /// The command that needs no runtime, and must not have one: its threads would count against the limits it sets.
    pub(super) fn run_alone(self) -> Answer {
        match self.command {
            PluginCommand::Compile(compile) => compile.run(),
        }
    }
}
