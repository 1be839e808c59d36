//! The Node's verbs for other threads.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker as TaskWaker};
use std::time::Duration;

use nix::sys::eventfd::{EfdFlags, EventFd};

use super::session::SessionId;
use super::{Copy, Cursor, Delete, Event, Exec, PodId, PodStats, Session, Snapshot, Streams};
use crate::linux::reactor::Waker;
use crate::model::objects::Object;
use crate::model::{EphemeralContainer, Pod, PodOptions, Valid};
use crate::{Error, Kind, Result};

/// So many calls may wait for the Node at once.
const CALLS_MAX: usize = 4096;
/// So many events a [`Watch`] holds for a reader that does not come.
const WATCH_MAX: usize = 4096;

/// A way for other threads to use a Node: cheap to clone, `Send` and `Sync`.
///
/// Each verb puts a call into a queue, which the thread that drives the Node answers in its next turn. When the Node is gone
/// every call, also one that waits already, is answered by [`Kind::NodeClosed`]; none hangs.
///
/// ```
/// use podlife::{Kind, Node};
///
/// let node = Node::ephemeral()?;
/// let handle = node.handle();
/// drop(node);
/// let answer = handle.close().wait(std::time::Duration::from_secs(1));
/// assert_eq!(answer.unwrap_err().kind(), Kind::NodeClosed);
/// # Ok::<(), podlife::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct NodeHandle(pub(super) Arc<Inbox>);

impl NodeHandle {
    /// As [`Node::create`](crate::Node::create).
    pub fn create(&self, pod: Valid<Pod>) -> Pending<PodId> {
        self.create_with(pod, PodOptions::default())
    }

    /// As [`Node::put`](crate::Node::put).
    pub fn put(&self, object: impl Into<Object>) -> Pending<()> {
        let object = Box::new(object.into());
        self.call(|answer| Call::Put(object, answer))
    }

    /// As [`Node::delete`](crate::Node::delete).
    pub fn delete(&self, id: PodId, how: Delete) -> Pending<()> {
        self.call(|answer| Call::Delete(id, how, answer))
    }

    /// As [`Node::exec`](crate::Node::exec); the session is this thread's to use.
    pub fn exec(&self, id: PodId, container: &str, command: Exec) -> Pending<Session> {
        self.call(|answer| Call::Exec(id, container.into(), command, answer))
    }

    /// As [`Node::attach`](crate::Node::attach).
    pub fn attach(&self, id: PodId, container: &str, streams: Streams) -> Pending<Session> {
        self.call(|answer| Call::Attach(id, container.into(), streams, answer))
    }

    /// As [`Node::forward`](crate::Node::forward).
    pub fn forward(&self, id: PodId, port: u16) -> Pending<OwnedFd> {
        self.call(|answer| Call::Forward(id, port, answer))
    }

    /// As [`Node::copy_in`](crate::Node::copy_in); the copying is this thread's to do.
    pub fn copy_in(
        &self,
        id: PodId,
        container: &str,
        from: impl Into<PathBuf>,
        to: impl Into<PathBuf>,
    ) -> Pending<Copy> {
        let paths = [from.into(), to.into()];
        self.call(|answer| Call::CopyIn(id, container.into(), paths, answer))
    }

    /// As [`Node::copy_out`](crate::Node::copy_out); the copying is this thread's to do.
    pub fn copy_out(
        &self,
        id: PodId,
        container: &str,
        from: impl Into<PathBuf>,
        to: impl Into<PathBuf>,
    ) -> Pending<Copy> {
        let paths = [from.into(), to.into()];
        self.call(|answer| Call::CopyOut(id, container.into(), paths, answer))
    }

    /// As [`Node::create_with`](crate::Node::create_with).
    pub fn create_with(&self, pod: Valid<Pod>, options: PodOptions) -> Pending<PodId> {
        self.call(|answer| Call::Create(pod, options, answer))
    }

    /// As [`Node::update`](crate::Node::update).
    pub fn update(&self, id: PodId, pod: Valid<Pod>) -> Pending<()> {
        self.call(|answer| Call::Update(id, pod, answer))
    }

    /// As [`Node::debug`](crate::Node::debug).
    pub fn debug(&self, id: PodId, container: EphemeralContainer) -> Pending<()> {
        self.call(|answer| Call::Debug(id, Box::new(container), answer))
    }

    /// As [`Node::restart`](crate::Node::restart).
    pub fn restart(&self, id: PodId, container: Option<&str>) -> Pending<()> {
        let container = container.map(str::to_owned);
        self.call(|answer| Call::Restart(id, container, answer))
    }

    /// As [`Node::stats`](crate::Node::stats).
    pub fn stats(&self, id: PodId) -> Pending<PodStats> {
        self.call(|answer| Call::Stats(id, answer))
    }

