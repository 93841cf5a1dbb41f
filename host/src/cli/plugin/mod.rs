//! `tidegate plugin`: what feature teams do with plugins, one file a command.

mod ask;
mod build;
mod call;
mod check;
mod choose;
mod clear;
mod compile;
mod inspect;
mod list;
mod network;
mod test;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Answer;
use super::failure::Failure;

pub(super) use build::{build_plugin, is_built, plugin_sources};
pub(super) use choose::{PluginDirectory, all as all_plugins};

#[derive(Debug, Args)]
pub(super) struct Plugin {
    #[command(subcommand)]
    command: PluginCommand,
}

#[derive(Debug, Subcommand)]
enum PluginCommand {
    /// Build plugins with the command of their plugin.yaml
    Build(build::Build),
    /// Say what a component exports, imports, needs of the pool and costs
    Inspect(inspect::Inspect),
    /// Load plugins as the server would, and say every mistake
    Check(check::Check),
    /// Ask plugins what their golden vectors say, tests/*.json, and compare the answers
    Test(test::Test),
    /// List what a running server has: versions, states, calls, faults
    List(list::List),
    /// Let versions in again that failed and were taken back
    Clear(clear::Clear),
    /// Ask a plugin once, and show its answer and everything it did
    Call(Box<call::Call>),
    /// Compile a component to native code, under limits: what the server runs for itself
    #[command(hide = true)]
    Compile(compile::Compile),
}

impl Plugin {
    pub(super) async fn run(self, plugins: &mut Option<PathBuf>) -> Result<Answer, Failure> {
        match self.command {
            PluginCommand::Build(build) => build.run(plugins),
            PluginCommand::Inspect(inspect) => inspect.run(plugins).await,
            PluginCommand::Check(check) => check.run(plugins).await,
            PluginCommand::Test(test) => test.run(plugins).await,
            PluginCommand::List(list) => list.run(),
            PluginCommand::Clear(clear) => clear.run(),
            PluginCommand::Call(call) => call.run(plugins).await,
            PluginCommand::Compile(compile) => Ok(compile.run()),
        }
    }
}
