//! The thread that has the Node, and how others use it: they send it what to do.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, Sender, channel};

use podlife::{Kind, Node};

type Job = Box<dyn FnOnce(&mut Node) + Send>;

/// For any thread.
pub(crate) struct Driver {
    jobs: Sender<Job>,
    wake: UnixStream,
}

/// For the thread that has the Node.
pub(crate) struct Jobs {
    jobs: Receiver<Job>,
    woken: UnixStream,
}

pub(crate) fn driver() -> io::Result<(Driver, Jobs)> {
    let (sender, receiver) = channel();
    let (wake, woken) = UnixStream::pair()?;
    wake.set_nonblocking(true)?;
    woken.set_nonblocking(true)?;
    let driver = Driver { jobs: sender, wake };
    let jobs = Jobs {
        jobs: receiver,
        woken,
    };
    Ok((driver, jobs))
}

impl Driver {
    pub(crate) fn try_clone(&self) -> io::Result<Driver> {
        Ok(Driver {
            jobs: self.jobs.clone(),
            wake: self.wake.try_clone()?,
        })
    }

    /// Has the Node's thread do it, and waits for what comes of it.
    pub(crate) fn ask<T: Send + 'static>(
        &self,
        what: impl FnOnce(&mut Node) -> podlife::Result<T> + Send + 'static,
    ) -> podlife::Result<T> {
        let (answer, answered) = channel();
        let job: Job = Box::new(move |node| drop(answer.send(what(node))));
        let closed = || podlife::Error::new(Kind::NodeClosed, "reach the Node", "it has ended");
        self.jobs.send(job).map_err(|_| closed())?;
        // A full pipe wakes as well.
        let _ = (&self.wake).write(&[0]);
        answered.recv().map_err(|_| closed())?
    }
}

impl Jobs {
    /// Drives the Node until `done`.
    pub(crate) fn run(&mut self, node: &mut Node, done: impl Fn() -> bool) -> podlife::Result<()> {
        while !done() {
            node.turn_or(&self.woken, None)?;
            while node.next_event().is_some() {}
            while let Ok(1..) = self.woken.read(&mut [0; 64]) {}
            while let Ok(job) = self.jobs.try_recv() {
                job(node);
            }
        }
        Ok(())
    }
}
