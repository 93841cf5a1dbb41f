//! The store: data that survives a restart. Two databases keep it behind the same ports: `sqlite/`, a file of one node,
//! and `postgres/`, a server that several nodes share. The only home of sqlx, except for the outbox.
//!
//! Next to them is the code that both use. A database may also have tables of the company; the server's own tables
//! differ by their names, and the server never writes to others.

mod availability;
mod keys;
mod letters;
mod postgres;
mod sqlite;
mod statement;

pub use letters::KeptDeadLetters;
pub use postgres::{PostgresLook, PostgresSettings, PostgresStore};
pub use sqlite::{SqliteLook, SqliteStore, sqlite_could_open};
