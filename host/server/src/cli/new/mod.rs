//! `tidegate new`: creates the first files of a channel or a plugin, one file of code for each.

mod channel;
mod entry;
mod files;
mod insert;
mod plugin;
mod project;
mod typed;
mod wire;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Answer;
use super::failure::Failure;

pub(super) use files::Written;
pub(super) use project::{Kind, Language, complete_in_editors, of_kind as plugin_of_kind};

#[derive(Debug, Args)]
pub(super) struct New {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Create a channel: an entry in a feature's manifest, with its schema and examples for `check`
    Channel(channel::Channel),
    /// Create a plugin: a project that builds, with a unit test and golden vectors
    Plugin(plugin::Plugin),
}

impl New {
    pub(super) fn run(self, plugins: &mut Option<PathBuf>) -> Result<Answer, Failure> {
        match self.what {
            What::Channel(channel) => channel.run(plugins),
            What::Plugin(plugin) => plugin.run(plugins),
        }
    }
}
