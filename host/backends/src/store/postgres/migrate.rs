//! The server's tables in their schema. They are created at the start, under a lock, because nodes start at the same
//! time.

use std::collections::BTreeSet;

use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Executor as _};

use super::connect::{cause, sqlstate};

/// The steps that create the tables, in order; the number of a step is its place, counted from 1. Steps are only added,
/// never changed.
const STEPS: [Step; 5] = [
    Step::making("kv", include_str!("migrations/0001_kv.sql")),
    Step::making("revocations", include_str!("migrations/0002_revocations.sql")),
    Step::making("dead_letters", include_str!("migrations/0003_dead_letters.sql")),
    Step::making("sessions", include_str!("migrations/0004_sessions.sql")),
    Step::changing("dead_letters", include_str!("migrations/0005_dead_letter_digests.sql")),
];
/// Every table of the server, for checking the rights to use them.
const TABLES: [&str; 5] =
    ["tidegate.migrations", "tidegate.kv", "tidegate.revocations", "tidegate.dead_letters", "tidegate.sessions"];
/// The completed steps.
const NOTES: &str = "CREATE TABLE IF NOT EXISTS tidegate.migrations (step bigint PRIMARY KEY, name text NOT NULL, \
     taken_at timestamptz NOT NULL DEFAULT now())";
/// The server's own number among the locks of the database: `tidegate` as bytes.
const LOCK: i64 = i64::from_be_bytes(*b"tidegate");
/// The database's code for a missing right.
const INSUFFICIENT_PRIVILEGE: &str = "42501";
/// The database's code for a missing table.
const UNDEFINED_TABLE: &str = "42P01";

/// The existing relations in the schema. Not with `to_regclass`, which remembers for the length of a transaction what
/// others have changed since.
const RELATIONS: &str = "SELECT relname::text FROM pg_catalog.pg_class WHERE relkind IN ('r', 'p', 'v', 'f', 'S') \
     AND relnamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = 'tidegate')";

/// One step: it creates a table, or changes an existing one.
struct Step {
    table: &'static str,
    makes: bool,
    sql: &'static str,
}

impl Step {
    const fn making(table: &'static str, sql: &'static str) -> Self {
        Self { table, makes: true, sql }
    }

    const fn changing(table: &'static str, sql: &'static str) -> Self {
        Self { table, makes: false, sql }
    }
}

/// The existing tables and steps.
struct Found {
    relations: BTreeSet<String>,
    taken: BTreeSet<i64>,
}

/// Creates what does not exist. Several nodes may do this at the same time.
///
/// # Errors
/// Why it cannot, with a hint.
pub(super) async fn migrate(connection: &mut PgConnection) -> Result<(), String> {
    if is_behind(connection).await? {
        let role = role(connection).await?;
        apply(connection).await.map_err(|error| match sqlstate(&error).as_deref() {
            Some(INSUFFICIENT_PRIVILEGE) => may_not_make(&role, &cause(&error)),
            _ => cause(&error),
        })??;
    }
    may_use(connection).await
}

/// Finds out whether [`migrate`] could do its work, without creating anything.
///
/// # Errors
/// Why it could not, with a hint.
pub(super) async fn could_migrate(connection: &mut PgConnection) -> Result<(), String> {
    if !is_behind(connection).await? {
        return may_use(connection).await;
    }
    let may: bool = sqlx::query_scalar(
        "SELECT CASE WHEN to_regnamespace('tidegate') IS NULL \
         THEN has_database_privilege(current_database(), 'CREATE') \
         ELSE has_schema_privilege('tidegate', 'CREATE') END",
    )
    .fetch_one(&mut *connection)
    .await
    .map_err(|error| cause(&error))?;
    if may { Ok(()) } else { Err(may_not_make(&role(connection).await?, "permission denied")) }
}

