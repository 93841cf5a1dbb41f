//! What a client missed, from the history of the topic: with the ack of a subscribe, or asked for by itself.

use serde::ser::{Serialize, SerializeStruct, Serializer};

use super::ports::{Entry, HistoryAway, Page, Wanted};
use super::{Gates, Session};
use crate::channels::HistoryPolicy;
use crate::protocol::{Code, ConnectionId, Kept, Position, Recovery, Refusal, SubscribeRequest, Topic, Unrecovered};
use crate::telemetry;

/// Most publications of one part of what a client missed.
const PART_ENTRIES_MAX: usize = 1000;
/// About how many bytes one part has.
const PART_BYTES: usize = 64 << 10;

/// What a reader wants of a topic's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The topic, unchecked.
    pub topic: String,
    /// What was published after this position, the oldest first; `None`: the newest.
    pub since: Option<Position>,
    /// The most publications; `None`: as many as one answer holds.
    pub limit: Option<usize>,
}

/// A part of a topic's history: `{ recovered, reason?, publications, position, more }`.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryAnswer {
    /// The publications, in order, or why what was missed cannot be had.
    pub recovery: Recovery,
    /// How far the answer goes: the next one begins here.
    pub position: Position,
    /// Whether the history holds more after it.
    pub more: bool,
}

impl Serialize for HistoryAnswer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("history", 5)?;
        let none = Vec::new();
        let (publications, reason) = match &self.recovery {
            Recovery::Whole(publications) => (publications, None),
            Recovery::Not(reason) => (&none, Some(reason.as_str())),
        };
        out.serialize_field("recovered", &reason.is_none())?;
        match reason {
            Some(reason) => out.serialize_field("reason", reason)?,
            None => out.skip_field("reason")?,
        }
        out.serialize_field("publications", publications)?;
        out.serialize_field("position", &self.position)?;
        out.serialize_field("more", &self.more)?;
        out.end()
    }
}

/// What a subscription asks of the history.
pub(super) struct Missed {
    /// Where the client left off.
    pub(super) since: Option<Position>,
    /// It takes what it missed part by part.
    pub(super) reads_on: bool,
    /// The most bytes of what it missed, unless it takes it part by part.
    pub(super) bytes_max: usize,
    /// It is told where in a trace a publication was published.
    pub(super) shows_trace: bool,
}

/// What a subscription gets from the history.
#[derive(Debug, Default)]
pub(super) struct Recovered {
    pub(super) position: Option<Position>,
    pub(super) recovery: Option<Recovery>,
}

impl Gates {
    /// The position of a topic and, if the client asked, what it missed: all of it or nothing.
    ///
    /// # Errors
    /// `unavailable` if the history cannot be reached.
    pub(super) async fn recover(
        &self,
        topic: &Topic,
        policy: Option<HistoryPolicy>,
        asked: Missed,
        connection: &ConnectionId,
    ) -> Result<Recovered, Refusal> {
        let Recovered { position, recovery } = self.missed(topic, policy, asked, connection).await?;
        Ok(Recovered { position, recovery: recovery.map(|recovery| counted("since", recovery)) })
    }

    /// The same, uncounted.
    pub(super) async fn missed(
        &self,
        topic: &Topic,
        policy: Option<HistoryPolicy>,
        Missed { since, reads_on, bytes_max, shows_trace }: Missed,
        connection: &ConnectionId,
    ) -> Result<Recovered, Refusal> {
        let Some(policy) = policy else {
            let recovery = since.map(|_| Recovery::Not(Unrecovered::NoHistory));
            return Ok(Recovered { position: None, recovery });
        };
        let is_asked = since.is_some();
        let wanted = match since {
            None => Wanted::position(),
            Some(since) if reads_on => part_after(since),
            Some(since) => Wanted { since: Some(since), entries_max: usize::MAX, bytes_max },
        };
        let Page { entries, more, newest, .. } = self.page(topic, policy, wanted).await?;
        let mut position = newest;
        let recovery = match entries {
            Ok(_) if more && !reads_on => Recovery::Not(Unrecovered::TooMany),
            Ok(entries) => {
                if let Some(last) = entries.last().filter(|_| more) {
                    position = last.position.clone();
                }
                Recovery::Whole(kept(entries, Some(connection), shows_trace))
            }
            Err(reason) => Recovery::Not(reason),
        };
        Ok(Recovered { position: Some(position), recovery: is_asked.then_some(recovery) })
    }

