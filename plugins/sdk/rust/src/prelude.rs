//! Everything a plugin usually needs: `use tidegate_plugin::prelude::*;`

pub use serde::{Deserialize, Serialize};

pub use crate::{
    Action, Authorizer, Context, Decision, Handler, Outcome, Refusal, Request, User, clock, config, kv, log, random,
    register, secrets,
};
