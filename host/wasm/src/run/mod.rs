//! One plugin at work: its instances, the calls that use them, and the limits of both.

mod breaker;
mod bulkhead;
mod class;
mod cpu_turns;
mod fault;
mod guest;
mod instance;
mod instance_count;
mod lease;
mod output;
mod pool;
mod statistics;
mod team;

pub(crate) use breaker::Turned;
pub(crate) use bulkhead::Bulkhead;
pub(crate) use class::Class;
pub(crate) use fault::Failure;
pub(crate) use guest::{Guest, Identity, Unanswered};
pub(crate) use instance::{Blueprint, Instance, Ready};
pub(crate) use instance_count::{InstanceCount, Retired};
pub(crate) use lease::Lease;
pub(crate) use pool::{SWEEP_INTERVAL, Slots};
pub(crate) use statistics::{Counts, Statistics};
pub(crate) use team::{TeamShare, TeamShares};