    /// Reads the history. Who may not know that retained values were taken away missed more than it holds.
    async fn page(&self, topic: &Topic, policy: HistoryPolicy, wanted: Wanted) -> Result<Page, Refusal> {
        let since = wanted.since.clone();
        let mut page = self.ports.history.read(topic, policy, wanted).await.map_err(away)?;
        if since.is_some_and(|since| page.hides_removed(&since)) {
            (page.entries, page.more) = (Err(Unrecovered::TooMany), false);
        }
        Ok(page)
    }

    /// The next part of what a client missed that [reads on](SubscribeRequest::reads_on); nothing if it has everything
    /// that was published until now.
    ///
    /// # Errors
    /// `not_subscribed` if the session does not hold the topic any more; `no_history`; `unavailable`.
    pub async fn read_on(&self, session: &Session, topic: &Topic, since: &Position) -> Result<Recovery, Refusal> {
        let channel = session.channel(topic).ok_or(Code::NotSubscribed)?;
        let policy = channel.history.ok_or(Code::NoHistory)?;
        let page = self.page(topic, policy, part_after(since.clone())).await?;
        Ok(match page.entries {
            Ok(entries) => Recovery::Whole(kept(entries, Some(session.connection()), channel.delivery.trace)),
            Err(reason) => Recovery::Not(reason),
        })
    }

    /// The history of a topic for a client, which clears gate 2 for it.
    ///
    /// # Errors
    /// Those of gate 2, and those of [`Gates::history`].
    pub async fn history_for(&self, session: &Session, asked: Asked) -> Result<HistoryAnswer, Refusal> {
        self.clear_subscribe(session, &SubscribeRequest::to(&asked.topic)).await?;
        self.history(asked).await
    }

    /// The history of a topic, for a reader that may read every topic.
    ///
    /// # Errors
    /// `unknown_channel`, `no_history`, `unavailable`, `draining`.
    pub async fn history(&self, asked: Asked) -> Result<HistoryAnswer, Refusal> {
        self.refuse_while_draining()?;
        let Asked { topic, since, limit } = asked;
        let resolved = self.serving().catalog.resolve(&topic).ok_or(Code::UnknownChannel)?;
        let policy = resolved.channel.history.ok_or(Code::NoHistory)?;
        let (entries_max, bytes_max) = (limit.unwrap_or(usize::MAX), self.limits.ack_bytes_max);
        let is_asked = since.is_some();
        let wanted = Wanted { since, entries_max, bytes_max };
        let Page { entries, more, newest, .. } = self.page(&resolved.topic, policy, wanted).await?;
        let recovery = match entries {
            Ok(entries) => Recovery::Whole(kept(entries, None, resolved.channel.delivery.trace)),
            Err(reason) => Recovery::Not(reason),
        };
        let recovery = if is_asked { counted("http", recovery) } else { recovery };
        let position = match &recovery {
            Recovery::Whole(publications) if more => publications.last().map(|last| last.position.clone()),
            Recovery::Whole(_) | Recovery::Not(_) => None,
        };
        Ok(HistoryAnswer { recovery, position: position.unwrap_or(newest), more })
    }
}

/// A part of what was missed.
const fn part_after(since: Position) -> Wanted {
    Wanted { since: Some(since), entries_max: PART_ENTRIES_MAX, bytes_max: PART_BYTES }
}

/// The publications for a connection; `None` is everybody.
fn kept(entries: Vec<Entry>, connection: Option<&ConnectionId>, shows_trace: bool) -> Vec<Kept> {
    let is_for_it = |entry: &Entry| connection.is_none() || entry.except.as_ref() != connection;
    let kept = |Entry { position, payload, trace, .. }: Entry| {
        let trace = trace.filter(|_| shows_trace);
        Kept { payload, position, trace }
    };
    entries.into_iter().filter(is_for_it).map(kept).collect()
}

fn counted(way: &'static str, recovery: Recovery) -> Recovery {
    telemetry::recovery(
        way,
        match &recovery {
            Recovery::Whole(_) => None,
            Recovery::Not(reason) => Some(reason.as_str()),
        },
    );
    recovery
}

fn away(_: HistoryAway) -> Refusal {
    Refusal::because(Code::Unavailable, "the history cannot be reached now")
}
