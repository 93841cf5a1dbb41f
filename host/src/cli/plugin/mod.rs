<<<<<<< HEAD
//! `tidegate plugin`: what is done with one plugin.

mod compile;
=======
//! `tidegate plugin`: what feature teams do with plugins, one file a command.

mod build;
mod check;
mod choose;

use std::path::PathBuf;
>>>>>>> main

use clap::{Args, Subcommand};

use super::Answer;
<<<<<<< HEAD
=======
use super::failure::Failure;

pub(super) use build::build_all;
>>>>>>> main

#[derive(Debug, Args)]
pub(super) struct Plugin {
    #[command(subcommand)]
    command: PluginCommand,
}

#[derive(Debug, Subcommand)]
enum PluginCommand {
<<<<<<< HEAD
    /// Compile a component to native code, under limits: what the server runs for itself
    #[command(hide = true)]
    Compile(compile::Compile),
}

impl Plugin {
    /// The command that needs no runtime, and must not have one: its threads would count against the limits it sets.
    pub(super) fn run_alone(self) -> Answer {
        match self.command {
            PluginCommand::Compile(compile) => compile.run(),
=======
    /// Build plugins with the command of their plugin.yaml
    Build(build::Build),
    /// Load plugins as the server would, and say every mistake
    Check(check::Check),
}

impl Plugin {
    pub(super) async fn run(self, plugins: &mut Option<PathBuf>) -> Result<Answer, Failure> {
        match self.command {
            PluginCommand::Build(build) => build.run(plugins),
            PluginCommand::Check(check) => check.run(plugins).await,
>>>>>>> main
        }
    }
}
