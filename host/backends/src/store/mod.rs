//! The store: what survives a restart. Two databases keep it below the same ports: `sqlite/`, a file of one node, and
//! `postgres/`, a server that several share. The only home of sqlx but for the outbox.
//!
//! Beside them lies what both make use of. A database may hold tables of the company's own; those of the server are told
//! apart by their names, and nothing else is ever written to.

mod availability;
mod keys;
mod letters;
mod postgres;
mod sqlite;
mod statement;

pub use letters::KeptDeadLetters;
pub use postgres::{PostgresLook, PostgresSettings, PostgresStore};
pub use sqlite::{SqliteLook, SqliteStore, sqlite_could_open};
