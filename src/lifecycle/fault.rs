//! Mistakes that a machine can be told to make, so that the simulator can show that it would notice.

/// One mistake. The names say what is done wrong.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// None.
    #[default]
    None,
    /// An action goes out before its intent is on record.
    PerformBeforePersist,
    /// After a restore, a kill waits for ever.
    DeadlineNotRearmed,
    /// A container with a start under way is planned for as if there were none.
    NoMask,
    /// What follows a kill is decided anew when the exit comes.
    VerdictRecomputed,
    /// A restore plans before it has heard of every attempt.
    RestoredPiecemeal,
    /// An exit is acknowledged before it is on record.
    AcknowledgeBeforePersist,
    /// A restart counts from 0.
    RestartCountReset,
    /// A probe that failed stays on hold when the container runs again.
    HoldNotCleared,
    /// Sidecars end without waiting for the regular containers.
    SidecarEndedFirst,
    /// A hook that is done runs again.
    HookTwice,
    /// The grace period counts twice.
    DeadlineDoubled,
    /// An answer is taken whatever its ticket.
    LateTicket,
    /// A finished pod is started again.
    TerminalLeft,
    /// Resources that a changed manifest wants count as applied.
    ResizeForgotten,
}
