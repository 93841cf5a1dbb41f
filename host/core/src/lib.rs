//! What Tidegate decides, free of engines, databases and transports: [`flow`] over [`channels`] over [`config`] and
//! [`protocol`]; [`telemetry`] beside them. Arrows run down only; `tests/architecture.rs` holds them.

pub mod channels;
pub mod config;
pub mod flow;
pub mod protocol;
pub mod telemetry;
