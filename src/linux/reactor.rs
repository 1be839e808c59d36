//! One epoll descriptor for everything a single-threaded program waits for: descriptors, one deadline, other threads.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use crate::time::Mono;
use crate::{Error, Result};

/// At most so many descriptors are reported by one [`Reactor::wait`].
const BATCH: usize = 64;

/// What a descriptor is registered as. The two highest numbers are the reactor's own.
///
/// The number is the caller's: an index with a generation, say. A token may still come out of the batch that was
/// being handled when its descriptor was removed, so never reuse one at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

impl Token {
    const TIMER: Token = Token(u64::MAX);
    const WAKER: Token = Token(u64::MAX - 1);
}

/// What to wait for on a descriptor. Hang-up and error are always reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Interest {
    /// Data to read, a connection to accept, a process that ended (pidfd).
    Read,
    /// Room to write, a connection made.
    Write,
    /// Either.
    ReadWrite,
    /// `EPOLLPRI` only: files of `/proc` and cgroupfs that are always readable and announce a *change* this way.
    Change,
    /// Nothing but hang-up and error.
    HangUp,
}

impl Interest {
    fn flags(self) -> EpollFlags {
        match self {
            Interest::Read => EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP,
            Interest::Write => EpollFlags::EPOLLOUT,
            Interest::ReadWrite => {
                EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLOUT
            }
            Interest::Change => EpollFlags::EPOLLPRI,
            Interest::HangUp => EpollFlags::EPOLLRDHUP,
        }
    }
}

/// A descriptor that has something to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// The token it was added with.
    pub token: Token,
    flags: EpollFlags,
}

impl Ready {
    /// A read will not block; it may report the end of the stream or an error.
    pub fn readable(&self) -> bool {
        self.flags.intersects(
            EpollFlags::EPOLLIN
                | EpollFlags::EPOLLRDHUP
                | EpollFlags::EPOLLHUP
                | EpollFlags::EPOLLERR,
        )
    }

    /// A write will not block; it may report an error.
    pub fn writable(&self) -> bool {
        self.flags
            .intersects(EpollFlags::EPOLLOUT | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR)
    }

    /// The file changed ([`Interest::Change`]).
    pub fn changed(&self) -> bool {
        self.flags.contains(EpollFlags::EPOLLPRI)
    }

    /// The other side is gone, or has closed its sending half.
    pub fn hung_up(&self) -> bool {
        self.flags
            .intersects(EpollFlags::EPOLLHUP | EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLERR)
    }
}

/// Why a [`Reactor::wait`] returned, besides descriptors. All false and no descriptor: the time was up, or a signal came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Woken {
    /// The deadline has passed; it is unset now.
    pub deadline: bool,
    /// [`Waker::wake`] or [`Reactor::wake`] was called since the last wait.
    pub waker: bool,
    /// The batch was full, so more may be ready; the reactor's descriptor has been made readable again.
    pub more: bool,
}

/// Waits for many descriptors, one deadline and wake-ups from other threads, through one descriptor of its own.
///
/// [`AsFd`] gives that descriptor, so that a reactor can be waited for in another event loop, edge-triggered ones
/// (`EPOLLET`: tokio, mio) included: they see a new edge whenever something becomes ready and after every wait that was
/// cut short. A caller that leaves work undone for any other reason (half-read sockets, a queue of its own) must call
/// [`Reactor::wake`] before it goes back to such a loop.
///
/// Descriptors are level-triggered. Adding one does not take it over: remove it before it is closed.
///
/// Linux 2.6.27; no privilege; three descriptors; the constructor and [`Reactor::add`] may fail for want of descriptors or of
/// `fs.epoll.max_user_watches`. `epoll(7)`, `timerfd_create(2)`, `eventfd(2)`.
///
/// ```
/// use podlife::linux::reactor::{Interest, Reactor, Token};
/// use std::io::Write;
/// use std::time::Duration;
///
/// let (mut ours, theirs) = std::os::unix::net::UnixStream::pair()?;
/// let mut reactor = Reactor::new()?;
/// reactor.add(&theirs, Interest::Read, Token(7))?;
///
/// ours.write_all(b"hello")?;
/// let mut ready = Vec::new();
/// reactor.wait(Some(Duration::from_secs(1)), &mut ready)?;
/// assert_eq!(ready[0].token, Token(7));
/// assert!(ready[0].readable());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Reactor {
    epoll: Epoll,
    timer: TimerFd,
    waker: Waker,
    deadline: Option<Mono>,
}

