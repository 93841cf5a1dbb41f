//! A row of the `session` provider's query: whether the query can return a valid one, and the meaning of one.

use chrono::DateTime;
use serde_json::{Map, Value};

use super::claims;
use tidegate_core::config::nearest_name;
use tidegate_core::flow::queries::{ColumnKind, QueryColumn};
use tidegate_core::protocol::User;

/// The column that the query must have.
pub(super) const USER_ID: &str = "user_id";
/// Columns with times.
const MOMENTS: [&str; 2] = ["created_at", "expires_at"];

/// What is wrong with a query, in words for an operator.
#[derive(Debug)]
pub(super) struct Unfit {
    pub(super) why: String,
    pub(super) hint: Option<String>,
}

impl Unfit {
    pub(super) const fn new(why: String) -> Self {
        Self { why, hint: None }
    }
}

/// Whether rows with these columns can name users. What the database does not know is checked row by row.
pub(super) fn judge_columns(columns: Option<&[QueryColumn]>) -> Result<(), Unfit> {
    let Some(columns) = columns else { return Ok(()) };
    if !columns.iter().any(|column| column.name == USER_ID) {
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        let hint = match nearest_name(USER_ID, &names) {
            Some(near) => format!("rename the column: `\"{near}\" as user_id`"),
            None => "name the column that holds the user's id: `… as user_id`".to_owned(),
        };
        return Err(Unfit { why: "has no column `user_id`".to_owned(), hint: Some(hint) });
    }
    columns.iter().try_for_each(judge)
}

fn judge(column: &QueryColumn) -> Result<(), Unfit> {
    use ColumnKind::{Bool, Decimal, Float, Integer, Json, List, LocalTime, Moment, Text, Unknown};
    let QueryColumn { name, kind, called } = column;
    let is_moment = MOMENTS.contains(&name.as_str());
    let (fits, wanted) = match name.as_str() {
        USER_ID | "tenant" => {
            (!matches!(kind, Float | Bool | List | Moment | LocalTime), "a text or an integer".to_owned())
        }
        "roles" => (matches!(kind, Text | Json | List | Unknown), "a list, or a text".to_owned()),
        _ if is_moment => {
            let wanted = "seconds since the Unix epoch, or `timestamptz`".to_owned();
            (matches!(kind, Integer | Decimal | Float | Moment | Unknown), wanted)
        }
        _ => return Ok(()),
    };
    if fits {
        return Ok(());
    }
    let hint = is_moment.then(|| {
        format!(
            "in PostgreSQL use `floor(extract(epoch from {name}))::bigint as {name}` (which reads a `timestamp` as UTC), in SQLite \
             `unixepoch({name}) as {name}` for texts and `cast({name} as integer) as {name}` for seconds"
        )
    });
    Err(Unfit { why: format!("column `{name}` is `{called}`, expected {wanted}"), hint })
}

/// The user of a row; `None` if it names nobody.
///
/// # Errors
/// What is wrong with it, for the log.
pub(super) fn user(row: &Map<String, Value>) -> Result<Option<User>, String> {
    let Some(id) = row.get(USER_ID).filter(|id| !id.is_null()) else { return Ok(None) };
    let id = claims::text(id).filter(|id| !id.is_empty()).ok_or("column `user_id` does not contain an id")?;
    // A database without lists stores a list as text.
    let list = row.get("roles").and_then(Value::as_str).filter(|text| text.trim_start().starts_with('['));
    let list = list.and_then(|text| serde_json::from_str::<Value>(text).ok());
    let roles =
        claims::roles(list.as_ref().or_else(|| row.get("roles"))).ok_or("column `roles` does not contain roles")?;
    let tenant = match row.get("tenant") {
        None | Some(Value::Null) => None,
        Some(tenant) => Some(claims::text(tenant).ok_or("column `tenant` does not contain a text")?),
    };
    Ok(Some(User::new(id, roles, tenant)))
}

/// A column with a time, in seconds since the Unix epoch; fractions are cut off.
///
/// # Errors
/// What is wrong with it, for the log.
pub(super) fn moment(row: &Map<String, Value>, column: &str) -> Result<Option<u64>, String> {
    let unclear =
        || format!("column `{column}` is neither a number of seconds since the Unix epoch nor a time with its zone");
    match row.get(column) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => match text.as_str() {
            "infinity" => Ok(None),
            "-infinity" => Ok(Some(0)),
            text => {
                let at = DateTime::parse_from_rfc3339(text).map_err(|_| unclear())?;
                // A time before the epoch is long over.
                Ok(Some(u64::try_from(at.timestamp()).unwrap_or(0)))
            }
        },
        Some(value) => match value.as_f64() {
            // As above: the cast turns a negative number into 0.
            Some(seconds) => Ok(Some(value.as_u64().unwrap_or(seconds as u64))),
            None => Err(unclear()),
        },
    }
}
