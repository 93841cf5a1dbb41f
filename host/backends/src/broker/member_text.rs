//! Members as brokers hold them: texts.

use serde_json::value::RawValue;

use tidegate_core::flow::ports::MemberThere;
use tidegate_core::protocol::{MemberId, Payload};

/// The name of a topic's connections without a user; their number is the value.
pub(super) const ANONYMOUS: &str = "-";

pub(super) fn write_name(who: &MemberId) -> String {
    serde_json::to_string(&(&*who.user, who.tenant.as_deref())).unwrap_or_default()
}

pub(super) fn read_name(name: &str) -> Option<MemberId> {
    let (user, tenant): (String, Option<String>) = serde_json::from_str(name).ok()?;
    Some(MemberId { user: user.into(), tenant: tenant.map(Into::into) })
}

/// When the info was brought, and the info.
pub(super) fn write_there(there: &MemberThere) -> String {
    format!("{} {}", there.at_unix_ms, there.info.as_ref().map_or("", Payload::as_str))
}

pub(super) fn read_there(text: &str) -> Option<MemberThere> {
    let (at, info) = text.split_once(' ')?;
    let at_unix_ms = at.parse().ok()?;
    let info = match info {
        "" => None,
        info => Some(RawValue::from_string(info.to_owned()).ok()?.into()),
    };
    Some(MemberThere { at_unix_ms, info })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let who = MemberId { user: "a \"b\" c".into(), tenant: Some("t".into()) };
        assert_eq!(read_name(&write_name(&who)), Some(who));
        for info in [None, Some(Payload::from(json!({ "mood": "a b" })))] {
            let there = MemberThere { at_unix_ms: 7, info };
            assert_eq!(read_there(&write_there(&there)), Some(there));
        }
    }
}
