//! The one error type: what was attempted, on what, why it failed, and the usual cure.

use std::error::Error as StdError;
use std::fmt;

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What sort of failure an [`Error`] is: what a program branches on. The text is for people.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The input cannot be used as it is: a manifest, a name, an option. Nothing was changed.
    Invalid,
    /// No such pod, container, image, file or cgroup.
    NotFound,
    /// The name is taken.
    AlreadyExists,
    /// The state it is in does not allow it: an exec into a container that is not running, say.
    Conflict,
    /// The caller's privileges do not allow it.
    Permission,
    /// This kernel, host or build cannot do it.
    Unsupported,
    /// A limit was reached: descriptors, processes, memory, sizes.
    Exhausted,
    /// It was not done in the time given.
    Timeout,
    /// A wait ended because the pod ended in another way.
    PodFailed,
    /// The Node that should have done it is gone.
    NodeClosed,
    /// The other side of a connection said something that makes no sense.
    Protocol,
    /// A system call failed for another reason; see [`Error::errno`].
    Os,
}

impl Kind {
    /// The kind an errno usually means.
    pub fn of_errno(errno: i32) -> Kind {
        // Numbers, not libc: this file is built on every OS, and only Linux errnos are ever passed.
        match errno {
            2 | 3 | 20 => Kind::NotFound,                    // ENOENT ESRCH ENOTDIR
            17 => Kind::AlreadyExists,                       // EEXIST
            1 | 13 | 30 => Kind::Permission,                 // EPERM EACCES EROFS
            38 | 95 => Kind::Unsupported,                    // ENOSYS EOPNOTSUPP
            11 | 12 | 23 | 24 | 28 | 122 => Kind::Exhausted, // EAGAIN ENOMEM ENFILE EMFILE ENOSPC EDQUOT
            110 => Kind::Timeout,                            // ETIMEDOUT
            _ => Kind::Os,
        }
    }
}

/// Why something could not be done.
///
/// ```
/// use podlife::{Error, Kind};
///
/// let error = Error::os("make the cgroup /sys/fs/cgroup/a", 13).cure("run as root, or in a delegated cgroup");
/// assert_eq!(error.kind(), Kind::Permission);
/// assert_eq!(error.errno(), Some(13));
/// assert_eq!(
///     error.to_string(),
///     "could not make the cgroup /sys/fs/cgroup/a: Permission denied (errno 13); run as root, or in a delegated cgroup",
/// );
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: Kind,
    attempt: String,
    why: Option<String>,
    cure: Option<String>,
    errno: Option<i32>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// `attempt` completes "could not …": a verb and its object.
    pub fn new(kind: Kind, attempt: impl Into<String>, why: impl Into<String>) -> Error {
        Error(Box::new(Inner {
            kind,
            attempt: attempt.into(),
            why: Some(why.into()),
            cure: None,
            errno: None,
            source: None,
        }))
    }

    /// A failed system call. The kind follows from `errno`; [`Error::as_kind`] overrides it.
    pub fn os(attempt: impl Into<String>, errno: i32) -> Error {
        Error(Box::new(Inner {
            kind: Kind::of_errno(errno),
            attempt: attempt.into(),
            why: None,
            cure: None,
            errno: Some(errno),
            source: None,
        }))
    }

    /// An I/O error of the standard library.
    pub fn io(attempt: impl Into<String>, error: std::io::Error) -> Error {
        match error.raw_os_error() {
            Some(errno) => Error::os(attempt, errno),
            None => Error::caused(Kind::Os, attempt, error),
        }
    }

    /// Another error is the reason.
    pub fn caused(
        kind: Kind,
        attempt: impl Into<String>,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Error {
        let source = source.into();
        Error(Box::new(Inner {
            kind,
            attempt: attempt.into(),
            why: None,
            cure: None,
            errno: None,
            source: Some(source),
        }))
    }

    /// Says what usually helps.
    #[must_use]
    pub fn cure(mut self, cure: impl Into<String>) -> Error {
        self.0.cure = Some(cure.into());
        self
    }

    /// Overrides the kind.
    #[must_use]
    pub fn as_kind(mut self, kind: Kind) -> Error {
        self.0.kind = kind;
        self
    }

    /// What sort of failure it is.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The errno of the system call that failed, here or in the cause.
    pub fn errno(&self) -> Option<i32> {
        self.0
            .errno
            .or_else(|| self.0.source.as_ref()?.downcast_ref::<Error>()?.errno())
    }
}

/// So that what cannot fail can stand where something may.
impl From<std::convert::Infallible> for Error {
    fn from(never: std::convert::Infallible) -> Error {
        match never {}
    }
}

/// Only shows what [`std::io`] says of the number, without its own "(os error …)".
fn errno_text(errno: i32) -> String {
    let text = std::io::Error::from_raw_os_error(errno).to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    format!("{text} (errno {errno})")
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "could not {}", self.0.attempt)?;
        if let Some(why) = &self.0.why {
            write!(f, ": {why}")?;
        }
        if let Some(errno) = self.0.errno {
            write!(f, ": {}", errno_text(errno))?;
        }
        if let Some(source) = &self.0.source {
            write!(f, ": {source}")?;
        }
        if let Some(cure) = &self.0.cure {
            write!(f, "; {cure}")?;
        }
        Ok(())
    }
}

/// The same text: `unwrap` and `main` print it.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.0.kind)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0
            .source
            .as_deref()
            .map(|source| source as &(dyn StdError + 'static))
    }
}
