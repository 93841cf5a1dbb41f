//! A granted statement in the form for PostgreSQL: parameters are texts, and each row is answered as one JSON text.
//!
//! The database server itself turns texts into the types of the statement and rows into JSON: it knows all types,
//! including the company's.

use sqlx::postgres::PgColumn;
use sqlx::{Column as _, TypeInfo as _};

use super::super::statement::{Dialect, Question};

/// The name of the statement's rows. Longer than a name of the company would be, because a column of the same name
/// would be taken for it.
const ROWS: &str = "tidegate_rows_of_the_question";

/// Functions that do more than read, and that any role may call: they change the session or others, wait, or outlive
/// the transaction. Other such functions are the business of whoever grants rights to the server's role.
const ACTS: [&str; 30] = [
    "set_config",
    "pg_sleep",
    "pg_sleep_for",
    "pg_sleep_until",
    "pg_notify",
    "pg_cancel_backend",
    "pg_terminate_backend",
    "pg_advisory_lock",
    "pg_advisory_lock_shared",
    "pg_advisory_unlock",
    "pg_advisory_unlock_shared",
    "pg_advisory_unlock_all",
    "pg_advisory_xact_lock",
    "pg_advisory_xact_lock_shared",
    "pg_try_advisory_lock",
    "pg_try_advisory_lock_shared",
    "pg_try_advisory_xact_lock",
    "pg_try_advisory_xact_lock_shared",
    "pg_logical_emit_message",
    "pg_export_snapshot",
    "pg_current_xact_id",
    "txid_current",
    "nextval",
    "setval",
    "lo_open",
    "dblink",
    "dblink_exec",
    "dblink_connect",
    "query_to_xml",
    "query_to_xml_and_xmlschema",
];

/// Reads a statement.
///
/// # Errors
/// What is wrong with it.
pub(super) fn read(sql: &str) -> Result<Question<'_>, String> {
    let question = Question::read(sql, Dialect::Postgres)?;
    match ACTS.iter().find(|name| question.names().contains(**name)) {
        Some(name) => Err(format!("calls `{name}`, which does more than read")),
        None => Ok(question),
    }
}

/// Makes a statement take texts (`types` are its types), and answer each row (`columns`) as one JSON text.
pub(super) fn in_json(question: &Question<'_>, types: &[String], columns: &[PgColumn]) -> String {
    let asked = question.with_params(|param| match types.get(param - 1) {
        Some(kind) => format!("CAST(${param}::text AS {kind})"),
        None => format!("${param}"),
    });
    let unlike: Vec<String> = columns.iter().filter_map(as_elsewhere).collect();
    let row = if unlike.is_empty() {
        format!("row_to_json({ROWS})")
    } else {
        format!("to_jsonb({ROWS}) || jsonb_build_object({})", unlike.join(", "))
    };
    // The statement may end in a comment.
    format!("SELECT ({row})::text AS answer FROM (\n{asked}\n) AS {ROWS}")
}

/// The same with limits. A row that is too long is answered as null, and never sent; if there are too many rows, one
/// more than allowed is sent.
pub(super) fn bounded(in_json: &str, rows_max: usize, bytes_max: usize) -> String {
    let limit = rows_max.saturating_add(1);
    format!(
        "SELECT CASE WHEN octet_length(answer) <= {bytes_max} THEN answer END \
         FROM ({in_json} LIMIT {limit}) AS answers"
    )
}

/// A column whose JSON in PostgreSQL differs from the contract: bytes are base64, and a number that JSON does not have
/// (infinite or not a number) is null.
fn as_elsewhere(column: &PgColumn) -> Option<String> {
    let name = column.name();
    let quoted = format!("{ROWS}.\"{}\"", name.replace('"', "\"\""));
    let value = match column.type_info().name() {
        "BYTEA" => format!("translate(encode({quoted}, 'base64'), chr(10), '')"),
        "FLOAT4" | "FLOAT8" | "NUMERIC" => {
            format!("nullif(nullif(nullif({quoted}, 'Infinity'), '-Infinity'), 'NaN')")
        }
        _ => return None,
    };
    Some(format!("'{}', {value}", name.replace('\'', "''")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_takes_texts_and_answers_json() {
        let question = read("select role from members where vault = $2 and person = $1 -- mine").unwrap();
        let types = ["uuid".to_owned(), "integer".to_owned()];
        assert_eq!(
            in_json(&question, &types, &[]),
            "SELECT (row_to_json(tidegate_rows_of_the_question))::text AS answer FROM (\nselect role from members where \
             vault = CAST($2::text AS integer) and person = CAST($1::text AS uuid) -- mine\n) AS \
             tidegate_rows_of_the_question"
        );
    }

    #[test]
    fn a_function_that_acts_is_refused_however_it_is_written() {
        for sql in ["select pg_sleep(9)", "select pg_catalog.PG_SLEEP ( 9 )", "select \"set_config\"('a', 'b', false)"]
        {
            let told = read(sql).unwrap_err();
            assert!(told.ends_with("which does more than read"), "{sql}: {told}");
        }
        assert!(read("select 'pg_sleep' as name").is_ok());
    }
}