    /// What the pod is now.
    pub fn snapshot(&self, id: PodId) -> Pending<Snapshot> {
        self.call(|answer| Call::Snapshot(id, answer))
    }

    /// Events behind a cursor, the ones to come included.
    pub fn watch(&self, after: Cursor) -> Watch {
        let queue = Arc::new(WatchQueue::default());
        let pending: Pending<()> = self.call(|answer| Call::Watch(after, queue.clone(), answer));
        drop(pending);
        Watch(queue)
    }

    /// Asks the driving thread to stop: [`Node::run_until`](crate::Node::run_until) and
    /// [`Node::wait`](crate::Node::wait) end with [`Kind::NodeClosed`]. Pods are left as they are.
    pub fn close(&self) -> Pending<()> {
        self.call(Call::Close)
    }

    fn call<T>(&self, call: impl FnOnce(Answer<T>) -> Call) -> Pending<T> {
        let (answer, pending) = pending();
        self.0.put(call(answer));
        pending
    }
}

/// What other threads have asked for.
pub(super) enum Call {
    Put(Box<Object>, Answer<()>),
    Create(Valid<Pod>, PodOptions, Answer<PodId>),
    Update(PodId, Valid<Pod>, Answer<()>),
    Debug(PodId, Box<EphemeralContainer>, Answer<()>),
    Restart(PodId, Option<String>, Answer<()>),
    Stats(PodId, Answer<PodStats>),
    Delete(PodId, Delete, Answer<()>),
    Snapshot(PodId, Answer<Snapshot>),
    Exec(PodId, Box<str>, Exec, Answer<Session>),
    Attach(PodId, Box<str>, Streams, Answer<Session>),
    Forward(PodId, u16, Answer<OwnedFd>),
    CopyIn(PodId, Box<str>, [PathBuf; 2], Answer<Copy>),
    CopyOut(PodId, Box<str>, [PathBuf; 2], Answer<Copy>),
    Watch(Cursor, Arc<WatchQueue>, Answer<()>),
    Close(Answer<()>),
}

/// Calls on their way to the Node.
pub(super) struct Inbox {
    calls: Mutex<Calls>,
    waker: Waker,
}

#[derive(Default)]
struct Calls {
    queue: VecDeque<Call>,
    /// Sessions that nobody has any more.
    dropped: Vec<SessionId>,
    closed: bool,
}

impl Inbox {
    pub(super) fn new(waker: Waker) -> Inbox {
        Inbox {
            calls: Mutex::default(),
            waker,
        }
    }

    fn put(&self, call: Call) {
        let mut calls = lock(&self.calls);
        // A refused call is dropped, and its answer says why.
        if !calls.closed && calls.queue.len() < CALLS_MAX {
            calls.queue.push_back(call);
            drop(calls);
            self.waker.wake();
        }
    }

    pub(super) fn waiting(&self) -> bool {
        !lock(&self.calls).queue.is_empty()
    }

    /// A session is dropped, wherever.
    pub(super) fn let_go(&self, session: SessionId) {
        let mut calls = lock(&self.calls);
        if !calls.closed {
            calls.dropped.push(session);
            drop(calls);
            self.waker.wake();
        }
    }

    pub(super) fn take_dropped(&self) -> Vec<SessionId> {
        std::mem::take(&mut lock(&self.calls).dropped)
    }

    pub(super) fn take(&self) -> Option<Call> {
        lock(&self.calls).queue.pop_front()
    }

    /// The Node is gone: everything is refused from now on.
    pub(super) fn close(&self) {
        let mut calls = lock(&self.calls);
        calls.closed = true;
        let queue = std::mem::take(&mut calls.queue);
        drop(calls);
        drop(queue);
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").finish_non_exhaustive()
    }
}

/// A lock of plain data: whoever panicked while holding it left it whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The answer to a call, when the Node gives it.
///
/// Wait for it, look whether it is there, wait for its descriptor in an event loop, or `.await` it in any runtime.
#[derive(Debug)]
pub struct Pending<T>(Arc<Slot<T>>);

/// The Node's end of a [`Pending`]. Dropped unused, it says that the Node is gone.
#[derive(Debug)]
pub(super) struct Answer<T>(Weak<Slot<T>>);

#[derive(Debug)]
struct Slot<T> {
    state: Mutex<SlotState<T>>,
    filled: Condvar,
    /// Readable once there is an answer. Where no descriptor could be had, waiting by one is not possible.
    event: Option<EventFd>,
}

#[derive(Debug)]
struct SlotState<T> {
    answer: Option<Result<T>>,
    task: Option<TaskWaker>,
    answered: bool,
}

