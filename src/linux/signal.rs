//! Signal numbers with their names.

use std::fmt;
use std::str::FromStr;

use crate::{Error, Kind};

/// The kernel's first realtime signal that C libraries leave to programs (`SIGRTMIN` of glibc and musl).
const RTMIN: i32 = 34;
const RTMAX: i32 = 64;

const NAMES: [(&str, i32); 31] = [
    ("SIGHUP", libc::SIGHUP),
    ("SIGINT", libc::SIGINT),
    ("SIGQUIT", libc::SIGQUIT),
    ("SIGILL", libc::SIGILL),
    ("SIGTRAP", libc::SIGTRAP),
    ("SIGABRT", libc::SIGABRT),
    ("SIGBUS", libc::SIGBUS),
    ("SIGFPE", libc::SIGFPE),
    ("SIGKILL", libc::SIGKILL),
    ("SIGUSR1", libc::SIGUSR1),
    ("SIGSEGV", libc::SIGSEGV),
    ("SIGUSR2", libc::SIGUSR2),
    ("SIGPIPE", libc::SIGPIPE),
    ("SIGALRM", libc::SIGALRM),
    ("SIGTERM", libc::SIGTERM),
    ("SIGSTKFLT", 16),
    ("SIGCHLD", libc::SIGCHLD),
    ("SIGCONT", libc::SIGCONT),
    ("SIGSTOP", libc::SIGSTOP),
    ("SIGTSTP", libc::SIGTSTP),
    ("SIGTTIN", libc::SIGTTIN),
    ("SIGTTOU", libc::SIGTTOU),
    ("SIGURG", libc::SIGURG),
    ("SIGXCPU", libc::SIGXCPU),
    ("SIGXFSZ", libc::SIGXFSZ),
    ("SIGVTALRM", libc::SIGVTALRM),
    ("SIGPROF", libc::SIGPROF),
    ("SIGWINCH", libc::SIGWINCH),
    ("SIGIO", libc::SIGIO),
    ("SIGPWR", libc::SIGPWR),
    ("SIGSYS", libc::SIGSYS),
];

/// A signal: one of the 31 classic ones or a realtime one. `signal(7)`.
///
/// Parses and prints as Kubernetes' `stopSignal` and image configurations spell it: `SIGTERM`, `SIGRTMIN+3`; a bare
/// number and a name without `SIG` are read too.
///
/// ```
/// use podlife::linux::Signal;
///
/// assert_eq!("SIGTERM".parse::<Signal>()?, Signal::TERM);
/// assert_eq!("9".parse::<Signal>()?, Signal::KILL);
/// assert_eq!("SIGRTMIN+3".parse::<Signal>()?.number(), 37);
/// assert_eq!(Signal::INT.to_string(), "SIGINT");
/// assert!("SIGNOTHING".parse::<Signal>().is_err());
/// # Ok::<(), podlife::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signal(i32);

impl Signal {
    /// `SIGHUP`
    pub const HUP: Signal = Signal(libc::SIGHUP);
    /// `SIGINT`
    pub const INT: Signal = Signal(libc::SIGINT);
    /// `SIGQUIT`
    pub const QUIT: Signal = Signal(libc::SIGQUIT);
    /// `SIGKILL`
    pub const KILL: Signal = Signal(libc::SIGKILL);
    /// `SIGUSR1`
    pub const USR1: Signal = Signal(libc::SIGUSR1);
    /// `SIGUSR2`
    pub const USR2: Signal = Signal(libc::SIGUSR2);
    /// `SIGTERM`
    pub const TERM: Signal = Signal(libc::SIGTERM);
    /// `SIGCONT`
    pub const CONT: Signal = Signal(libc::SIGCONT);
    /// `SIGSTOP`
    pub const STOP: Signal = Signal(libc::SIGSTOP);

    /// The signal of that number, 1 to 64.
    pub fn new(number: i32) -> Option<Signal> {
        (1..=RTMAX).contains(&number).then_some(Signal(number))
    }

    /// Its number.
    pub const fn number(self) -> i32 {
        self.0
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((name, _)) = NAMES.iter().find(|(_, number)| *number == self.0) {
            return f.write_str(name);
        }
        match self.0 - RTMIN {
            0 => f.write_str("SIGRTMIN"),
            above @ 1.. => write!(f, "SIGRTMIN+{above}"),
            _ => write!(f, "{}", self.0),
        }
    }
}

impl FromStr for Signal {
    type Err = Error;

    fn from_str(text: &str) -> Result<Signal, Error> {
        number_of(text).and_then(Signal::new).ok_or_else(|| {
            Error::new(
                Kind::Invalid,
                format!("read the signal {text:?}"),
                "no such signal",
            )
        })
    }
}

fn number_of(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    let bare = text.strip_prefix("SIG").unwrap_or(text);
    if let Some(above) = bare.strip_prefix("RTMIN") {
        return Some(RTMIN + offset(above, '+')?);
    }
    if let Some(below) = bare.strip_prefix("RTMAX") {
        return Some(RTMAX - offset(below, '-')?);
    }
    let known = NAMES
        .iter()
        .find(|(name, _)| name.strip_prefix("SIG") == Some(bare));
    known.map(|(_, number)| *number)
}

/// The number after `sign`, no further than from one end of the realtime signals to the other; nothing is 0.
fn offset(text: &str, sign: char) -> Option<i32> {
    if text.is_empty() {
        return Some(0);
    }
    let number = text.strip_prefix(sign)?.parse().ok()?;
    (0..=RTMAX - RTMIN).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_survives_its_name() {
        for number in 1..=RTMAX {
            let signal = Signal::new(number).unwrap();
            assert_eq!(signal.to_string().parse::<Signal>().unwrap(), signal);
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "SIG",
            "0",
            "65",
            "-9",
            "RTMIN+31",
            "SIGRTMIN-1",
            "SIGRTMAX+1",
            "sigterm",
            "SIGSIGTERM",
        ] {
            assert!(text.parse::<Signal>().is_err(), "{text:?}");
        }
        assert_eq!("SIGRTMAX-30".parse::<Signal>().unwrap().number(), RTMIN);
    }
}
