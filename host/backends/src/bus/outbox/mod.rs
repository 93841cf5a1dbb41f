//! An outbox table in a PostgreSQL database. With `store/` the home of `sqlx`.
//!
//! **No row is skipped.** Ids come from a sequence, and sequences ignore transactions: the row with id 5 may be
//! committed after the row with id 6 was read, so "everything above the last id" would lose it. Waiting for older
//! transactions does not help either: a transaction that began earlier may insert later. So a cursor is not an id but a
//! *snapshot*: the list of transactions that had committed when the node last looked. PostgreSQL creates and compares
//! snapshots (`pg_current_snapshot`, `pg_visible_in_snapshot`). Rows that are visible now and were not visible then are
//! exactly the new ones, whatever their ids; a long transaction delays only its own rows.
//!
//! **Order**: by id within the rows that became visible together, and otherwise in the order of becoming visible. For
//! the rows of one key this is the order of their inserts whenever their transactions have an order: if the second
//! could insert only after the first had committed (it changed the same row, or held the same lock), then whoever sees
//! the second also sees the first, with the lower id. Transactions that overlap and share nothing have no order that
//! anybody could know.
//!
//! **Acknowledgement**: the cursor moves after a batch has crossed, each row as a publication or a dead letter. After a
//! crash the last batch crosses again. **Back-pressure**: nothing is read while a batch crosses; rows wait in the
//! table.
//!
//! `fan-out`: one cursor for each node. `shared`: one cursor for all nodes; the node that holds it moves it, and the
//! others stand by. A row is deleted after every cursor has passed it, or after `retain`; a cursor is deleted after its
//! node was away for `forget_after`.

mod connection;
mod cursor;
mod definition;
mod reader;
mod row;
mod wake;

use std::sync::Arc;

use tokio::sync::Notify;
use tokio::task::JoinSet;

pub use self::definition::{OutboxRoles, outbox_sql};
use self::reader::Reader;
use super::consumers::Site;
use super::crossing::Crossing;
use tidegate_core::config::PostgresSource;

/// Starts a task that reads an outbox, and another one that waits for notifications.
pub(super) fn start(source: &PostgresSource, site: &Site<'_>, running: &mut JoinSet<()>) {
    let Site { node, gates, unread, draining } = *site;
    let source = Arc::new(source.clone());
    let crossing = Crossing::new(gates.clone(), format!("postgres:{}", source.outbox.as_str()), source.mode);
    let woken = Arc::new(Notify::new());
    running.spawn(wake::run(source.clone(), woken.clone(), draining.clone()));
    running.spawn(Reader::new(source, node, crossing, unread, woken).run(draining.clone()));
}
