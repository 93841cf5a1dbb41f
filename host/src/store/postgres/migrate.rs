//! The tables of the server, in their schema: made at the start, under a lock, because nodes start at once.

use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Executor as _};

use super::connect::{cause, sqlstate};

/// What makes the tables, in order; the number of a step is its place, from 1 on. Steps are never changed, only added.
const STEPS: [(&str, &str); 5] = [
    ("kv", include_str!("migrations/0001_kv.sql")),
    ("revocations", include_str!("migrations/0002_revocations.sql")),
    ("dead_letters", include_str!("migrations/0003_dead_letters.sql")),
    ("sessions", include_str!("migrations/0004_sessions.sql")),
    ("dead_letters", include_str!("migrations/0005_dead_letter_digests.sql")),
];
/// Every table of the server, for whoever looks whether it may use them.
const TABLES: [&str; 5] =
    ["tidegate.migrations", "tidegate.kv", "tidegate.revocations", "tidegate.dead_letters", "tidegate.sessions"];
/// A number of our own among the locks of the database: `tidegate` as bytes.
const LOCK: i64 = i64::from_be_bytes(*b"tidegate");
/// The server's answer to what a role may not.
const INSUFFICIENT_PRIVILEGE: &str = "42501";

/// Whether there is a table. Not by `to_regclass`, which remembers for the length of a transaction what others changed since.
const IS_MADE: &str =
    "SELECT EXISTS (SELECT FROM pg_catalog.pg_tables WHERE schemaname = 'tidegate' AND tablename = 'migrations')";

/// Makes what is not there. Several nodes may do so at once.
///
/// # Errors
/// Why it cannot, with a way out.
pub(super) async fn migrate(connection: &mut PgConnection) -> Result<(), String> {
    if is_behind(connection).await? {
        let role = role(connection).await?;
        apply(connection).await.map_err(|error| match sqlstate(&error).as_deref() {
            Some(INSUFFICIENT_PRIVILEGE) => may_not_make(&role, &cause(&error)),
            _ => cause(&error),
        })?;
    }
    may_use(connection).await
}

/// Finds out whether [`migrate`] could do its work, and makes nothing.
///
/// # Errors
/// Why it could not, with a way out.
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

/// Finds out whether the database can be worked with: that it takes writes, and that the tables are ours to use.
///
/// # Errors
/// Why not.
pub(super) async fn may_use(connection: &mut PgConnection) -> Result<(), String> {
    let asked = sqlx::query_as(
        "SELECT current_setting('transaction_read_only')::bool, \
         (SELECT bool_and(has_table_privilege(name, verb)) FROM unnest($1::text[]) AS name, \
          unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS verb)",
    )
    .bind(TABLES.map(str::to_owned).to_vec())
    .fetch_one(&mut *connection)
    .await;
    match asked {
        Ok((true, _)) => {
            Err("it only reads: a standby, or a role or database with `default_transaction_read_only`".to_owned())
        }
        Ok((false, true)) => Ok(()),
        Ok((false, false)) => Err(may_not_use(&role(connection).await?)),
        Err(error) => Err(told(connection, &error).await),
    }
}

/// Whether steps are to be taken.
async fn is_behind(connection: &mut PgConnection) -> Result<bool, String> {
    let step = match step(connection).await {
        Ok(step) => step,
        Err(error) => return Err(told(connection, &error).await),
    };
    match usize::try_from(step) {
        Ok(step) if step <= STEPS.len() => Ok(step < STEPS.len()),
        _ => Err(format!("a newer version of Tidegate made its tables (step {step}, this one knows {})", STEPS.len())),
    }
}

/// Says why a look at the tables failed.
async fn told(connection: &mut PgConnection, error: &sqlx::Error) -> String {
    match (sqlstate(error).as_deref(), role(connection).await) {
        (Some(INSUFFICIENT_PRIVILEGE), Ok(role)) => may_not_use(&role),
        _ => cause(error),
    }
}

/// The step the tables are at; 0 without tables.
async fn step(connection: &mut PgConnection) -> Result<i64, sqlx::Error> {
    let made: bool = sqlx::query_scalar(IS_MADE).fetch_one(&mut *connection).await?;
    if !made {
        return Ok(0);
    }
    sqlx::query_scalar("SELECT coalesce(max(step), 0) FROM tidegate.migrations").fetch_one(connection).await
}

/// Takes the steps that were not taken, all or none. Others wait, and find them taken.
async fn apply(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let mut all = connection.begin().await?;
    all.execute("SET LOCAL lock_timeout = '30s'").await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut *all).await?;
    let taken = step(&mut all).await?;
    if taken == 0 {
        let there = "SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'tidegate')";
        let there: bool = sqlx::query_scalar(there).fetch_one(&mut *all).await?;
        if !there {
            all.execute("CREATE SCHEMA tidegate").await?;
        }
        all.execute(
            "CREATE TABLE tidegate.migrations (step bigint PRIMARY KEY, name text NOT NULL, \
             taken_at timestamptz NOT NULL DEFAULT now())",
        )
        .await?;
    }
    let steps = STEPS.iter().zip(1_i64..).filter(|(_, step)| *step > taken);
    for ((name, sql), step) in steps {
        all.execute(sqlx::raw_sql(*sql)).await?;
        let noted = sqlx::query("INSERT INTO tidegate.migrations (step, name) VALUES ($1, $2)");
        noted.bind(step).bind(*name).execute(&mut *all).await?;
    }
    all.commit().await
}

async fn role(connection: &mut PgConnection) -> Result<String, String> {
    let role = sqlx::query_scalar("SELECT current_user::text").fetch_one(connection).await;
    role.map_err(|error| cause(&error))
}

fn may_not_make(role: &str, why: &str) -> String {
    format!(
        "the role `{role}` may not make the tables of the server ({why}); an owner of the database lets it: \
         `CREATE SCHEMA IF NOT EXISTS tidegate; ALTER SCHEMA tidegate OWNER TO \"{role}\"`"
    )
}

fn may_not_use(role: &str) -> String {
    format!(
        "the role `{role}` may not use the tables of the schema `tidegate`; their owner lets it: \
         `GRANT USAGE ON SCHEMA tidegate TO \"{role}\"; \
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA tidegate TO \"{role}\"; \
         GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA tidegate TO \"{role}\"`"
    )
}