/// Finds out whether the database is usable: it accepts writes, and this role may use the tables.
///
/// # Errors
/// Why not.
pub(super) async fn may_use(connection: &mut PgConnection) -> Result<(), String> {
    let asked = sqlx::query_as(
        "SELECT current_setting('transaction_read_only')::bool, \
         (SELECT bool_and(has_table_privilege(name, verb)) FROM unnest($1::text[]) AS name, \
          unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS verb) \
         AND has_sequence_privilege('tidegate.kv_revision', 'USAGE')",
    )
    .bind(TABLES.map(str::to_owned).to_vec())
    .fetch_one(&mut *connection)
    .await;
    match asked {
        Ok((true, _)) => {
            Err("it is read-only: a standby server, or a role or database with `default_transaction_read_only`"
                .to_owned())
        }
        Ok((false, true)) => Ok(()),
        Ok((false, false)) => Err(may_not_use(&role(connection).await?)),
        Err(error) => Err(told(connection, &error).await),
    }
}

/// Whether steps are missing.
async fn is_behind(connection: &mut PgConnection) -> Result<bool, String> {
    match found(connection).await {
        Ok(found) => Ok(!found.untaken()?.is_empty()),
        Err(error) => Err(told(connection, &error).await),
    }
}

/// Explains why a look at the tables failed.
async fn told(connection: &mut PgConnection, error: &sqlx::Error) -> String {
    match sqlstate(error).as_deref() {
        Some(INSUFFICIENT_PRIVILEGE) => role(connection).await.map_or_else(|_| cause(error), |role| may_not_use(&role)),
        Some(UNDEFINED_TABLE) => match found(connection).await.map(|found| found.untaken().map(drop)) {
            Ok(Err(why)) => why,
            _ => cause(error),
        },
        _ => cause(error),
    }
}

/// Everything at one moment, because other nodes may be working.
async fn found(connection: &mut PgConnection) -> Result<Found, sqlx::Error> {
    let mut look = connection.begin().await?;
    look.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY").await?;
    let found = Found::by(&mut look).await?;
    look.commit().await?;
    Ok(found)
}

impl Found {
    async fn by(connection: &mut PgConnection) -> Result<Self, sqlx::Error> {
        let relations: Vec<String> = sqlx::query_scalar(RELATIONS).fetch_all(&mut *connection).await?;
        let mut found = Self { relations: relations.into_iter().collect(), taken: BTreeSet::new() };
        if found.has("migrations") {
            let taken: Vec<i64> =
                sqlx::query_scalar("SELECT step FROM tidegate.migrations").fetch_all(connection).await?;
            found.taken.extend(taken);
        }
        Ok(found)
    }

    fn has(&self, relation: &str) -> bool {
        self.relations.contains(relation)
    }

    /// The missing steps.
    ///
    /// # Errors
    /// If somebody or a newer version changed the tables: what was lost, and what to do. Nothing is created in its
    /// place automatically, because a backup may have its content, and because revocations would be void without their
    /// table.
    fn untaken(&self) -> Result<Vec<(i64, &'static Step)>, String> {
        if let Some(step) =
            self.taken.last().filter(|step| usize::try_from(**step).is_ok_and(|step| step > STEPS.len()))
        {
            let known = STEPS.len();
            return Err(format!(
                "a newer version of Tidegate created its tables (step {step}, this version knows {known})"
            ));
        }
        let (taken, untaken): (Vec<_>, Vec<_>) = (1..).zip(&STEPS).partition(|(step, _)| self.taken.contains(step));
        let gone: BTreeSet<&str> = taken.iter().map(|(_, step)| step.table).filter(|table| !self.has(table)).collect();
        if !gone.is_empty() {
            return Err(tables_gone(&gone));
        }
        if untaken.iter().any(|(_, step)| step.makes && self.has(step.table)) {
            let unnoted = untaken.iter().filter(|(_, step)| self.has(step.table));
            return Err(notes_gone(&unnoted.copied().collect::<Vec<_>>()));
        }
        if taken.iter().any(|(_, step)| step.table == "kv") && !self.has("kv_revision") {
            return Err(REVISIONS_GONE.to_owned());
        }
        Ok(untaken)
    }
}

