//! The vocabulary that all parts share: ids, names, codes, envelopes, bus events. No logic of a gate, no I/O.

mod activity;
mod code;
mod decimal;
mod described;
mod envelope;
mod event;
mod idempotency;
mod key;
mod name;
mod own_type;
mod payload;
mod position;
mod presence;
mod retained;
mod trace_context;
mod unambiguous;
mod user;
mod version;

pub use activity::Activity;
pub use code::{Code, Refusal};
pub use decimal::{Decimal, numbers};
pub use described::{described, refusal, unrecovered};
pub use envelope::{
    Ack, AuthenticateRequest, ClientEvent, Recovery, RequestError, SessionEvent, SubscribeReceipt, SubscribeRequest,
    UnsubscribeRequest,
};
pub use event::{BusEvent, EventError};
pub use idempotency::{IDEMPOTENCY_KEY_BYTES_MAX, IdempotencyKey, InvalidKey, JsonDigest};
pub use key::Key;
pub use name::{
    ConnectionId, Generation, InvalidName, OWN_PREFIX, Params, PluginName, RESERVED_EVENTS, TOPIC_BYTES_MAX,
    TOPIC_SEGMENTS_MAX, Topic,
};
pub use own_type::{OwnType, OwnTypes};
pub use payload::{Payload, PayloadError};
pub use position::{Epoch, Kept, Meta, Position, Unrecovered};
pub use presence::{Member, MemberId, Names, Occupancy, PresenceChange, PresenceTurn, Present};
pub use retained::{RetainedValue, Snapshot};
pub use trace_context::TraceContext;
pub use unambiguous::Unambiguous;
pub use user::User;
pub use version::Version;
