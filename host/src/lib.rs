//! Tidegate: channels declared in YAML, logic in WebAssembly components, stock Socket.IO clients.
//!
//! The floors, arrows running down only: [`app`] · the adapters ([`realtime`], [`http`], [`plugins`], [`auth`], [`bus`], [`broker`],
//! [`outbound`], [`store`]) and [`reload`] · [`flow`] · [`channels`] · [`protocol`] and [`config`].
//! `tests/architecture.rs` holds them.

pub mod app;
pub mod auth;
pub mod broker;
pub mod bus;
pub mod channels;
pub mod cli;
pub mod config;
pub mod flow;
pub mod http;
pub mod outbound;
pub mod plugins;
pub mod protocol;
pub mod realtime;
pub mod reload;
pub mod store;
pub mod telemetry;
