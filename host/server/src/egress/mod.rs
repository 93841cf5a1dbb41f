//! Requests to other servers: the only home of the HTTP client, of its TLS and of name resolution.
//!
//! The target of a request is checked twice. The caller checks its origin, by grants. This module checks its address,
//! after the name was resolved and exactly the address that is used, so that a name with changing addresses gains
//! nothing. Proxies of the environment are not used: a proxy would connect in our place, unchecked.

mod address;
mod client;
mod connect;
mod resolve;
mod tls;
mod words;

pub use client::{Asker, Egress, EgressError, EgressSettings};
pub use resolve::{Resolve, SystemResolver};
