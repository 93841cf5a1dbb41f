//! Revocations: the early end of a credential, or of a user's credentials or subscriptions. They are decided here, in
//! force on this node at once, and kept for as long as they matter.
//!
//! `record.rs` defines a revocation and whom it covers; `act.rs` puts it into effect; `set.rs` remembers those in force
//! for gate 1; `ahead.rs` remembers credentials of an issuer whose clock is ahead; `keep.rs` is the port to the store
//! and the task that stores revocations and learns of those of other nodes.

mod act;
mod ahead;
mod keep;
mod record;
mod set;

pub use act::Enforced;
pub use keep::{Keeper, Kept, NothingKept, RevocationStore, StoreAway};
pub use record::{InvalidRevocation, Revocation, RevokeRequest};
pub use set::Revocations;

pub(super) use keep::ToKeep;
pub(super) use record::revocable;
