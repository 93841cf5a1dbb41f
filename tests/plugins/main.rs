//! Plugins against the real engine: what the shipped ones do, what bad ones cannot do, what does not load.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod contract;
mod faults;
mod granted;
mod instances;
mod kit;
mod loading;