impl Reactor {
    /// A reactor that waits for nothing yet.
    pub fn new() -> Result<Reactor> {
        let failed = |errno: Errno| {
            Error::os("make an event loop", errno as i32).cure("raise RLIMIT_NOFILE")
        };
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(failed)?;
        let timer = TimerFd::new(
            ClockId::CLOCK_MONOTONIC,
            TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK,
        )
        .map_err(failed)?;
        let event =
            EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK).map_err(failed)?;
        epoll
            .add(&timer, EpollEvent::new(EpollFlags::EPOLLIN, Token::TIMER.0))
            .map_err(failed)?;
        epoll
            .add(&event, EpollEvent::new(EpollFlags::EPOLLIN, Token::WAKER.0))
            .map_err(failed)?;
        Ok(Reactor {
            epoll,
            timer,
            waker: Waker(Arc::new(event)),
            deadline: None,
        })
    }

    /// Starts waiting for `fd`, which must stay open until [`Reactor::remove`].
    pub fn add(&self, fd: impl AsFd, interest: Interest, token: Token) -> Result<()> {
        debug_assert!(
            token < Token::WAKER,
            "the two highest tokens are the reactor's own"
        );
        let event = EpollEvent::new(interest.flags(), token.0);
        self.epoll
            .add(fd, event)
            .map_err(|errno| Error::os("watch a descriptor", errno as i32))
    }

    /// Waits for something else on `fd`, or under another token.
    pub fn modify(&self, fd: impl AsFd, interest: Interest, token: Token) -> Result<()> {
        let mut event = EpollEvent::new(interest.flags(), token.0);
        self.epoll
            .modify(fd, &mut event)
            .map_err(|errno| Error::os("change the watch of a descriptor", errno as i32))
    }

    /// Stops waiting for `fd`.
    pub fn remove(&self, fd: impl AsFd) -> Result<()> {
        self.epoll
            .delete(fd)
            .map_err(|errno| Error::os("stop watching a descriptor", errno as i32))
    }

    /// The one deadline, as a point of [`Clock::mono`](crate::linux::Clock::mono): the wait at or after it reports
    /// [`Woken::deadline`]. A new one replaces the old; one in the past is due at once. The same one again costs nothing.
    pub fn set_deadline(&mut self, deadline: Option<Mono>) -> Result<()> {
        if deadline == self.deadline {
            return Ok(());
        }
        let done = match deadline {
            None => self.timer.unset(),
            Some(at) => self.timer.set(
                Expiration::OneShot(timespec(at)),
                TimerSetTimeFlags::TFD_TIMER_ABSTIME,
            ),
        };
        done.map_err(|errno| Error::os("set a deadline", errno as i32))?;
        self.deadline = deadline;
        Ok(())
    }

    /// Replaces `ready` by what is ready, at most 64 descriptors, waiting up to `timeout` (`None`: for ever; rounded up to
    /// milliseconds) if nothing is. A signal handler that ran ends the wait early, without error.
    pub fn wait(&mut self, timeout: Option<Duration>, ready: &mut Vec<Ready>) -> Result<Woken> {
        ready.clear();
        let mut batch = [EpollEvent::empty(); BATCH];
        let count = match self.epoll.wait(&mut batch, millis(timeout)) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(errno) => return Err(Error::os("wait for events", errno as i32)),
        };
        let mut woken = Woken {
            more: count == BATCH,
            ..Woken::default()
        };
        for event in &batch[..count] {
            match Token(event.data()) {
                Token::TIMER => woken.deadline = self.expire(),
                Token::WAKER => woken.waker = self.waker.0.read().is_ok(),
                token => ready.push(Ready {
                    token,
                    flags: event.events(),
                }),
            }
        }
        if woken.more {
            self.wake();
        }
        Ok(woken)
    }

    /// Makes the reactor's descriptor readable, and the next wait return at once.
    pub fn wake(&self) {
        self.waker.wake();
    }

    /// A handle by which other threads wake this reactor.
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Was it this deadline, or one that was moved after it fell due? Reading the timer settles it.
    fn expire(&mut self) -> bool {
        let mut ticks = [0; 8];
        let expired = nix::unistd::read(&self.timer, &mut ticks).is_ok();
        if expired {
            self.deadline = None;
        }
        expired
    }
}

impl AsFd for Reactor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.0.as_fd()
    }
}

/// Wakes a [`Reactor`] from any thread; cheap to clone. It may outlive the reactor, and does nothing then.
#[derive(Clone, Debug)]
pub struct Waker(Arc<EventFd>);

