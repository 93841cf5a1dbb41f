//! The rules for the sources of bus events beyond their types.

use std::time::Duration;

use super::check::Told;
use super::{BusSource, Config, PostgresSource, RedisSource, StreamFields};

/// Most streams of one source: each is read with its own connection.
const STREAMS_MAX: usize = 64;
/// With a shorter interval the database would do nothing else.
const POLL_MIN: Duration = Duration::from_millis(10);
/// With a shorter time a short pause would already cost a node its position.
const FORGET_MIN: Duration = Duration::from_secs(60);

pub(super) fn check(config: &Config, told: &mut Told<'_>) {
    for (index, source) in config.bus.iter().enumerate() {
        let at = format!("/bus/{index}");
        match source {
            BusSource::Redis(redis) => check_redis(redis, &format!("{at}/redis"), told),
            BusSource::Postgres(postgres) => check_postgres(postgres, &format!("{at}/postgres"), told),
        }
        if config.bus[..index].iter().any(|other| reads_the_same(other, source)) {
            let hint = "name it once, or give each source its own `group`";
            told.add(&at, "a second source reads the same: they would take each other's events", Some(hint));
        }
    }
}

fn check_redis(source: &RedisSource, at: &str, told: &mut Told<'_>) {
    let names: Vec<&str> = source.names().collect();
    let is_told = |key: &str, told: &Told<'_>| told.mistaken(&format!("{at}/{key}"));
    if names.is_empty() && (is_told("stream", told) || is_told("streams", told)) {
        // An unreadable name was reported already.
    } else if names.is_empty() {
        told.add(at, "this source names no stream", Some("add `stream: NAME` or `streams: [NAME, NAME]`"));
    } else if source.stream.is_some() && !source.streams.is_empty() {
        told.add(
            &format!("{at}/streams"),
            "`stream` and `streams` are both given",
            Some("list all streams in `streams`"),
        );
    } else if names.iter().any(|name| name.is_empty()) {
        if !(0..names.len()).any(|index| is_told(&format!("streams/{index}"), told)) {
            told.add(at, "the name of a stream is empty", None);
        }
    } else if (1..names.len()).any(|index| names[..index].contains(&names[index])) {
        told.add(&format!("{at}/streams"), "the same stream is named twice", None);
    }
    if names.len() > STREAMS_MAX {
        told.add(
            &format!("{at}/streams"),
            &format!("more than {STREAMS_MAX} streams"),
            Some("split them into two sources"),
        );
    }
    check_time(source.claim_after.get(), Duration::from_secs(1), &format!("{at}/claim_after"), told);
    check_time(source.forget_after.get(), FORGET_MIN, &format!("{at}/forget_after"), told);
    check_time(source.timeout.get(), Duration::from_millis(100), &format!("{at}/timeout"), told);
    if let Some(fields) = &source.fields {
        check_fields(fields, &format!("{at}/fields"), told);
    }
}

fn check_fields(fields: &StreamFields, at: &str, told: &mut Told<'_>) {
    let StreamFields { event, kind, id, source, subject, time, data } = fields;
    let has_attributes = [kind, id, source, subject, time].iter().any(|text| text.is_some()) || data.is_some();
    match (event, kind) {
        (Some(_), _) if has_attributes => {
            told.add(&format!("{at}/event"), "`event` holds a whole event: no other key is possible beside it", None);
        }
        (None, None) if ["event", "type"].iter().any(|key| told.mistaken(&format!("{at}/{key}"))) => {}
        (None, None) => {
            told.add(at, "key `type` is missing", Some("add `type: some.type`, `type: $field`, or `event: $field`"))
        }
        _ => {}
    }
}

fn check_postgres(source: &PostgresSource, at: &str, told: &mut Told<'_>) {
    check_time(source.poll.get(), POLL_MIN, &format!("{at}/poll"), told);
    check_time(source.retain.get(), FORGET_MIN, &format!("{at}/retain"), told);
    check_time(source.forget_after.get(), FORGET_MIN, &format!("{at}/forget_after"), told);
    check_time(source.timeout.get(), Duration::from_millis(100), &format!("{at}/timeout"), told);
}

fn check_time(time: Duration, least: Duration, at: &str, told: &mut Told<'_>) {
    if time < least {
        let least = super::HumanDuration::new(least);
        told.add(at, &format!("expected at least {least}"), None);
    }
}

fn reads_the_same(one: &BusSource, other: &BusSource) -> bool {
    match (one, other) {
        (BusSource::Redis(one), BusSource::Redis(other)) => {
            one.url == other.url && one.group == other.group && one.names().any(|name| other.names().any(|n| n == name))
        }
        (BusSource::Postgres(one), BusSource::Postgres(other)) => one.url == other.url && one.outbox == other.outbox,
        _ => false,
    }
}
