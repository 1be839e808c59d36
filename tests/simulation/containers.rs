//! Containers and the pause that holds them: how they start, behave, and end.

use podlife::lifecycle::{
    ContainerIndex, Exit, Finding, Hook, Input, Outcome, ProbeKind, Signal, Ticket,
};

use super::check::Broken;
use super::life::MS;
use super::world::{Event, Proc, World, failed};

impl World {
    pub(crate) fn start_takes_effect(
        &mut self,
        ticket: Ticket,
        index: usize,
        attempt: u32,
        sandbox: Option<u32>,
    ) -> Result<(), Broken> {
        let Some(sandbox) = sandbox.filter(|_| sandbox == self.living_sandbox()) else {
            // Its pause is gone, and the request with it: nobody answers.
            return Ok(());
        };
        self.begin(index, attempt, sandbox)?;
        self.answer(ticket, Outcome::Started { at: self.now() })
    }

    pub(crate) fn living_sandbox(&self) -> Option<u32> {
        self.sandboxes
            .iter()
            .find(|(_, alive)| **alive)
            .map(|(attempt, _)| *attempt)
    }

    pub(crate) fn begin(&mut self, index: usize, attempt: u32, sandbox: u32) -> Result<(), Broken> {
        self.check_begin(index, attempt)?;
        let behaviour = self.life.behaviours[index].clone();
        let startup_at = behaviour.startup_after.map(|span| self.at() + span);
        let proc = Proc {
            sandbox,
            image: self.asked[&(index, attempt)],
            started: self.now(),
            started_at: self.clock,
            ended_at: None,
            exit: None,
            acknowledged: false,
            lost: false,
            removed: false,
            stop_sent: None,
            stop_turn: 0,
            end_turn: None,
            anew: self.clock,
            kill_sent: None,
            memory: self.given.get(&(index, attempt)).copied().unwrap_or(0),
            startup_at,
        };
        self.procs.insert((index, attempt), proc);
        self.note(|_| format!("** {index}.{attempt} runs"));
        if let Some(runs) = behaviour.runs {
            let span = runs / 2 + self.dice.below(runs + 1);
            let code = behaviour.codes[self.dice.below(behaviour.codes.len() as u64) as usize];
            self.after(span, Event::Exit(index, attempt, code, None));
        }
        Ok(())
    }

    pub(crate) fn exit(&mut self, index: usize, attempt: u32, code: i32, signal: Option<i32>) {
        let now = self.now();
        let Some(proc) = self.procs.get_mut(&(index, attempt)) else {
            return;
        };
        if !proc.is_alive() {
            return;
        }
        let (reason, signal) = match (code, signal) {
            (0, _) => ("Completed", signal),
            // Nobody sent it: memory ran out.
            (137, None) => ("OOMKilled", Some(9)),
            _ => ("Error", signal),
        };
        let (started, finished) = (Some(proc.started), now);
        proc.exit = Some(Exit {
            code,
            signal,
            reason: reason.into(),
            message: None,
            started,
            finished,
        });
        proc.ended_at = Some(self.clock);
        let sandbox = proc.sandbox;
        self.note(|_| format!("** {index}.{attempt} exits with {code}"));
        self.note_exit(index, code);
        if self.sandboxes.get(&sandbox) == Some(&true) {
            let span = self.dice.below(8) * MS / 4;
            self.after(span, Event::TellExit(index, attempt));
        }
    }

    pub(crate) fn tell_exit(&mut self, index: usize, attempt: u32) -> Result<(), Broken> {
        let Some(proc) = self.procs.get(&(index, attempt)) else {
            return Ok(());
        };
        let (Some(exit), Some(true)) = (proc.exit.clone(), self.sandboxes.get(&proc.sandbox))
        else {
            return Ok(());
        };
        let container = ContainerIndex(index as u16);
        let exit = Box::new(exit);
        let twice = self.dice.permille(20);
        self.handle(Input::Exited {
            container,
            attempt,
            exit: exit.clone(),
        })?;
        if twice {
            self.pump()?;
            self.handle(Input::Exited {
                container,
                attempt,
                exit,
            })?;
        }
        Ok(())
    }

