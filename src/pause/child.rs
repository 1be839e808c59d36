//! What a child of pause does before it is a container: finds its place, gives up all that is pause's, walks its plan.

use crate::kernel::{self, CLONE_NEWPID, Errno, Result};
use crate::walk::{self, Walk};
use crate::wire::{DESCRIPTORS_MAX, Failure};

/// Everything a child needs from its start.
pub struct Child<I> {
    /// Where it says how far it came.
    pub report: i32,
    pub plan: i32,
    /// The process whose namespaces it joins, and which.
    pub target: Option<(i32, u32)>,
    /// An open `cgroup.procs`.
    pub procs: Option<i32>,
    /// Standard input, output and error, where they are not `/dev/null`.
    pub streams: [Option<i32>; 3],
    /// The plan's handles.
    pub handles: I,
}

const REPORT: i32 = 3;
const HANDLES: i32 = 4;

impl<I: Iterator<Item = i32> + Clone> Child<I> {
    /// Walks the plan and executes the program, or says why not.
    pub fn run(self) -> ! {
        let mut report = self.report;
        let failure = match self.walk(&mut report) {
            // A plan without a program: set-up for the whole pod. Done is done.
            Ok(()) => {
                let _ = kernel::write(report, &[0; 8]);
                kernel::exit(0)
            }
            Err(failure) => failure,
        };
        let _ = kernel::write(report, &failure.to_bytes());
        kernel::exit(127)
    }

    fn walk(self, report: &mut i32) -> core::result::Result<(), Failure> {
        let failed = |step| {
            move |errno: Errno| Failure {
                step,
                errno: errno.0,
            }
        };
        if let Some(procs) = self.procs {
            kernel::write(procs, b"0").map_err(failed(Failure::CGROUP))?;
        }
        let mut plan = walk::plan(self.plan)?;
        plan.score()?;
        if let Some((target, namespaces)) = self.target {
            // Its PID namespace was joined at birth: that one cannot be changed later.
            let others = namespaces & !CLONE_NEWPID;
            if others != 0 {
                kernel::setns(target, others).map_err(failed(Failure::JOIN))?;
            }
        }
        arrange(&self.streams, report, self.handles).map_err(failed(Failure::STREAMS))?;
        kernel::setsid()
            .and_then(|()| kernel::block_no_signal())
            .map_err(failed(Failure::STREAMS))?;
        Walk::new(HANDLES, plan.header.handles)
            .reporting(*report)
            .all(&plan)
    }
}

/// Streams to 0 to 2, the report to 3, the handles after it, and nothing else.
fn arrange(
    streams: &[Option<i32>; 3],
    report: &mut i32,
    handles: impl Iterator<Item = i32> + Clone,
) -> Result<()> {
    for (to, from) in (0..).zip(streams) {
        if let Some(from) = from {
            kernel::dup3(*from, to, 0)?;
        }
    }
    // First all above the last place, so that none is overwritten before its turn.
    let count = 1 + handles.clone().count() as i32;
    let mut moved = [0; DESCRIPTORS_MAX + 1];
    for (place, fd) in moved
        .iter_mut()
        .zip(core::iter::once(*report).chain(handles))
    {
        *place = kernel::duplicate_above(fd, REPORT + count)?;
    }
    for (place, fd) in (REPORT..REPORT + count).zip(moved) {
        kernel::dup3(fd, place, kernel::O_CLOEXEC)?;
    }
    *report = REPORT;
    kernel::close_from(REPORT + count);
    Ok(())
}
