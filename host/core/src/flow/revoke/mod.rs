//! Revocations: a credential, a user's credentials or subscriptions withdrawn before their time, decided here, in force
//! at once on this node, kept for as long as they matter.
//!
//! `record.rs` says what one is and whom it is about, `act.rs` what it does, `set.rs` remembers those in force for gate 1, `ahead.rs` which
//! credentials of an issuer whose clock is ahead were seen before; `keep.rs` is the port to where revocations are kept and the
//! task that takes them there and learns of those of other nodes.

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