pub(super) fn pending<T>() -> (Answer<T>, Pending<T>) {
    let event = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK).ok();
    let state = SlotState {
        answer: None,
        task: None,
        answered: false,
    };
    let slot = Arc::new(Slot {
        state: Mutex::new(state),
        filled: Condvar::new(),
        event,
    });
    (Answer(Arc::downgrade(&slot)), Pending(slot))
}

impl<T> Answer<T> {
    pub(super) fn give(self, answer: Result<T>) {
        self.fill(answer);
    }

    fn fill(&self, answer: Result<T>) {
        let Some(slot) = self.0.upgrade() else { return };
        let mut state = lock(&slot.state);
        if std::mem::replace(&mut state.answered, true) {
            return;
        }
        state.answer = Some(answer);
        let task = state.task.take();
        drop(state);
        slot.filled.notify_all();
        if let Some(event) = &slot.event {
            let _ = event.write(1);
        }
        if let Some(task) = task {
            task.wake();
        }
    }
}

impl<T> Drop for Answer<T> {
    fn drop(&mut self) {
        self.fill(Err(closed()));
    }
}

fn closed() -> Error {
    Error::new(
        Kind::NodeClosed,
        "reach the Node",
        "it was dropped, or too many calls wait for it",
    )
}

impl<T> Pending<T> {
    /// Blocks until the answer is there. Never call it on the thread that drives the Node.
    ///
    /// # Errors
    /// That of the call; [`Kind::Timeout`]; [`Kind::NodeClosed`].
    pub fn wait(self, timeout: Duration) -> Result<T> {
        let empty = |state: &mut SlotState<T>| state.answer.is_none();
        let (mut state, _) = self
            .0
            .filled
            .wait_timeout_while(lock(&self.0.state), timeout, empty)
            .unwrap_or_else(PoisonError::into_inner);
        state.answer.take().unwrap_or_else(|| {
            Err(Error::new(
                Kind::Timeout,
                "get an answer of the Node",
                format!("there was none in {timeout:?}"),
            )
            .cure("see that some thread drives the Node by turn()"))
        })
    }

    /// The answer, if it is there. It is given once.
    pub fn try_take(&mut self) -> Option<Result<T>> {
        lock(&self.0.state).answer.take()
    }
}

/// Readable once the answer is there.
impl<T> Pending<T> {
    /// The descriptor to wait for; none if the process had none left when the call was made.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.0.event.as_ref().map(AsFd::as_fd)
    }
}

impl<T> Future for Pending<T> {
    type Output = Result<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T>> {
        let mut state = lock(&self.0.state);
        match state.answer.take() {
            Some(answer) => Poll::Ready(answer),
            None => {
                state.task = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// Events as they happen, for another thread; see [`NodeHandle::watch`]. It ends when the Node is gone.
#[derive(Debug)]
pub struct Watch(Arc<WatchQueue>);

/// Between the Node, who pushes, and a [`Watch`], which pops.
#[derive(Debug, Default)]
pub(super) struct WatchQueue {
    state: Mutex<WatchState>,
    pushed: Condvar,
}

#[derive(Debug, Default)]
struct WatchState {
    events: VecDeque<Event>,
    /// Dropped because nobody read them.
    missed: u64,
    ended: bool,
}

impl WatchQueue {
    /// False when nobody watches any more.
    pub(super) fn push(self: &Arc<Self>, event: Event) -> bool {
        let mut state = lock(&self.state);
        if state.events.len() == WATCH_MAX {
            state.events.pop_front();
            state.missed += 1;
        }
        state.events.push_back(event);
        self.pushed.notify_one();
        Arc::strong_count(self) > 1
    }

    pub(super) fn end(&self) {
        lock(&self.state).ended = true;
        self.pushed.notify_all();
    }
}

impl Watch {
    /// The next event, if one comes in time.
    pub fn next_timeout(&mut self, timeout: Duration) -> Option<Event> {
        let empty = |state: &mut WatchState| state.events.is_empty() && !state.ended;
        let (mut state, _) = self
            .0
            .pushed
            .wait_timeout_while(lock(&self.0.state), timeout, empty)
            .unwrap_or_else(PoisonError::into_inner);
        state.pop()
    }
}

impl WatchState {
    fn pop(&mut self) -> Option<Event> {
        let event = self.events.front()?;
        match std::mem::take(&mut self.missed) {
            0 => self.events.pop_front(),
            missed => Some(Event {
                kind: super::EventKind::Lagged { missed },
                ..event.clone()
            }),
        }
    }
}

/// Blocks until the next event; none when the Node is gone.
impl Iterator for Watch {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        let empty = |state: &mut WatchState| state.events.is_empty() && !state.ended;
        let guard = self.0.pushed.wait_while(lock(&self.0.state), empty);
        guard.unwrap_or_else(PoisonError::into_inner).pop()
    }
}
