//! The functions of the host that a plugin may call, one file for each interface of `wit/deps/`.

mod clock;
mod config;
mod http;
mod http_canned;
mod http_none;
mod http_redirect;
mod kv;
mod log;
mod offered;
mod queries;
mod random;
mod rate;
mod reach;
mod secrets;
mod staged;

pub(super) use http_canned::{Canned, CannedAnswer, answering};
pub(super) use log::LogLines;
pub use offered::Standing;
pub(super) use offered::{check, standings};
pub use queries::NoDatabase;
pub(super) use random::RANDOM_BYTES_MAX;
pub use reach::Services;
pub(super) use reach::{HostCall, Reach};
pub use secrets::Secrets;
pub(super) use staged::{Stage, StagedAnswer, StagedQuery, staged};

use wasmtime::component::{HasSelf, Linker};

use super::contract::host;
use super::guest::Guest;

/// Adds every interface to the linker of all plugins. Before linking, a separate check decides which of them a plugin
/// may import.
///
/// # Errors
/// Wasmtime's error, if two imports have the same name.
pub(super) fn add_to(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    host::log::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    host::config::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    host::clock::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    host::random::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    super::contract::secrets::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    super::contract::store::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    super::contract::queries::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    super::contract::client::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)
}
