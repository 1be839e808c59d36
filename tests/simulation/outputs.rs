//! What the machine asks for, and what the world makes of it.

use podlife::lifecycle::{
    Action, Change, ImageStep, Input, Outcome, Output, Persisted, Record, Ticket,
};

use super::check::{Broken, Checker};
use super::life::MS;
use super::world::{Event, OUTPUTS, World, failed};

impl World {
    pub(crate) fn pump(&mut self) -> Result<(), Broken> {
        loop {
            let Some(machine) = &mut self.machine else {
                return Ok(());
            };
            let output = machine.poll_output();
            if let Output::Wait(until) = output {
                self.wait = until;
                return Ok(());
            }
            self.outputs += 1;
            if self.outputs > OUTPUTS {
                return Err(self.broken(Checker::Stuck, "too many outputs".into()));
            }
            if self.crashes_here() {
                self.note(|_| format!("crash before {output:?}"));
                self.crash()?;
                continue;
            }
            self.note(|_| format!("   {output:?}"));
            if let Some(diary) = &mut self.diary {
                diary.took(output);
            }
            self.perform(output)?;
            if self.deleted {
                return Ok(());
            }
        }
    }

    pub(crate) fn crashes_here(&mut self) -> bool {
        match self.crash_at {
            Some(at) => at == self.outputs,
            None => self.crashes_left > 0 && self.dice.permille(self.life.crashes),
        }
    }

    pub(crate) fn perform(&mut self, output: Output) -> Result<(), Broken> {
        match output {
            Output::Persist => self.persist(),
            Output::Perform(ticket, action) => self.act(ticket, action),
            Output::Cancel(ticket) => {
                self.cancel(ticket);
                Ok(())
            }
            Output::Notify(change) => {
                self.deleted = change == Change::Deleted;
                self.check_change(change)
            }
            Output::Wait(_) => Ok(()),
        }
    }

    pub(crate) fn persist(&mut self) -> Result<(), Broken> {
        let Some(machine) = &self.machine else {
            return Ok(());
        };
        let record = machine.record().clone();
        let ok = !self.dice.permille(self.life.store_fails);
        if self.life.slow_store {
            let span = 1 + self.dice.below(5) * MS;
            let turn = self.turn;
            self.after(span, Event::Written(Box::new(record), turn, ok));
            return Ok(());
        }
        self.written(record, self.turn, ok)
    }

    pub(crate) fn written(&mut self, record: Record, turn: u64, ok: bool) -> Result<(), Broken> {
        if ok {
            self.write(record, turn);
        }
        self.handle(Input::Persisted(if ok {
            Persisted::Written
        } else {
            Persisted::Failed
        }))
    }

    /// It is on the disk.
    pub(crate) fn write(&mut self, record: Record, turn: u64) {
        self.disk = Some(record);
        self.disk_boot = self.boot;
        self.disk_turn = turn;
        self.disk_clock = self.clock;
    }

    /// What was under way is dropped; its answer may be under way already.
    pub(crate) fn cancel(&mut self, ticket: Ticket) {
        self.stale.push(ticket);
        self.checks.probe_answered(ticket.as_u64(), Some(false));
        if self.dice.permille(700) {
            self.queue
                .retain(|_, event| !matches!(event, Event::Answer(of, _) if *of == ticket));
        }
    }

    pub(crate) fn act(&mut self, ticket: Ticket, action: Action) -> Result<(), Broken> {
        let soon = self.dice.below(20) * MS / 4;
        match action {
            Action::CreateSandbox { attempt } => {
                self.check_create_sandbox(attempt)?;
                let event = match self.dice.permille(20) {
                    true => Event::Answer(ticket, failed("FailedCreatePodSandBox")),
                    false => Event::SandboxUp(ticket, attempt),
                };
                self.after(soon, event);
            }
            Action::StopSandbox { attempt } => {
                self.check_stop_sandbox(attempt)?;
                // What it knew of ends that nobody wrote down is gone with it.
                self.sandbox_dies(attempt);
                self.after(soon, Event::Answer(ticket, Outcome::Done));
            }
            Action::Image { container, step } => {
                let outcome = self.image(container.as_usize(), step);
                self.after(soon, Event::Answer(ticket, outcome));
            }
            Action::Start {
                container,
                attempt,
                restart_count,
            } => {
                self.check_start(container.as_usize(), attempt, restart_count)?;
                self.start(ticket, container.as_usize(), attempt, soon);
            }
            Action::Hook {
                container,
                attempt,
                hook,
            } => self.hook(ticket, container.as_usize(), attempt, hook)?,
            Action::Probe {
                container,
                attempt,
                probe,
            } => self.probe(ticket, container.as_usize(), attempt, probe)?,
            Action::Signal {
                container,
                attempt,
                signal,
            } => {
                self.signal(container.as_usize(), attempt, signal)?;
                self.after(soon, Event::Answer(ticket, Outcome::Done));
            }
            Action::Acknowledge { container, attempt } => {
                self.check_acknowledge(container, attempt)?;
                if let Some(proc) = self.procs.get_mut(&(container.as_usize(), attempt)) {
                    proc.acknowledged = true;
                }
                self.after(soon, Event::Answer(ticket, Outcome::Done));
            }
            Action::Remove { container, attempt } => {
                self.check_remove(container.as_usize(), attempt)?;
                if let Some(proc) = self.procs.get_mut(&(container.as_usize(), attempt)) {
                    proc.removed = true;
                }
                let outcome = self.done_or_busy();
                self.after(soon, Event::Answer(ticket, outcome));
            }
            Action::Resize { step } => self.resize(ticket, step, soon)?,
            Action::Teardown => self.teardown(ticket, soon)?,
        }
        Ok(())
    }

    fn start(&mut self, ticket: Ticket, index: usize, attempt: u32, soon: u64) {
        self.starts.insert(ticket, index);
        let image = self.life.specs[index].image;
        self.asked.insert((index, attempt), image);
        let given = self.granted(index);
        self.given.insert((index, attempt), given);
        let slow = if self.dice.permille(100) {
            self.dice.below(2_000) * MS
        } else {
            soon
        };
        if self.dice.permille(self.life.behaviours[index].start_fails) {
            let reason = self
                .dice
                .pick(&["CreateContainerError", "RunContainerError"]);
            self.after(slow, Event::Answer(ticket, failed(reason)));
        } else {
            let sandbox = self.living_sandbox();
            self.after(slow, Event::Started(ticket, index, attempt, sandbox));
        }
    }

    fn teardown(&mut self, ticket: Ticket, soon: u64) -> Result<(), Broken> {
        self.check_teardown()?;
        let outcome = self.done_or_busy();
        self.after(soon, Event::Answer(ticket, outcome));
        Ok(())
    }

    fn done_or_busy(&mut self) -> Outcome {
        match self.dice.permille(50) {
            true => failed("busy"),
            false => Outcome::Done,
        }
    }

    pub(crate) fn image(&mut self, index: usize, step: ImageStep) -> Outcome {
        let behaviour = &mut self.life.behaviours[index];
        match step {
            ImageStep::Inspect if behaviour.image_absent => Outcome::Absent,
            ImageStep::Inspect => Outcome::Done,
            ImageStep::Pull if self.dice.permille(behaviour.pull_fails) => failed("ErrImagePull"),
            ImageStep::Pull => {
                behaviour.image_absent = false;
                Outcome::Done
            }
        }
    }
}
