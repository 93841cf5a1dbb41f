//! What the programs of the fan-out benchmark share: descriptors, and how a server says that it listens.

use std::io::{self, Write as _};
use std::net::SocketAddr;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What a server without Socket.IO sends to a client that it will send publications to from now on.
pub const SUBSCRIBED: &str = "subscribed";

/// As many open sockets as the system allows this process.
pub fn raise_descriptors() -> io::Result<()> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    Ok(setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?)
}

/// Tells the benchmark, by one line, where this server listens.
pub fn announce(address: SocketAddr) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "http://{address}")?;
    out.flush()
}
