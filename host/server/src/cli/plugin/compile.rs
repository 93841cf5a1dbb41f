//! `tidegate plugin compile`: the child process in which the server compiles a component. Not for people. It limits its
//! own resources first.

use std::path::PathBuf;

use clap::Args;

use super::super::{Answer, complain, exit};
use tidegate_wasm::{CompileOrder, CompileOrderError, Effort, compile_here};

#[derive(Debug, Args)]
pub(super) struct Compile {
    /// The component
    #[arg(long = "in", value_name = "FILE")]
    input: PathBuf,
    /// Where to write the native code
    #[arg(long = "out", value_name = "FILE")]
    output: PathBuf,
    /// Address space, in bytes
    #[arg(long, value_name = "BYTES")]
    memory: u64,
    /// CPU time, in seconds
    #[arg(long, value_name = "SECONDS")]
    cpu: u64,
    /// Compile without optimisation: faster to compile, slower to run
    #[arg(long)]
    quick: bool,
}

impl Compile {
    pub(super) fn run(self) -> Answer {
        let Self { input, output, memory, cpu, quick } = self;
        let effort = if quick { Effort::Quick } else { Effort::Full };
        let order = CompileOrder { input, output, memory_bytes_max: memory, cpu_s_max: cpu, effort };
        match compile_here(&order) {
            Ok(()) => Answer::ok(""),
            // The server that waits for it reads this.
            Err(error) => {
                complain(&format!("{error}\n"));
                let exit = match error {
                    CompileOrderError::Component(_) => exit::PLUGIN,
                    CompileOrderError::Machine(_) => exit::UNAVAILABLE,
                };
                Answer { text: String::new(), exit }
            }
        }
    }
}
