//! Proof before a version goes live: recordings of calls, their replay on another component, and shadows.
//!
//! | file | what it owns |
//! |---|---|
//! | `listener` | who listens to the calls of a version |
//! | `recording` | the calls of one version as it saw them, within limits |
//! | `line` | a call as a line of the file, and the first line |
//! | `redact` | what no recording shows |
//! | `replay` | asks another component the same questions |
//! | `shadow`, `shadow_thread` | asks a candidate what the version that serves was asked, beside it |
//! | `differences` | how two answers to one call differ, by kind |

mod differences;
mod line;
mod listener;
mod recording;
mod redact;
mod replay;
mod shadow;
mod shadow_thread;

pub use differences::{Difference, DifferenceKind};
pub(crate) use listener::{Ended, Proof};
pub(crate) use recording::Recordings;
pub(crate) use redact::{REDACTED, is_secret_header};
pub use replay::{BadRecording, Factors, Group, RecordedFile, Replay};
