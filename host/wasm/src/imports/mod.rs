//! The host functions that a plugin may call: one file for each interface of `wit/deps/`.

mod capabilities;
mod clock;
mod config;
mod http;
mod http_none;
mod http_redirect;
mod key_value;
mod log;
mod queries;
mod random;
mod rate;
mod secrets;

pub use capabilities::Services;
pub(crate) use capabilities::{Capabilities, HostCall};
pub(crate) use log::LogLines;
pub use queries::NoDatabase;
pub(crate) use random::RANDOM_BYTES_MAX;
pub use secrets::Secrets;

use wasmtime::component::{HasSelf, Linker};

use crate::contract::{self, host};
use crate::run::Guest;

/// Adds every interface to the linker of all plugins. `contract::check_imports` judges before linking which of them a
/// plugin may import.
///
/// # Errors
/// The error of wasmtime, when two imports have one name.
pub(crate) fn add_to(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    host::log::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    host::config::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    host::clock::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    host::random::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    contract::secrets::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    contract::store::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    contract::queries::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    contract::client::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)
}
