//! What brokers hold for an idempotency key: `r <holder> <body>` while its publish runs, `a <body> <answer>` afterwards.

use std::time::Duration;

use tidegate_core::flow::ports::Claimed;
use tidegate_core::protocol::JsonDigest;

/// How long a claim holds beyond the time in which the broker answers: a node that dies in a publish blocks its key for so
/// long.
pub(super) const HOLD: Duration = Duration::from_secs(30);
/// The pause before an answer or a release is sent again.
pub(super) const RETRY: Duration = Duration::from_millis(500);

/// What is held for a claim.
pub(super) fn write(holder: &str, body: &JsonDigest) -> String {
    format!("r {holder} {body}")
}

/// Reads what is held for a key.
pub(super) fn read(found: &str) -> Option<Claimed> {
    let (kind, rest) = found.split_once(' ')?;
    let (first, second) = rest.split_once(' ')?;
    match kind {
        "r" => Some(Claimed::UnderWay(JsonDigest::read(second))),
        "a" => Some(Claimed::Answered(JsonDigest::read(first), second.to_owned())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let body = JsonDigest::read("12ab");
        assert!(matches!(read(&write("h", &body)), Some(Claimed::UnderWay(first)) if first == body));
        let answered = read("a 12ab {\"position\": 1}");
        let expected = "{\"position\": 1}";
        assert!(matches!(answered, Some(Claimed::Answered(first, answer)) if first == body && answer == expected));
        assert!(read("x 1 2").is_none() && read("a").is_none());
    }
}
