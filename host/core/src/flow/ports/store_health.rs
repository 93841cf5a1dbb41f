//! The health of the store as a port.

/// Whether the store is reachable.
pub trait StoreHealth: Send + Sync + 'static {
    /// Whether the store was opened but does not work now. Until it does, the server is not ready.
    fn is_away(&self) -> bool;
}
