//! The gates and the bridge, each verb with every refusal it can give, on the real catalog with fakes around it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod authenticate;
mod bridge;
mod broadcast;
mod budgets;
mod connect;
mod connection;
mod decisions;
mod doubt;
mod drain;
mod ending;
mod explain;
mod history;
mod identify;
mod inbound;
mod interleavings;
mod nodes;
mod own_events;
mod presence;
mod publish;
mod rate;
mod recheck;
mod relay;
mod restore;
mod retained;
mod retained_interleavings;
mod revoke;
mod snapshot;
mod subscribe;
mod thinning;
mod traces;
mod transform;
mod unsubscribe;
