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
use super::watch::{Watch, WatchQueue};
use super::{
    Copy, Cursor, Delete, Exec, LogOptions, Logs, Metrics, Node, PodId, PodStats, Session,
    Snapshot, Streams,
};
use crate::lifecycle::rules::shutdown::ShutdownPeriod;
use crate::linux::reactor::Waker;
use crate::model::objects::Object;
use crate::model::{EphemeralContainer, Pod, PodOptions, Valid};
use crate::{Error, Kind, Result};

/// So many calls may wait for the Node at once.
const CALLS_MAX: usize = 4096;
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

    /// As [`Node::create_with`](crate::Node::create_with).
    pub fn create_with(&self, pod: Valid<Pod>, options: PodOptions) -> Pending<PodId> {
        self.with(|node| node.create_with(pod, options))
    }

    /// As [`Node::update`](crate::Node::update).
    pub fn update(&self, id: PodId, pod: Valid<Pod>) -> Pending<()> {
        self.with(move |node| node.update(id, pod))
    }

    /// As [`Node::debug`](crate::Node::debug).
    pub fn debug(&self, id: PodId, container: EphemeralContainer) -> Pending<()> {
        self.with(move |node| node.debug(id, container))
    }

    /// As [`Node::restart`](crate::Node::restart).
    pub fn restart(&self, id: PodId, container: Option<&str>) -> Pending<()> {
        let container = container.map(str::to_owned);
        self.with(move |node| node.restart(id, container.as_deref()))
    }

    /// As [`Node::delete`](crate::Node::delete).
    pub fn delete(&self, id: PodId, how: Delete) -> Pending<()> {
        self.with(move |node| node.delete(id, how))
    }

    /// As [`Node::put`](crate::Node::put).
    pub fn put(&self, object: impl Into<Object>) -> Pending<()> {
        let object = object.into();
        self.with(|node| node.put(object))
    }

    /// As [`Node::remove`](crate::Node::remove).
    pub fn remove(&self, object: Object) -> Pending<bool> {
        self.with(move |node| node.remove(&object))
    }

    /// As [`Node::exec`](crate::Node::exec); the session is this thread's to use.
    pub fn exec(&self, id: PodId, container: &str, command: Exec) -> Pending<Session> {
        let container = container.to_owned();
        self.with(move |node| node.exec(id, &container, command))
    }

    /// As [`Node::attach`](crate::Node::attach).
    pub fn attach(&self, id: PodId, container: &str, streams: Streams) -> Pending<Session> {
        let container = container.to_owned();
        self.with(move |node| node.attach(id, &container, streams))
    }

    /// As [`Node::forward`](crate::Node::forward).
    pub fn forward(&self, id: PodId, port: u16) -> Pending<OwnedFd> {
        self.call(move |node, answer| node.begin_forward(id, port, answer))
    }

    /// As [`Node::copy_in`](crate::Node::copy_in); the copying is this thread's to do.
    pub fn copy_in(
        &self,
        id: PodId,
        container: &str,
        from: impl Into<PathBuf>,
        to: impl Into<PathBuf>,
    ) -> Pending<Copy> {
        let (container, from, to) = (container.to_owned(), from.into(), to.into());
        self.with(move |node| node.copy_in(id, &container, from, to))
    }

    /// As [`Node::copy_out`](crate::Node::copy_out); the copying is this thread's to do.
    pub fn copy_out(
        &self,
        id: PodId,
        container: &str,
        from: impl Into<PathBuf>,
        to: impl Into<PathBuf>,
    ) -> Pending<Copy> {
        let (container, from, to) = (container.to_owned(), from.into(), to.into());
        self.with(move |node| node.copy_out(id, &container, from, to))
    }

    /// As [`Node::logs`](crate::Node::logs); the reading is this thread's to do.
    pub fn logs(&self, id: PodId, container: &str, options: LogOptions) -> Pending<Logs> {
        let container = container.to_owned();
        self.with(move |node| node.logs(id, &container, options))
    }

    /// As [`Node::stats`](crate::Node::stats).
    pub fn stats(&self, id: PodId) -> Pending<PodStats> {
        self.with(move |node| node.stats(id))
    }

    /// As [`Node::metrics`](crate::Node::metrics).
    pub fn metrics(&self) -> Pending<Metrics> {
        self.with(|node| Ok(node.metrics()))
    }

    /// What the pod is now.
    pub fn snapshot(&self, id: PodId) -> Pending<Snapshot> {
        self.with(move |node| node.snapshot(id))
    }

    /// Events behind a cursor, the ones to come included.
    pub fn watch(&self, after: Cursor) -> Watch {
        let queue = Arc::new(WatchQueue::default());
        let own = queue.clone();
        drop(self.with(move |node| {
            node.host.add_watch(after, own);
            Ok(())
        }));
        Watch(queue)
    }

    /// As [`Node::drain`](crate::Node::drain), without keeping the driving thread from anything else: the answer comes when nothing is
    /// left.
    ///
    /// ```
    /// use podlife::Node;
    /// use podlife::model::{Container, Pod};
    /// use std::time::Duration;
    ///
    /// let mut node = Node::ephemeral()?;
    /// node.create(Pod::new("idle").container(Container::new("idle", "podlife.local/host").command(["sleep", "60"])))?;
    /// let handle = node.handle();
    /// let other = std::thread::spawn(move || {
    ///     let done = handle.drain(Duration::from_secs(5)).wait(Duration::from_secs(30));
    ///     handle.close();
    ///     done
    /// });
    /// let closed = node.run_until(Duration::from_secs(60), |_, _| false);
    /// assert_eq!(closed.unwrap_err().kind(), podlife::Kind::NodeClosed);
    /// other.join().unwrap()?;
    /// assert_eq!(node.pods().count(), 0);
    /// # Ok::<(), podlife::Error>(())
    /// ```
    pub fn drain(&self, total: Duration) -> Pending<()> {
        self.call(move |node, answer| node.begin_drain(total, answer))
    }

    /// As [`Node::drain_by`](crate::Node::drain_by), in the same way.
    pub fn drain_by(&self, periods: &[ShutdownPeriod]) -> Pending<()> {
        let periods = periods.to_vec();
        self.call(move |node, answer| node.begin_drain_by(&periods, answer))
    }

    /// Asks the driving thread to stop: [`Node::run_until`](crate::Node::run_until) and
    /// [`Node::wait`](crate::Node::wait) end with [`Kind::NodeClosed`]. Pods are left as they are.
    pub fn close(&self) -> Pending<()> {
        self.with(|node| {
            node.closing = true;
            Ok(())
        })
    }

    /// Whatever else a Node can, on the thread that drives it and in its next turn. It keeps that thread from everything else, so
    /// it should not wait for anything.
    ///
    /// ```
    /// use podlife::Node;
    /// use std::time::Duration;
    ///
    /// let mut node = Node::ephemeral()?;
    /// let mut names = node.handle().with(|node| {
    ///     Ok(node.pods().map(|pod| pod.name().to_owned()).collect::<Vec<_>>())
    /// });
    /// node.turn(Some(Duration::ZERO))?;
    /// assert_eq!(names.try_take().unwrap()?, [] as [&str; 0]);
    /// # Ok::<(), podlife::Error>(())
    /// ```
    pub fn with<T: Send + 'static>(
        &self,
        what: impl FnOnce(&mut Node) -> Result<T> + Send + 'static,
    ) -> Pending<T> {
        self.call(|node, answer| answer.give(what(node)))
    }

    fn call<T: Send + 'static>(
        &self,
        call: impl FnOnce(&mut Node, Answer<T>) + Send + 'static,
    ) -> Pending<T> {
        let (answer, pending) = pending();
        self.0.put(Box::new(move |node| call(node, answer)));
        pending
    }
}

/// What another thread has asked for. Dropped uncalled, it says that the Node is gone.
pub(super) type Call = Box<dyn FnOnce(&mut Node) + Send>;

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
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
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
