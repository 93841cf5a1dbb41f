//! What stands behind the ports of the flow: the [`store`] that survives a restart, sources of [`bus`] events, and the
//! [`broker`] that carries publications between nodes. They do not know one another.

pub mod broker;
pub mod bus;
pub mod store;
