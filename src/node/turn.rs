//! One turn of the Node: what is ready, what is due, what was asked; a bounded amount of it.

use std::time::Duration;

use super::PodId;
use super::command::Turn;
use super::host::{Due, Watched};
use super::node::Node;
use super::resident::Pumped;
use crate::Result;
use crate::lifecycle::Input;
use crate::linux::Clock;

/// Outputs of machines that one turn takes.
const OUTPUTS_MAX: usize = 256;
/// Reports of one pause that one turn takes.
const REPORTS_MAX: usize = 32;
/// Deadlines that one turn takes.
const DUE_MAX: usize = 64;
/// Calls of other threads that one turn answers.
const CALLS_MAX: usize = 16;

impl Node {
    /// Does what there is to do, after waiting up to `timeout` (`None`: for ever) for something. The amount is bounded; when
    /// something is left, [`Turn::more`] says so, and the Node's descriptor is readable.
    ///
    /// # Errors
    /// Only when the Node itself is unusable. What happens to pods is told by events.
    pub fn turn(&mut self, timeout: Option<Duration>) -> Result<Turn> {
        let timeout = if self.backlog.is_empty() {
            timeout
        } else {
            Some(Duration::ZERO)
        };
        self.host.reactor.set_deadline(self.host.next_due())?;
        let mut ready = std::mem::take(&mut self.ready);
        let woken = self.host.reactor.wait(timeout, &mut ready);
        let mut turn = Turn::default();
        let mut budget = OUTPUTS_MAX;
        for ready in &ready {
            if let Some(what) = self.host.watched(ready.token) {
                self.take_ready(what, &mut budget);
                turn.progressed += 1;
            }
        }
        self.ready = ready;
        let woken = woken?;
        turn.progressed += self.take_backlog(&mut budget);
        turn.progressed += self.take_due(&mut budget);
        turn.progressed += self.take_calls();
        self.sync_manifests();
        turn.progressed += self.take_dropped();
        self.go_on_draining();
        turn.more = woken.more || !self.backlog.is_empty() || self.inbox.waiting();
        let next = self.host.next_due();
        turn.more |= next.is_some_and(|at| at <= Clock::mono());
        self.host.reactor.set_deadline(next)?;
        if turn.more {
            self.host.reactor.wake();
        }
        Ok(turn)
    }

    fn take_ready(&mut self, what: Watched, budget: &mut usize) {
        let id = match what {
            Watched::Pause(id)
            | Watched::Process(id)
            | Watched::Work(id, _)
            | Watched::Forward(id, _) => id,
            Watched::Manifests => return self.manifests_changed(),
        };
        let Some(resident) = self.pods.get_mut(&id) else {
            return;
        };
        match what {
            Watched::Pause(_) => {
                // What is left there makes the descriptor readable again: it is level-triggered inside.
                if resident.hear(&mut self.host, REPORTS_MAX) {
                    self.host.reactor.wake();
                }
            }
            Watched::Process(_) => resident.sandbox_ended(&mut self.host),
            Watched::Work(_, work) => resident.work_ready(&mut self.host, work),
            Watched::Manifests => {}
            Watched::Forward(_, ticket) => resident.forward_ready(&mut self.host, ticket),
        }
        self.pump(id, budget);
    }

    fn take_backlog(&mut self, budget: &mut usize) -> usize {
        let mut taken = 0;
        for _ in 0..self.backlog.len() {
            if *budget == 0 {
                break;
            }
            let Some(id) = self.backlog.pop_front() else {
                break;
            };
            self.pump(id, budget);
            taken += 1;
        }
        taken
    }

    fn take_due(&mut self, budget: &mut usize) -> usize {
        let now = Clock::mono();
        for taken in 0..DUE_MAX {
            let Some(due) = self.host.take_due(now) else {
                return taken;
            };
            let Some(id) = due.pod() else {
                if due == Due::Manifests {
                    self.manifests_due();
                }
                continue;
            };
            let Some(resident) = self.pods.get_mut(&id) else {
                continue;
            };
            match due {
                Due::Machine(_) if resident.deadline.is_none_or(|at| at > now) => continue,
                Due::Machine(_) => {
                    resident.deadline = None;
                    resident.tell(Input::Tick);
                }
                Due::Work(_, work) => resident.work_due(&mut self.host, work),
                Due::Drained(_) => resident.drained(&self.host),
                Due::Teardown(_) => resident.tear_down_again(&mut self.host),
                Due::Manifests | Due::Drain => {}
                Due::Kin(_) => resident.kill_kin(&mut self.host),
            }
            self.pump(id, budget);
        }
        DUE_MAX
    }

    fn take_calls(&mut self) -> usize {
        for taken in 0..CALLS_MAX {
            let Some(call) = self.inbox.take() else {
                return taken;
            };
            call(self);
        }
        CALLS_MAX
    }

    /// Sessions that nobody has any more.
    fn take_dropped(&mut self) -> usize {
        let dropped = self.inbox.take_dropped();
        dropped.iter().for_each(|id| self.end_session(*id));
        dropped.len()
    }

    /// Does what a pod's machine asks, as a command does it: at once, as far as one turn's budget goes.
    pub(super) fn step(&mut self, id: PodId) {
        self.pump(id, &mut OUTPUTS_MAX.clone());
    }

    /// Does what a pod's machine asks; what is left comes in a later turn.
    fn pump(&mut self, id: PodId, budget: &mut usize) {
        let Some(resident) = self.pods.get_mut(&id) else {
            return;
        };
        match resident.pump(&mut self.host, budget) {
            Pumped::Idle => {}
            Pumped::More => {
                if !self.backlog.contains(&id) {
                    self.backlog.push_back(id);
                }
            }
            Pumped::Gone => {
                if let Some(resident) = self.pods.remove(&id) {
                    resident.leave(&mut self.host);
                    self.manifests_due();
                }
            }
        }
    }
}
