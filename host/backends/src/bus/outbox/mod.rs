//! An outbox table in a PostgreSQL database. With `store/` the home of `sqlx`.
//!
//! **No row is passed over.** Ids come from a sequence, and sequences do not know of transactions: the row with id 5 may
//! be committed after the one with id 6 was read, so "everything above the last id" would lose it. Nor does it help to
//! wait for older transactions: one that began earlier may insert later. So a cursor is no id but a *snapshot*: the list
//! of transactions that had committed when it last looked, which PostgreSQL gives and compares (`pg_current_snapshot`,
//! `pg_visible_in_snapshot`). What is visible now and was not visible then is new, exactly, whatever its id; a long
//! transaction holds up nothing but its own rows.
//!
//! **Order**: by id within what became visible together, and in the order of becoming visible between. For the rows of
//! one key this is the order of their inserts whenever the transactions have one: if the second could only insert after
//! the first had committed (it changed the same row, held the same lock), the first is visible to whoever sees the second,
//! with the lower id. Transactions that overlap and share nothing have no order that anybody could know.
//!
//! **Acknowledgement**: the cursor moves after a batch has crossed, each row as a publication or a dead letter; after a
//! crash the last batch crosses again. **Back-pressure**: nothing is read while a batch crosses; rows wait in the table.
//!
//! `fan-out`: a cursor a node. `shared`: one cursor for all, moved by the one node that holds it; the others stand by. A
//! row is deleted once every cursor has it behind, or after `retain`; a cursor, once its node was away for `forget_after`.

mod cursor;
mod definition;
mod link;
mod reader;
mod row;
mod wake;

use std::sync::Arc;

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use self::definition::{OutboxRoles, outbox_sql};
use self::reader::Reader;
use super::crossing::Crossing;
use super::health::Unread;
use tidegate_core::config::{Name, PostgresSource};
use tidegate_core::flow::Gates;

/// Starts reading an outbox, in a task; another waits for notifications.
pub(super) fn start(
    source: &PostgresSource,
    node: &Name,
    (gates, unread): (&Arc<Gates>, &Unread),
    draining: &CancellationToken,
    running: &mut JoinSet<()>,
) {
    let source = Arc::new(source.clone());
    let crossing = Crossing::new(gates.clone(), format!("postgres:{}", source.outbox.as_str()), source.mode);
    let woken = Arc::new(Notify::new());
    running.spawn(wake::run(source.clone(), woken.clone(), draining.clone()));
    running.spawn(Reader::new(source, node, crossing, unread, woken).run(draining.clone()));
}
