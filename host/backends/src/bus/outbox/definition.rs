//! The SQL of an outbox: its tables, its functions, and the rights that roles need.

use tidegate_core::config::TableName;

/// The version of the functions in `functions.sql`. Raise it with every change there: a database with an earlier
/// version is updated, and nodes of an earlier version do not touch a later one.
pub(super) const FUNCTIONS_VERSION: i32 = 2;

/// The roles for which an administrator's SQL grants rights.
#[derive(Debug, Clone, Copy, Default)]
pub struct OutboxRoles<'a> {
    /// The server's role: it reads and deletes rows and keeps its cursors.
    pub server: Option<&'a str>,
    /// The application's role: it publishes, and reads nothing.
    pub application: Option<&'a str>,
}

/// The SQL with which an administrator creates an outbox, with the rights of these roles. It can run repeatedly.
#[must_use]
pub fn outbox_sql(table: &TableName, roles: OutboxRoles<'_>) -> String {
    let mut sql = format!("begin;\n\n{}\n{}", tables(table), functions(table));
    for (role, rights) in [(roles.server, SERVER_RIGHTS), (roles.application, APPLICATION_RIGHTS)] {
        if let Some(role) = role {
            sql.push('\n');
            sql.push_str(&granted(table, rights, role));
        }
    }
    sql.push_str("\ncommit;\n");
    sql
}

/// The statements that grant a role the server's rights on an outbox, in one line.
pub(super) fn server_rights(table: &TableName, role: &str) -> String {
    let rights = granted(table, SERVER_RIGHTS, role);
    rights.lines().filter(|line| !line.starts_with("--")).collect::<Vec<_>>().join(" ")
}

/// The tables.
pub(super) fn tables(table: &TableName) -> String {
    named(include_str!("tables.sql"), table)
}

/// The functions and the trigger.
pub(super) fn functions(table: &TableName) -> String {
    named(include_str!("functions.sql"), table).replace("VERSION", &FUNCTIONS_VERSION.to_string())
}

/// The signature of the function that publishes, for `to_regprocedure`.
pub(super) fn publish_signature(table: &TableName) -> String {
    named("PUBLISH(text,jsonb,text,text,text,text)", table)
}

/// The schema of a table (empty if it has none) and its name in it.
pub(super) fn parts(table: &TableName) -> (&str, &str) {
    table.as_str().rsplit_once('.').unwrap_or(("", table.as_str()))
}

const SERVER_RIGHTS: &str = "-- The server's role.
grant usage on schema SCHEMA to ROLE;
grant select, update, delete on OUTBOX to ROLE;
grant select, insert, update, delete on OUTBOX_cursors to ROLE;
";

const APPLICATION_RIGHTS: &str = "-- The application's role.
grant usage on schema SCHEMA to ROLE;
grant insert on OUTBOX to ROLE;
";

/// The statements that grant a role these rights. The statements about the schema are only for a table that names one.
fn granted(table: &TableName, rights: &str, role: &str) -> String {
    let schema = parts(table).0;
    let statements = rights.lines().filter(|line| !(schema.is_empty() && line.contains("SCHEMA")));
    let statements: String = statements.map(|line| format!("{}\n", line.replace("SCHEMA", schema))).collect();
    named(&statements, table).replace("ROLE", &quoted(role))
}

/// Puts the names in. A table's name was checked in the configuration: it needs no quotes.
fn named(sql: &str, table: &TableName) -> String {
    let (schema, base) = parts(table);
    let publish = if base == "tidegate_outbox" { "tidegate_publish".to_owned() } else { format!("{base}_publish") };
    let publish = if schema.is_empty() { publish } else { format!("{schema}.{publish}") };
    sql.replace("OUTBOX", table.as_str()).replace("BASE", base).replace("PUBLISH", &publish)
}

/// A role's name, quoted for SQL.
fn quoted(role: &str) -> String {
    format!("\"{}\"", role.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str) -> TableName {
        serde_json::from_str(&format!("{name:?}")).unwrap()
    }

    #[test]
    fn what_belongs_to_an_outbox_is_named_after_it() {
        let usual = outbox_sql(&table("tidegate_outbox"), OutboxRoles::default());
        for part in
            ["create table if not exists tidegate_outbox (", "function tidegate_publish(", "tidegate_outbox_xid on"]
        {
            assert!(usual.contains(part), "{part}");
        }
        let other = outbox_sql(&table("app.events"), OutboxRoles::default());
        for part in
            ["create table if not exists app.events (", "function app.events_publish(", "events_xid on app.events"]
        {
            assert!(other.contains(part), "{part}");
        }
        for left in ["OUTBOX", "BASE", "PUBLISH", "VERSION", "SCHEMA", "ROLE"] {
            assert!(!usual.contains(left) && !other.contains(left), "{left}");
        }
    }

    #[test]
    fn the_rights_of_a_role_are_those_on_its_schema_too_and_any_name_is_quoted() {
        let rights = server_rights(&table("app.events"), "the \"server\"");
        assert_eq!(
            rights,
            r#"grant usage on schema app to "the ""server"""; grant select, update, delete on app.events to "the ""server"""; grant select, insert, update, delete on app.events_cursors to "the ""server""";"#
        );
        assert!(!server_rights(&table("events"), "server").contains("schema"));
    }
}
