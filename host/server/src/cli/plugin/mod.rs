//! `tidegate plugin`: commands for authors of plugins, one file for each.

mod build;
mod call;
mod check;
mod choose;
mod clear;
mod compile;
mod inspect;
mod list;
mod network;
mod replay;
mod test;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Answer;
use super::failure::Failure;

pub(super) use build::{build_changed, build_plugin, is_built, plugin_sources};
pub(super) use choose::{PluginDirectory, all as all_plugins};

#[derive(Debug, Args)]
pub(super) struct Plugin {
    #[command(subcommand)]
    command: PluginCommand,
}

#[derive(Debug, Subcommand)]
enum PluginCommand {
    /// Build plugins with the `build` command of their plugin.yaml
    Build(build::Build),
    /// Show what a component exports, imports, needs from the pool and costs
    Inspect(inspect::Inspect),
    /// Load plugins as the server does, and report every error
    Check(check::Check),
    /// Run the golden vectors of plugins, tests/*.json, and compare the answers
    Test(test::Test),
    /// List the plugins of a running server: versions, states, calls, faults
    List(list::List),
    /// Re-admit plugin versions that were rolled back
    Clear(clear::Clear),
    /// Ask another component the questions of a recording, and compare its answers
    Replay(Box<replay::Replay>),
    /// Call a plugin once, and show its answer and everything it did
    Call(Box<call::Call>),
    /// Compile a component to native code under limits; the server runs this itself
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
            PluginCommand::Replay(replay) => replay.run().await,
            PluginCommand::Call(call) => call.run(plugins).await,
            PluginCommand::Compile(compile) => Ok(compile.run()),
        }
    }
}
