//! What to run in a container, and which of its streams to hold.

/// A program to run inside a container that runs already, with the container's environment, user, directory and limits
/// unless it says otherwise.
///
/// ```
/// use podlife::node::{Exec, TerminalSize};
///
/// let shell = Exec::new(["/bin/sh"])
///     .env("PS1", "> ")
///     .terminal(TerminalSize { rows: 40, columns: 120 });
/// assert!(shell.streams.stdin);
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exec {
    /// Program and arguments; no shell is involved.
    pub command: Vec<String>,
    /// Variables beside the container's, or in their place.
    pub env: Vec<(String, String)>,
    /// Where in the container it starts.
    pub directory: Option<String>,
    /// Who it is.
    pub user: Option<ExecUser>,
    /// What of it the [`Session`](super::Session) has.
    pub streams: Streams,
}

/// A user by number, as the container counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExecUser {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// Which standard streams a [`Session`](super::Session) has. The default is standard output and error; what is left out is
/// `/dev/null` to a program run by [`Node::exec`](crate::Node::exec).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Streams {
    /// Standard input.
    pub stdin: bool,
    /// Standard output.
    pub stdout: bool,
    /// Standard error.
    pub stderr: bool,
    /// A terminal of this size for all three: what the program prints is standard output then, also its errors. To a
    /// container that is attached to, it is the size its terminal shall have.
    pub terminal: Option<TerminalSize>,
}

/// How large a terminal is, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TerminalSize {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
}

impl Exec {
    /// Runs `command`; its standard input is empty.
    pub fn new<S: Into<String>>(command: impl IntoIterator<Item = S>) -> Exec {
        Exec {
            command: command.into_iter().map(Into::into).collect(),
            ..Exec::default()
        }
    }

    /// With a variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Exec {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Starting there.
    #[must_use]
    pub fn directory(self, path: impl Into<String>) -> Exec {
        Exec {
            directory: Some(path.into()),
            ..self
        }
    }

    /// As this user and group.
    #[must_use]
    pub fn user(self, uid: u32, gid: u32) -> Exec {
        Exec {
            user: Some(ExecUser { uid, gid }),
            ..self
        }
    }

    /// With a standard input, which whoever has the session writes.
    #[must_use]
    pub fn stdin(mut self) -> Exec {
        self.streams.stdin = true;
        self
    }

    /// With a terminal, which whoever has the session reads and writes.
    #[must_use]
    pub fn terminal(mut self, size: TerminalSize) -> Exec {
        self.streams = Streams::terminal(size);
        self
    }
}

impl Streams {
    /// Standard input, output and error.
    pub const ALL: Streams = Streams {
        stdin: true,
        stdout: true,
        stderr: true,
        terminal: None,
    };

    /// A terminal.
    pub fn terminal(size: TerminalSize) -> Streams {
        Streams {
            terminal: Some(size),
            ..Streams::ALL
        }
    }
}

impl Default for Streams {
    fn default() -> Streams {
        Streams {
            stdin: false,
            stdout: true,
            stderr: true,
            terminal: None,
        }
    }
}

/// 24 lines of 80 characters.
impl Default for TerminalSize {
    fn default() -> TerminalSize {
        TerminalSize {
            rows: 24,
            columns: 80,
        }
    }
}
