//! Where in a trace something happens: W3C Trace Context, as headers, attributes of events and messages carry it.
//!
//! <https://www.w3.org/TR/trace-context/>

use std::fmt;
use std::sync::Arc;

/// Longest `tracestate`, in bytes, and most members.
const STATE_BYTES_MAX: usize = 512;
const STATE_MEMBERS_MAX: usize = 32;
/// Longest key and value of a member of `tracestate`, in bytes.
const STATE_PART_BYTES_MAX: usize = 256;
/// Length of a `traceparent` of version 00, in bytes.
const PARENT_BYTES: usize = 55;
/// The flags that a version is known to have: sampled, random.
const FLAGS_KNOWN: u8 = 0b11;
const SAMPLED: u8 = 0b01;
/// Not a flag of `traceparent`: the trace began here, and nobody records it.
const OURS_ALONE: u8 = 0b1000_0000;

/// A place in a trace: the span that is the parent of what follows.
#[derive(Clone, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace; never 0.
    pub trace_id: u128,
    /// The span; never 0.
    pub span_id: u64,
    flags: u8,
    /// What systems on the way noted for themselves.
    state: Option<Arc<str>>,
}

impl TraceContext {
    /// The first span of a trace that begins here.
    #[must_use]
    pub fn begin(trace_id: u128, span_id: u64, is_sampled: bool) -> Self {
        let flags = if is_sampled { SAMPLED } else { OURS_ALONE };
        Self { trace_id, span_id, flags, state: None }
    }

    /// Reads a `traceparent`; `None` for anything malformed: then nothing is known of a trace, and a new one may begin.
    #[must_use]
    pub fn parse(traceparent: &str) -> Option<Self> {
        let text = traceparent.as_bytes();
        let version = hex(traceparent.get(..2)?)?;
        let has_end = match version {
            0xff => false,
            0 => text.len() == PARENT_BYTES,
            // A later version may say more behind.
            _ => text.len() == PARENT_BYTES || text.get(PARENT_BYTES) == Some(&b'-'),
        };
        if !has_end || [2, 35, 52].iter().any(|at| text[*at] != b'-') {
            return None;
        }
        let trace_id = hex(traceparent.get(3..35)?).filter(|id| *id != 0)?;
        let span_id = hex(traceparent.get(36..52)?).filter(|id| *id != 0)?;
        let flags = hex(traceparent.get(53..55)?)?;
        Some(Self {
            trace_id,
            span_id: u64::try_from(span_id).ok()?,
            flags: u8::try_from(flags).ok()? & FLAGS_KNOWN,
            state: None,
        })
    }

    /// The same with a `tracestate`. One that is malformed is left out; the trace goes on.
    #[must_use]
    pub fn with_state(self, tracestate: Option<&str>) -> Self {
        let state = tracestate.map(str::trim).filter(|state| is_state(state)).map(Into::into);
        Self { state, ..self }
    }

    /// The place of a span of the same trace.
    #[must_use]
    pub fn at(&self, span_id: u64) -> Self {
        Self { span_id, ..self.clone() }
    }

    /// Whether the trace is recorded.
    #[must_use]
    pub const fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// Whether it is worth to tell others: somebody records the trace, or it came from somebody else.
    #[must_use]
    pub const fn is_shared(&self) -> bool {
        self.flags & OURS_ALONE == 0
    }

    /// The flags of `traceparent`.
    #[must_use]
    pub const fn flags(&self) -> u8 {
        self.flags & FLAGS_KNOWN
    }

    /// `tracestate`.
    #[must_use]
    pub fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }
}

impl fmt::Display for TraceContext {
    /// `traceparent`, version 00.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, self.flags())
    }
}

impl fmt::Debug for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A number in lower-case hexadecimal digits.
fn hex(text: &str) -> Option<u128> {
    let is_hex = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    u128::from_str_radix(text, 16).ok().filter(|_| is_hex)
}

fn is_state(text: &str) -> bool {
    let members = || text.split(',').map(|member| member.trim_matches([' ', '\t'])).filter(|member| !member.is_empty());
    let mut keys: Vec<&str> = members().filter_map(|member| Some(member.split_once('=')?.0)).collect();
    let count = keys.len();
    keys.sort_unstable();
    keys.dedup();
    text.len() <= STATE_BYTES_MAX
        && (1..=STATE_MEMBERS_MAX).contains(&count)
        && keys.len() == count
        && members().all(is_member)
}

fn is_member(member: &str) -> bool {
    let Some((key, value)) = member.split_once('=') else { return false };
    let is_in_key = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-' | b'*' | b'/' | b'@')
    };
    let begins = key.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    begins
        && key.bytes().all(is_in_key)
        && !value.is_empty()
        && value.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b'=')
        && [key, value].iter().all(|part| part.len() <= STATE_PART_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_traceparent_comes_back_as_it_went_in() {
        let context = TraceContext::parse(PARENT).unwrap();
        assert_eq!(context.to_string(), PARENT);
        assert!(context.is_sampled());
        assert!(!TraceContext::parse(&PARENT.replace("-01", "-02")).unwrap().is_sampled());
        assert_eq!(context.at(1).to_string(), PARENT.replace("00f067aa0ba902b7", "0000000000000001"));
    }

    #[test]
    fn a_trace_that_begins_here_is_shared_if_it_is_recorded() {
        assert!(TraceContext::begin(1, 1, true).is_shared());
        let unrecorded = TraceContext::begin(1, 1, false);
        assert!(!unrecorded.is_shared() && !unrecorded.is_sampled() && unrecorded.to_string().ends_with("-00"));
        assert!(TraceContext::parse(&PARENT.replace("-01", "-00")).unwrap().is_shared());
    }

    #[test]
    fn a_later_version_is_read_as_far_as_it_is_known() {
        let later = PARENT.replacen("00", "cc", 1);
        for text in [later.replace("-01", "-ff"), format!("{later}-what-the-future-holds")] {
            let context = TraceContext::parse(&text).unwrap();
            assert!(context.to_string().starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736"), "{text}");
            assert!(context.is_sampled(), "{text}");
        }
    }

    #[test]
    fn whatever_is_malformed_is_no_trace() {
        let long = format!("{PARENT}-more");
        let later = PARENT.replacen("00", "01", 1);
        for text in [
            "",
            "00",
            "é0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            &PARENT[..54],
            &long,
            &format!("{later}x"),
            &PARENT.to_uppercase(),
            &PARENT.replacen("00", "ff", 1),
            &PARENT.replace('-', "_"),
            &PARENT.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &PARENT.replace("00f067aa0ba902b7", &"0".repeat(16)),
            &PARENT.replace("4bf9", "+bf9"),
            "00-4bf92f3577b34da6a3ce929d0e0e47é-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceContext::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_malformed_tracestate_is_left_out_and_the_trace_goes_on() {
        let state = |text: &str| {
            let context = TraceContext::parse(PARENT).unwrap().with_state(Some(text));
            context.state().map(str::to_owned)
        };
        for good in ["congo=t61rcWkgMzE", "a=1,b@c=x y", "a=1, ,b=2"] {
            assert_eq!(state(good).as_deref(), Some(good));
        }
        let (long, many) = (format!("a={}", "x".repeat(600)), (0..33).map(|n| format!("k{n}=1")).collect::<Vec<_>>());
        for bad in ["", " ", "a", "=1", "A=1", "a=", "a=1=2", "a=1,a=2", "a=é", &long, &many.join(",")] {
            assert_eq!(state(bad), None, "{bad}");
        }
    }
}
