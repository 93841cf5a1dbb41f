//! Everything a plugin usually needs: `use tidegate_plugin::prelude::*;`

pub use serde::{Deserialize, Serialize};

pub use crate::{
    Action, Authorizer, Connection, Context, Credential, Crossing, Decision, Effects, Event, Handler, Outcome, Peer,
    Phase, Refusal, Request, Snapshot, Transform, User, clock, config, http, kv, log, queries, random, register,
    secrets,
};
