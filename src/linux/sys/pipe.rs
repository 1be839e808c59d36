//! Writing to pipes whose reader may be gone.
#![allow(unsafe_code)]

use std::mem::MaybeUninit;
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, pthread_sigmask};

/// `write(2)` that never raises SIGPIPE, whatever the program does about that signal: it is blocked for this thread while it
/// writes, and one that was raised by the write is taken back.
pub(crate) fn write(fd: impl AsFd, bytes: &[u8]) -> Result<usize, Errno> {
    let pipe = SigSet::from(Signal::SIGPIPE);
    let mut before = SigSet::empty();
    pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&pipe), Some(&mut before))?;
    let was_pending = pending(Signal::SIGPIPE);
    let written = nix::unistd::write(fd, bytes);
    if written == Err(Errno::EPIPE) && !was_pending {
        take_back(&pipe);
    }
    pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&before), None)?;
    written
}

fn pending(signal: Signal) -> bool {
    let mut set = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: the set is written by the call; all zeroes is a valid, empty one where it fails.
    let set = unsafe {
        libc::sigpending(set.as_mut_ptr());
        set.assume_init()
    };
    // SAFETY: a valid set and a valid number.
    unsafe { libc::sigismember(&set, signal as i32) == 1 }
}

fn take_back(signals: &SigSet) {
    let at_once = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: a valid set, no place for more about the signal, and a timeout that lives for the call.
    unsafe { libc::sigtimedwait(signals.as_ref(), std::ptr::null_mut(), &at_once) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_is_gone_is_an_error_and_no_signal() {
        let (reader, writer) = nix::unistd::pipe().unwrap();
        assert_eq!(write(&writer, b"x"), Ok(1));
        drop(reader);
        assert_eq!(write(&writer, b"x"), Err(Errno::EPIPE));
        assert!(!pending(Signal::SIGPIPE));
        assert!(!SigSet::thread_get_mask().unwrap().contains(Signal::SIGPIPE));
    }
}