    pub(crate) fn signal(
        &mut self,
        index: usize,
        attempt: u32,
        signal: Signal,
    ) -> Result<(), Broken> {
        self.check_signal(index, attempt, signal)?;
        let (at, turn) = (self.at(), self.turn);
        let behaviour = self.life.behaviours[index].clone();
        let Some(proc) = self.procs.get_mut(&(index, attempt)) else {
            return Ok(());
        };
        match signal {
            Signal::Stop => {
                proc.stop_sent.get_or_insert(at);
                proc.stop_turn = turn;
                if let Some(span) = behaviour.obeys {
                    self.after(span, Event::Exit(index, attempt, behaviour.stop_code, None));
                }
            }
            Signal::Kill => {
                proc.kill_sent.get_or_insert(at);
                let span = self.dice.below(30) * MS;
                self.after(span, Event::Exit(index, attempt, 137, Some(9)));
            }
        }
        Ok(())
    }

    pub(crate) fn hook(
        &mut self,
        ticket: Ticket,
        index: usize,
        attempt: u32,
        hook: Hook,
    ) -> Result<(), Broken> {
        self.check_hook(index, attempt, hook)?;
        let behaviour = self.life.behaviours[index].clone();
        if self.dice.permille(behaviour.silent) && hook == Hook::PreStop {
            return Ok(());
        }
        let span = self.dice.below(behaviour.hook_takes) * MS;
        let outcome = if self.dice.permille(behaviour.hook_fails) {
            failed("HookError")
        } else {
            Outcome::Done
        };
        self.after(span, Event::Answer(ticket, outcome));
        Ok(())
    }

    pub(crate) fn probe(
        &mut self,
        ticket: Ticket,
        index: usize,
        attempt: u32,
        kind: ProbeKind,
    ) -> Result<(), Broken> {
        self.check_probe(ticket.as_u64(), index, attempt, kind)?;
        let at = self.at();
        let behaviour = &self.life.behaviours[index];
        let alive = self
            .procs
            .get(&(index, attempt))
            .filter(|proc| proc.is_alive());
        let fails = match kind {
            ProbeKind::Liveness => self.dice.permille(behaviour.liveness_fails),
            ProbeKind::Readiness => self.dice.permille(behaviour.readiness_fails),
            ProbeKind::Startup => alive
                .and_then(|proc| proc.startup_at)
                .is_none_or(|since| since > at),
        };
        if self.dice.permille(behaviour.silent) {
            return Ok(());
        }
        let outcome = match (fails || alive.is_none(), self.dice.below(40)) {
            (_, 0) => failed("ProbeError"),
            (true, _) => Outcome::Probe(Finding::Failure),
            (false, 1) => Outcome::Probe(Finding::Warning),
            (false, _) => Outcome::Probe(Finding::Success),
        };
        let span = if self.dice.permille(20) {
            self.dice.below(4_000) * MS
        } else {
            self.dice.below(50) * MS
        };
        self.after(span, Event::Answer(ticket, outcome));
        Ok(())
    }

    pub(crate) fn pause_dies(&mut self) -> Result<(), Broken> {
        let Some(attempt) = self.living_sandbox() else {
            return Ok(());
        };
        self.note(|_| format!("** pause {attempt} dies"));
        self.sandbox_dies(attempt);
        self.checks.lost();
        self.handle(Input::SandboxLost { attempt })
    }

    pub(crate) fn sandbox_dies(&mut self, attempt: u32) {
        self.sandboxes.insert(attempt, false);
        let now = self.now();
        let dead: Vec<_> = self
            .procs
            .iter_mut()
            .filter(|(_, proc)| proc.sandbox == attempt && !proc.acknowledged)
            .collect();
        for (_, proc) in dead {
            proc.lost = true;
            if !proc.is_alive() {
                continue;
            }
            let (started, finished) = (Some(proc.started), now);
            let reason = "Lost".into();
            proc.exit = Some(Exit {
                code: 137,
                signal: Some(9),
                reason,
                message: None,
                started,
                finished,
            });
            proc.ended_at = Some(self.clock);
        }
    }
}
