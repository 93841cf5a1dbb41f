//! Requests to other servers: the only home of the HTTP client, of its TLS and of the name resolution behind both.
//!
//! Where a request may go is judged twice. Its origin is the caller's to judge, by grants. Its address is judged here,
//! after the name was resolved and on the very address that is connected to, so that a name which answers differently
//! each time gains nothing. Proxies of the environment are not used: a proxy would connect in our place, unjudged.

mod address;
mod client;
mod connect;
mod resolve;
mod tls;
mod words;

pub use client::{Asker, Outbound, OutboundError, OutboundSettings};
pub use resolve::{Resolve, SystemResolver};
