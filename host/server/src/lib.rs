//! The server: channels declared in YAML, logic in WebAssembly components, stock Socket.IO clients.
//!
//! [`app`] composes it of the adapters here ([`auth`], [`operator`], [`dashboard`], [`http`], [`egress`], [`otlp`],
//! [`reload`]) and of those in crates of their own (`tidegate_wasm`, `tidegate_realtime`, `tidegate_backends`), all over
//! `tidegate_core`. [`cli`] is the command.

pub mod app;
pub mod auth;
pub mod cli;
pub mod dashboard;
pub mod egress;
pub mod http;
pub mod operator;
pub mod otlp;
pub mod reload;