/// Runs the missing steps, all or none. Others wait, and find them done.
async fn apply(connection: &mut PgConnection) -> Result<Result<(), String>, sqlx::Error> {
    let mut all = connection.begin().await?;
    all.execute("SET LOCAL lock_timeout = '30s'").await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut *all).await?;
    let found = Found::by(&mut all).await?;
    let steps = match found.untaken() {
        Ok(steps) => steps,
        Err(why) => return Ok(Err(why)),
    };
    if found.taken.is_empty() {
        let there = "SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'tidegate')";
        let there: bool = sqlx::query_scalar(there).fetch_one(&mut *all).await?;
        if !there {
            all.execute("CREATE SCHEMA tidegate").await?;
        }
        all.execute(NOTES).await?;
    }
    for (number, step) in steps {
        all.execute(sqlx::raw_sql(step.sql)).await?;
        let noted = sqlx::query("INSERT INTO tidegate.migrations (step, name) VALUES ($1, $2)");
        noted.bind(number).bind(step.table).execute(&mut *all).await?;
    }
    all.commit().await.map(Ok)
}

async fn role(connection: &mut PgConnection) -> Result<String, String> {
    let role = sqlx::query_scalar("SELECT current_user::text").fetch_one(connection).await;
    role.map_err(|error| cause(&error))
}

fn may_not_make(role: &str, why: &str) -> String {
    format!(
        "the role `{role}` may not create the server's tables ({why}); an owner of the database can allow it: \
         `CREATE SCHEMA IF NOT EXISTS tidegate; ALTER SCHEMA tidegate OWNER TO \"{role}\"`"
    )
}

fn may_not_use(role: &str) -> String {
    format!(
        "the role `{role}` may not use the tables of the schema `tidegate`; their owner can allow it: \
         `GRANT USAGE ON SCHEMA tidegate TO \"{role}\"; \
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA tidegate TO \"{role}\"; \
         GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA tidegate TO \"{role}\"`"
    )
}

/// The message for tables that were created but do not exist any more.
fn tables_gone(gone: &BTreeSet<&str>) -> String {
    let tables = listed(gone.iter().map(|table| format!("`tidegate.{table}`")));
    let noted = listed(gone.iter().map(|table| format!("'{table}'")));
    let are_let_in =
        if gone.contains("revocations") { "; the server then accepts revoked credentials again" } else { "" };
    format!(
        "somebody dropped {tables}; hint: restore it from a backup, or let the server create it again, empty, with \
         `DELETE FROM tidegate.migrations WHERE name IN ({noted})`{are_let_in}"
    )
}

/// The message for tables that exist, but that the server did not record.
fn notes_gone(steps: &[(i64, &Step)]) -> String {
    let made = steps.iter().filter(|(_, step)| step.makes);
    let tables = listed(made.map(|(_, step)| format!("`tidegate.{}`", step.table)));
    let notes = listed(steps.iter().map(|(number, step)| format!("({number}, '{}')", step.table)));
    format!(
        "{tables} exists, but `tidegate.migrations` does not say that the server created it; hint: restore that table from a \
         backup, or, if this version created the tables, record it with \
         `{NOTES}; INSERT INTO tidegate.migrations (step, name) VALUES {notes}`; tables of another program need another schema"
    )
}

fn listed(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}

/// A revision must never be used twice.
const REVISIONS_GONE: &str = "somebody dropped `tidegate.kv_revision`; hint: create it again, beyond every earlier revision, with \
     `CREATE SEQUENCE tidegate.kv_revision; \
     SELECT setval('tidegate.kv_revision', coalesce(max(revision), 0) + 1000000000) FROM tidegate.kv`";