impl Waker {
    /// Ends the current wait, or the next one. Never blocks: many calls before a wait are one wake-up.
    pub fn wake(&self) {
        // The only possible failure is a counter that is full, and then it is readable already.
        let _ = self.0.write(1);
    }
}

/// The point in time, except that zero would disarm the timer.
fn timespec(at: Mono) -> TimeSpec {
    let nanos = at.as_nanos().clamp(1, i64::MAX as u64);
    TimeSpec::from_duration(Duration::from_nanos(nanos))
}

/// Rounded up, so that a wait never ends before its time.
fn millis(timeout: Option<Duration>) -> EpollTimeout {
    let Some(timeout) = timeout else {
        return EpollTimeout::NONE;
    };
    let millis = timeout.as_nanos().div_ceil(1_000_000);
    i32::try_from(millis)
        .ok()
        .and_then(|millis| EpollTimeout::try_from(millis).ok())
        .unwrap_or(EpollTimeout::MAX)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::linux::Clock;

    const LONG: Option<Duration> = Some(Duration::from_secs(60));
    const NONE: Option<Duration> = Some(Duration::ZERO);

    #[test]
    fn a_deadline_is_told_once() {
        let mut reactor = Reactor::new().unwrap();
        let due = Clock::mono() + Duration::from_millis(2);
        reactor.set_deadline(Some(due)).unwrap();
        assert!(reactor.wait(LONG, &mut Vec::new()).unwrap().deadline);
        assert!(Clock::mono() >= due);
        assert!(!reactor.wait(NONE, &mut Vec::new()).unwrap().deadline);
        reactor.set_deadline(Some(Mono::ZERO)).unwrap();
        assert!(reactor.wait(LONG, &mut Vec::new()).unwrap().deadline);
    }

    #[test]
    fn a_deadline_that_moved_away_is_not_told() {
        let mut reactor = Reactor::new().unwrap();
        reactor.set_deadline(Some(Mono::ZERO)).unwrap();
        reactor.set_deadline(Some(Mono::MAX)).unwrap();
        assert_eq!(
            reactor.wait(NONE, &mut Vec::new()).unwrap(),
            Woken::default()
        );
    }

    #[test]
    fn another_thread_wakes_it() {
        let mut reactor = Reactor::new().unwrap();
        let waker = reactor.waker();
        std::thread::scope(|scope| {
            scope.spawn(move || waker.wake());
            assert!(reactor.wait(LONG, &mut Vec::new()).unwrap().waker);
        });
        assert!(!reactor.wait(NONE, &mut Vec::new()).unwrap().waker);
    }

    /// An outer edge-triggered epoll, as tokio and mio have: it must see every batch although nothing new arrives.
    #[test]
    fn a_full_batch_gives_a_new_edge() {
        let mut reactor = Reactor::new().unwrap();
        let pairs: Vec<_> = (0..BATCH * 2)
            .map(|_| UnixStream::pair().unwrap())
            .collect();
        for (token, (ours, theirs)) in pairs.iter().enumerate() {
            reactor
                .add(theirs, Interest::Read, Token(token as u64))
                .unwrap();
            nix::unistd::write(ours, b"x").unwrap();
        }
        let outer = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).unwrap();
        outer
            .add(
                &reactor,
                EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, 0),
            )
            .unwrap();
        let mut seen = std::collections::BTreeSet::new();
        let mut ready = Vec::new();
        while seen.len() < pairs.len() {
            let edges = outer
                .wait(
                    &mut [EpollEvent::empty()],
                    EpollTimeout::try_from(5_000).unwrap(),
                )
                .unwrap();
            assert_eq!(edges, 1, "no edge after {} of {}", seen.len(), pairs.len());
            reactor.wait(NONE, &mut ready).unwrap();
            for ready in &ready {
                let theirs = &pairs[ready.token.0 as usize].1;
                nix::unistd::read(theirs, &mut [0]).unwrap();
                seen.insert(ready.token);
            }
        }
    }

    #[test]
    fn a_hang_up_is_told_and_a_removed_descriptor_is_not() {
        let mut reactor = Reactor::new().unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        reactor.add(&theirs, Interest::HangUp, Token(1)).unwrap();
        drop(ours);
        let mut ready = Vec::new();
        reactor.wait(LONG, &mut ready).unwrap();
        assert!(ready[0].hung_up());
        reactor.remove(&theirs).unwrap();
        reactor.wait(NONE, &mut ready).unwrap();
        assert!(ready.is_empty());
    }
}
