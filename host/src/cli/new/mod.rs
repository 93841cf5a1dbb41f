//! `tidegate new`: the first files of what a feature team adds, one file a thing.

mod plugin;
mod project;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Answer;
use super::failure::Failure;

#[derive(Debug, Args)]
pub(super) struct New {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// A plugin: a project that builds, with a unit test and golden vectors
    Plugin(plugin::Plugin),
}

impl New {
    pub(super) fn run(self, plugins: &mut Option<PathBuf>) -> Result<Answer, Failure> {
        match self.what {
            What::Plugin(plugin) => plugin.run(plugins),
        }
    }
}
