//! The kinds of plugin, one file each: the function that a component exports, what the component is given, and what its
//! answer becomes. This file holds what all kinds share: the way of a call from the question to the answer.
//!
//! A new kind is a file here with its [`Question`], a line in the table of `functions.rs`, and a method of
//! [`Plugins`](tidegate_core::flow::ports::Plugins) in `set.rs`.

mod authorizer;
mod checks;
mod connection;
mod effects;
mod functions;
mod handler;
mod identify;
mod snapshot;
mod transform;

pub(crate) use functions::{Exports, Functions, Misfit};

use std::pin::{Pin, pin};
use std::time::Duration;

use tokio::time::error::Elapsed;
use tokio::time::{Instant as Moment, timeout_at};

use crate::contract::shorten;
use crate::manifest::PluginManifest;
use crate::plugin::Plugin;
use crate::proof::Ended;
use crate::run::{Bulkhead, Failure, Lease, Ready, Turned, Unanswered};
use crate::tape::{heard, record};
use crate::vectors::{InWords, Question as Owned};
use tidegate_core::channels::PluginKind;
use tidegate_core::flow::ports::{Fault, FaultKind};
use tidegate_core::flow::{CallContext, OwnEvent};
use tidegate_core::protocol::Payload;
use tidegate_core::telemetry::{self, Span, SpanKind};

/// A question to a plugin of one kind.
trait Question: Sync {
    /// The kind that answers it.
    const KIND: PluginKind;
    /// What the component is given, in the words of the contract.
    type Given: Send + Sync;
    /// What the component says, in the words of the contract.
    type Said: Send;
    /// What the flow gets.
    type Answer: InWords;

    /// For whom the plugin is called.
    fn caller(&self) -> Caller<'_>;

    /// Puts the question into the words of the contract.
    fn given(&self, wall: Duration) -> Self::Given;

    /// The question with everything that it refers to.
    fn owned(&self) -> Owned;

    /// Calls the function of an instance. `None` when the component has no such function.
    fn call(
        &self,
        given: &Self::Given,
        instance: Ready<'_>,
    ) -> impl Future<Output = Option<wasmtime::Result<Self::Said>>> + Send;

    /// Checks what the component said, and makes the answer of it.
    ///
    /// # Errors
    /// [`Failure`] when the call failed, or the answer is not one that the plugin may give.
    fn answer(&self, said: Result<Self::Said, Failure>, ended: &EndedCall<'_>) -> Result<Self::Answer, Failure>;
}

/// What an answer is checked against.
struct EndedCall<'a> {
    manifest: &'a PluginManifest,
    unanswered: Unanswered,
}

/// For whom a plugin is called.
#[derive(Clone, Copy)]
struct Caller<'a> {
    /// The template of the channel; `None` for a call that concerns no channel.
    channel: Option<&'a str>,
    user: Option<&'a str>,
    /// The payload that a fault may show.
    input: Option<&'a Payload>,
    /// It is about an event of the server itself: a fault is told by the log, and makes no other such event.
    is_about_own: bool,
}

impl<'a> Caller<'a> {
    fn of(context: &'a CallContext, input: Option<&'a Payload>) -> Self {
        Self { channel: Some(context.channel()), user: context.user_id(), input, is_about_own: false }
    }
}

/// How a call ended: in time or not, with a function that is there or not, of a guest that did well or not.
type Called<T> = Result<Option<wasmtime::Result<T>>, Elapsed>;

impl Plugin {
    /// Asks the plugin, and counts the call. A fault is logged and counted.
    async fn ask<Q: Question>(&self, question: Q) -> Result<Q::Answer, Fault> {
        // Pinned here, because a call is large and would be copied with every function that it is passed to.
        let call = pin!(self.call(&question));
        if self.is_trial {
            return call.await.map_err(|failure| self.fault(failure));
        }
        let started = Moment::now();
        let mut span = Span::inside("plugin call", SpanKind::Internal);
        let called = span.around(self.admitted(self.bulkhead(Q::KIND), call));
        let result = match self.proof.listen() {
            None => called.await,
            Some(listener) => {
                let (result, heard) = heard(called).await;
                let answer = result.as_ref().map_or_else(Failure::in_words, InWords::in_words);
                if result.as_ref().err().is_none_or(Failure::reached_the_plugin) {
                    listener.hear(Ended { question: question.owned(), answer, heard, took: started.elapsed() });
                }
                result
            }
        };
        let outcome = result.as_ref().map_or_else(|failure| failure.kind.as_str(), |_| "ok");
        telemetry::plugin_call(self.name.as_str(), Q::KIND.as_str(), outcome, started.elapsed());
        span.describe(|| {
            [
                ("tidegate.plugin", self.name.as_str().to_owned().into()),
                ("tidegate.plugin.version", self.version().to_owned().into()),
                ("tidegate.plugin.kind", Q::KIND.as_str().into()),
                ("tidegate.outcome", outcome.into()),
            ]
        });
        if result.is_err() {
            span.fail(outcome);
        }
        drop(span);
        result.map_err(|failure| {
            if failure.kind == FaultKind::OverBudget {
                // No failure of the plugin: it counts by team.
                return self.fault(failure);
            }
            let Caller { channel, user, input, is_about_own } = question.caller();
            self.statistics.remember(&failure, channel, input);
            let fault = self.fault(failure);
            let input = input.filter(|_| self.shows_inputs).map(|input| shorten(input.as_str().to_owned()));
            let channel = channel.unwrap_or(telemetry::NO_CHANNEL);
            fault.tell_with(Some(self.version()), channel, user, input.as_deref());
            if !is_about_own {
                self.watcher.saw(fault.event(Some(self.version()), channel, user));
            }
            fault
        })
    }

