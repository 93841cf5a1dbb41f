//! The rules for the sources of bus events beyond their types.

use std::time::Duration;

use super::check::Told;
use super::{
    BodyFormat, BusSource, Config, MessageFields, MessageText, NatsSource, PostgresSource, RedisSource, StreamFields,
};

/// Most streams of one source: each is read with its own connection.
const STREAMS_MAX: usize = 64;
/// Most subjects of one source: NATS compares each message with all of them.
const SUBJECTS_MAX: usize = 64;
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
            BusSource::Nats(nats) => check_nats(nats, &format!("{at}/nats"), told),
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

fn check_nats(source: &NatsSource, at: &str, told: &mut Told<'_>) {
    for (index, subject) in source.subjects.iter().enumerate() {
        let at = format!("{at}/subjects/{index}");
        if !is_subject(subject) {
            let message =
                "expected a subject: tokens with dots between them, `*` for any token, `>` for all that follow";
            told.add(&at, message, None);
        } else if let Some(other) = source.subjects.iter().take(index).find(|other| covers(subject, other)) {
            told.add(&at, &format!("this subject covers `{other}`"), Some("keep the wider one"));
        } else if let Some(other) = source.subjects.iter().take(index).find(|other| covers(other, subject)) {
            told.add(&at, &format!("`{other}` covers this subject"), Some("keep the wider one"));
        }
    }
    if source.subjects.len() > SUBJECTS_MAX {
        told.add(
            &format!("{at}/subjects"),
            &format!("more than {SUBJECTS_MAX} subjects"),
            Some("use `*` and `>`, or split them into two sources with a `group` each"),
        );
    }
    check_time(source.claim_after.get(), Duration::from_secs(1), &format!("{at}/claim_after"), told);
    check_time(source.forget_after.get(), FORGET_MIN, &format!("{at}/forget_after"), told);
    check_time(source.timeout.get(), Duration::from_millis(100), &format!("{at}/timeout"), told);
    if let Some(fields) = &source.fields {
        check_message_fields(fields, &format!("{at}/fields"), told);
    }
}

fn check_message_fields(fields: &MessageFields, at: &str, told: &mut Told<'_>) {
    let MessageFields { kind, id, source, subject, time, data } = fields;
    let texts = [("type", Some(kind)), ("id", id.as_ref()), ("source", source.as_ref())];
    let more = [("subject", subject.as_ref()), ("time", time.as_ref())];
    for (key, text) in texts.into_iter().chain(more) {
        if *data == BodyFormat::Text && matches!(text, Some(MessageText::Body(_))) {
            let message = "`$/…` points into JSON, but the body is a text (`data: text`)";
            told.add(&format!("{at}/{key}"), message, None);
        }
    }
}

/// Whether NATS takes it as a subject to read.
fn is_subject(subject: &str) -> bool {
    let is_token = |token: &str| !token.is_empty() && !token.contains(char::is_whitespace);
    let mut tokens = subject.split('.');
    let last = tokens.next_back().unwrap_or_default();
    is_token(last) && tokens.all(|token| is_token(token) && token != ">")
}

/// Whether every message with the narrow subject has the wide one, too.
fn covers(wide: &str, narrow: &str) -> bool {
    let (mut wide, mut narrow) = (wide.split('.'), narrow.split('.'));
    loop {
        match (wide.next(), narrow.next()) {
            (None, None) | (Some(">"), Some(_)) => return true,
            (Some(w), Some(n)) if w == n || (w == "*" && n != ">") => {}
            _ => return false,
        }
    }
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
        (BusSource::Nats(one), BusSource::Nats(other)) => {
            one.url == other.url && one.group == other.group && one.stream == other.stream
        }
        (BusSource::Postgres(one), BusSource::Postgres(other)) => one.url == other.url && one.outbox == other.outbox,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is told of a source of NATS with these keys, with the line that it is told at.
    fn told(keys: &str) -> Vec<String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), format!("bus:\n- nats:\n    url: nats://h\n{keys}")).unwrap();
        let told = Config::load(Some(file.path()), [], &[]).err().unwrap_or_default();
        told.iter().map(|told| format!("{}: {}", told.place.as_ref().unwrap().line, told.message)).collect()
    }

    #[test]
    fn a_source_of_nats_is_told_what_is_wrong_with_it() {
        let good = "    stream: s\n    subjects: [a.*, 'b.>', c]\n    fields: { type: $subject, time: $/at }\n";
        assert_eq!(told(good), [""; 0]);
        assert_eq!(told("    mode: shared\n"), ["2: key `stream` is missing"]);
        let stream =
            "expected the name of a stream, without a space, `.`, `*`, `>`, `/` or `\\`: subjects go to `subjects`";
        for name in ["orders.>", "''"] {
            assert_eq!(told(&format!("    stream: {name}\n")), [format!("4: `stream`: {stream}")]);
        }
        let subject = "expected a subject: tokens with dots between them, `*` for any token, `>` for all that follow";
        assert_eq!(
            told("    stream: s\n    subjects:\n    - a..b\n    - a.b\n    - a.*\n    - a.c\n    claim_after: 10ms\n"),
            [
                format!("6: {subject}"),
                "8: this subject covers `a.b`".to_owned(),
                "9: `a.*` covers this subject".to_owned(),
                "10: expected at least 1s".to_owned(),
            ]
        );
        assert_eq!(
            told("    stream: s\n    fields:\n      type: $/a\n      data: text\n"),
            ["6: `$/…` points into JSON, but the body is a text (`data: text`)"]
        );
        assert_eq!(told("    stream: s\n    fields: { subject: $subject }\n"), ["5: key `type` is missing"]);
        assert_eq!(told("    stream: s\n- nats: { url: nats://h, stream: s, subjects: [a] }\n").len(), 1);
        assert_eq!(told("    stream: s\n- nats: { url: nats://h, stream: s, group: b }\n"), [""; 0]);
    }

    #[test]
    fn a_subject_of_nats_has_tokens_and_may_end_with_all_that_follow() {
        for subject in ["a", "a.b", "*.b", "a.*.c", "a.>", ">", "$x:{y}"] {
            assert!(is_subject(subject), "{subject}");
        }
        for subject in ["", ".", "a.", ".a", "a..b", "a b", ">.a"] {
            assert!(!is_subject(subject), "{subject}");
        }
    }

    #[test]
    fn a_wide_subject_covers_a_narrow_one() {
        for (wide, narrow) in [("a", "a"), ("a.*", "a.b"), ("a.>", "a.b.c"), (">", "a"), ("a.>", "a.*"), ("*.>", "a.>")]
        {
            assert!(covers(wide, narrow), "{wide} {narrow}");
        }
        for (wide, narrow) in [("a.b", "a.*"), ("a.*", "a.>"), ("a.>", "a"), ("a.*", "*.b"), ("a", "b")] {
            assert!(!covers(wide, narrow), "{wide} {narrow}");
        }
    }
}
