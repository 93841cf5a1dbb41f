//! What happens to the server itself, as a port: whoever sees it says so, and who wants to know hears of it as a bus event.

use crate::flow::OwnEvent;
use crate::protocol::OwnTypes;

/// Takes note of what happens to the server itself.
pub trait Watch: Send + Sync + 'static {
    /// From now on only events of these types are wanted: those that a bridge rule takes.
    fn want(&self, types: OwnTypes);

    /// Takes note of an event. It must not block, and an event that nobody wants costs next to nothing.
    fn saw(&self, event: OwnEvent<'_>);
}

/// Takes note of nothing: for tools that serve nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unwatched;

impl Watch for Unwatched {
    fn want(&self, _: OwnTypes) {}

    fn saw(&self, _: OwnEvent<'_>) {}
}