    /// From the question to the answer: takes an instance, calls it within its time, and checks what it says.
    async fn call<Q: Question>(&self, question: &Q) -> Result<Q::Answer, Failure> {
        let given = question.given(self.manifest.limits.wall);
        let Caller { channel, user, .. } = question.caller();
        let bulkhead = self.bulkhead(Q::KIND);
        let team = self.team();
        let (mut lease, deadline) = self.lease(bulkhead).await?;
        if let Some(Err(over)) = team.as_ref().map(|team| team.check_cpu()) {
            // It may have been used up while the call waited.
            lease.end();
            return Err(over);
        }
        let began = Moment::now();
        let running = async {
            let instance = lease.instance.begin_call(channel.unwrap_or_default(), user);
            question.call(&given, instance).await
        };
        let called = timeout_at(deadline, bulkhead.cpu.run(team.as_deref(), running)).await;
        let waited = lease.instance.guest().host.waited();
        record::worked(|| began.elapsed().saturating_sub(waited));
        let ended = EndedCall { manifest: &self.manifest, unanswered: lease.instance.guest().host.unanswered() };
        let log = lease.instance.guest().log.take_last();
        question.answer(self.settle(lease, called, Q::KIND), &ended).map_err(|failure| failure.with_log(log))
    }

    /// Ends a call: the instance goes back to the pool after a success, and is dropped after a failure.
    fn settle<T>(&self, mut lease: Lease<'_>, called: Called<T>, kind: PluginKind) -> Result<T, Failure> {
        let judged = self.judge(&mut lease, called, kind);
        if judged.is_ok() {
            lease.end()
        } else {
            lease.discard()
        }
        judged
    }

    fn judge<T>(&self, lease: &mut Lease<'_>, called: Called<T>, kind: PluginKind) -> Result<T, Failure> {
        let limits = &self.manifest.limits;
        let answered = called.map_err(|_| Failure::wall_of(lease.instance.guest(), limits))?;
        let answered = answered.ok_or_else(|| {
            Failure::new(FaultKind::Missing, format!("`{}` does not export `{}`", self.name, kind.as_str()))
        })?;
        answered.map_err(|error| Failure::of_guest(&error, lease.instance.guest(), limits))
    }

    /// Lets the call through if the breaker is closed, and tells breaker, statistics and probation how it ended.
    async fn admitted<T>(
        &self,
        bulkhead: &Bulkhead,
        call: Pin<&mut impl Future<Output = Result<T, Failure>>>,
    ) -> Result<T, Failure> {
        if let Some(team) = self.team() {
            team.check_cpu()?;
        }
        let admission = bulkhead.breaker.admit().ok_or_else(Failure::paused)?;
        let result = call.await;
        self.statistics.note(result.as_ref().err());
        let verdict = result.as_ref().map_or_else(Failure::verdict, |_| Some(false));
        let (name, class) = (self.name.as_str(), bulkhead.class.as_str());
        let turned = verdict.and_then(|fault| admission.end(fault));
        self.probation.note(verdict, matches!(turned, Some(Turned::Open(_))));
        match turned {
            Some(Turned::Open(pause)) => {
                telemetry::plugin_paused(name, class, pause);
                let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
                self.watcher.saw(OwnEvent::PluginPaused { plugin: name, class, pause_ms });
            }
            Some(Turned::Closed) => {
                telemetry::plugin_resumed(name, class);
                self.watcher.saw(OwnEvent::PluginResumed { plugin: name, class });
            }
            None => {}
        }
        result
    }

    const fn bulkhead(&self, kind: PluginKind) -> &Bulkhead {
        match kind {
            PluginKind::Authorizer => &self.authorizers,
            PluginKind::Handler | PluginKind::Snapshot | PluginKind::Transform | PluginKind::Connection => {
                &self.workers
            }
        }
    }

    fn fault(&self, failure: Failure) -> Fault {
        Fault { plugin: self.name.clone(), kind: failure.kind, detail: failure.detail }
    }
}

/// The plugin says, in its own words, that it could not do its work.
fn failed(reason: String) -> Failure {
    Failure::new(FaultKind::Failed, shorten(reason))
}
