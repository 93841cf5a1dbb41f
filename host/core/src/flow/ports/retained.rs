//! The last value and the last version of every key of a topic, as a port: it judges the versions of publications, keeps
//! the newest value of each key, and returns the values to who subscribes later.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{Appended, HistoryAway};
use crate::channels::{Channel, Keeping, Resolved};
use crate::flow::Publication;
use crate::protocol::{Key, Position, RetainedValue, Topic};

/// Keeps what channels with `snapshot: { retain }` or `delivery: { version }` need of each key.
pub trait Retained: Send + Sync + 'static {
    /// Judges the version of a publication, gives it its position, and keeps it: one step, after which it is delivered. It
    /// is kept in the history, too, where its channel has one. Publications of one topic are taken in the order of these
    /// calls.
    ///
    /// With one node `deliver` is called before this returns, for one publication of a topic after the other, in the
    /// order of their positions. With several nodes it is not called: every node, this one included, receives the
    /// publication in that order through [`super::super::broker::HearsNodes`].
    fn publish(&self, publication: &Publication, keeping: Keeping, deliver: &mut dyn FnMut(Position)) -> Taken;

    /// Reads the values of a topic, unless they take more bytes than this.
    fn read(
        &self,
        of: &Resolved,
        keeping: Keeping,
        bytes_max: usize,
    ) -> BoxFuture<'static, Result<Values, ValuesUnread>>;

    /// Takes values of a topic away, and forgets their versions. With one node `tell` is called before this returns;
    /// with several every node hears it. It is called, or heard, in the order of the publications, and only if there was
    /// a value. Resolves to the number of values that were taken away.
    fn remove(
        &self,
        removal: &Removal,
        tell: &mut dyn FnMut(Removed),
    ) -> BoxFuture<'static, Result<usize, RetainedAway>>;

    /// After a reload: topics that it does not name lose what is kept of them.
    fn keep_only(&self, is_kept: &dyn Fn(&Topic) -> bool);

    /// Removes what was kept for its time. Call it about once a minute.
    fn sweep(&self);
}

/// A publication that was handed over.
pub enum Taken {
    /// It has its position, and was delivered.
    At(Position),
    /// It is not newer than the last one of its key: nobody gets it.
    Stale,
    /// It is on its way. Resolves to its position, or to `None` if it is not newer than the last one of its key.
    Sent(BoxFuture<'static, Result<Option<Position>, RetainedAway>>),
}

/// The history takes a publication of which nothing else is judged or kept.
impl From<Appended> for Taken {
    fn from(appended: Appended) -> Self {
        match appended {
            Appended::At(position) => Self::At(position),
            Appended::Sent(sent) => {
                Self::Sent(sent.map(|sent| sent.map(Some).map_err(|HistoryAway| RetainedAway)).boxed())
            }
        }
    }
}

/// The values cannot be reached: nothing was kept or read, or nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the retained values cannot be reached")]
pub struct RetainedAway;

/// Why values were not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValuesUnread {
    /// They cannot be reached.
    Away,
    /// They take so many bytes, which is more than the reader wants.
    TooLarge(usize),
}

/// The values of a topic.
#[derive(Debug, Clone, PartialEq)]
pub struct Values {
    /// One for each key; the one that was published longest ago comes first.
    pub values: Vec<RetainedValue>,
    /// They tell everything up to this position. What comes after it is newer.
    pub position: Position,
}

/// A wish to take values away.
#[derive(Debug, Clone)]
pub struct Removal {
    /// The topic.
    pub topic: Topic,
    /// The channel that declares it.
    pub channel: Arc<Channel>,
    /// The key; `None`: every key.
    pub key: Option<Key>,
    /// Where every node has the same wish: its name, by which it happens once.
    pub once: Option<Arc<str>>,
}

/// Values that were taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// Their keys.
    pub keys: Vec<Key>,
    /// The newest position of the topic at that time: later publications are of later values.
    pub after: Position,
}
