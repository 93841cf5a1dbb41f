//! A row of the outbox, and the event in it.

use serde_json::Map;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row as _};

use tidegate_core::protocol::{BusEvent, Payload};

/// One row. Its data is not read if it is too large.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) id: i64,
    /// `None` for a value that is not a point in time: `infinity`.
    created_unix_ms: Option<i64>,
    event_id: String,
    source: String,
    kind: String,
    subject: Option<String>,
    key: Option<String>,
    time: Option<String>,
    data_bytes: i32,
    data: Option<String>,
    traceparent: Option<String>,
}

impl FromRow<'_, PgRow> for Row {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            created_unix_ms: row.try_get("created_unix_ms")?,
            event_id: row.try_get("event_id")?,
            source: row.try_get("source")?,
            kind: row.try_get("kind")?,
            subject: row.try_get("subject")?,
            key: row.try_get("key")?,
            time: row.try_get("time")?,
            data_bytes: row.try_get("data_bytes")?,
            data: row.try_get("data")?,
            traceparent: row.try_get("traceparent")?,
        })
    }
}

impl Row {
    /// The columns; `$1` is the largest data in bytes. A table from before traces has no column `traceparent`: then the one
    /// that stands beside the table in [`Row::FROM`] is found.
    pub(super) const COLUMNS: &str = "id, \
        case when isfinite(created_at) then (extract(epoch from created_at) * 1000)::bigint end as created_unix_ms, event_id, \
        source, type as kind, subject, key, \
        to_char(time at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') as time, \
        octet_length(data::text) as data_bytes, case when octet_length(data::text) <= $1 then data::text end as data, \
        (select traceparent from (select entry.*) as own) as traceparent";
    /// The table.
    pub(super) const FROM: &str = "OUTBOX as entry cross join (select null::text as traceparent) as absent";

    /// When it was inserted, in milliseconds since the Unix epoch.
    pub(super) fn written_unix_ms(&self) -> Option<u64> {
        self.created_unix_ms.and_then(|at| u64::try_from(at).ok())
    }

    /// Its content, for a dead letter.
    pub(super) fn shown(&self) -> impl Iterator<Item = (String, String)> {
        let fields = [
            ("event_id", Some(&self.event_id)),
            ("source", Some(&self.source)),
            ("type", Some(&self.kind)),
            ("subject", self.subject.as_ref()),
            ("key", self.key.as_ref()),
            ("data", self.data.as_ref()),
        ];
        fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.clone())))
    }

    /// The event in it, or what is wrong with it.
    pub(super) fn event(&self, bytes_max: usize) -> Result<BusEvent, String> {
        let Some(data) = &self.data else {
            return Err(format!("the data has {} bytes, limits.payload is {bytes_max}", self.data_bytes));
        };
        let mut event = Map::new();
        event.insert("specversion".to_owned(), "1.0".into());
        event.insert("id".to_owned(), self.event_id.clone().into());
        event.insert("source".to_owned(), self.source.clone().into());
        event.insert("type".to_owned(), self.kind.clone().into());
        let time = self.time.as_ref().ok_or("`time` is not a valid time")?;
        event.insert("time".to_owned(), time.clone().into());
        for (name, value) in
            [("subject", &self.subject), ("partitionkey", &self.key), ("traceparent", &self.traceparent)]
        {
            if let Some(value) = value {
                event.insert(name.to_owned(), value.clone().into());
            }
        }
        let data = Payload::read(data.clone()).map_err(|error| format!("the data is {error}"))?;
        BusEvent::of(event, data).map_err(|error| error.to_string())
    }
}
