//! The two classes of calls, which never wait for each other.

/// A class of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    /// Calls of authorizers: a client waits at a gate for each of them.
    Authorizer,
    /// All other calls.
    Worker,
}

impl Class {
    /// The name in metrics and answers.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Authorizer => "authorizer",
            Self::Worker => "worker",
        }
    }
}
