//! The life of a plugin: built, loaded, tested, watched after a swap, and kept out after a rollback.

mod build;
mod build_inputs;
mod inspect;
mod inventory;
mod load;
mod probation;
mod quarantine;
mod self_test;

pub use build::{BuildError, BuildOutput, BuildReport, WASM_TARGET, build, ensure_wasm_target};
pub use build_inputs::BuildInputs;
pub use inspect::{Inspection, InstanceCost};
pub use inventory::Inventory;
pub use load::COMPONENT_BYTES_MAX;
pub(crate) use load::{Candidate, linker};
pub(crate) use probation::Probation;
pub use quarantine::{KeptOut, Quarantine, Quarantined};
pub(crate) use self_test::SelfTest;
