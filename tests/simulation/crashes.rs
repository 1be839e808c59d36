//! The Node dies, the world goes on, and another Node takes the pod up again.

use std::time::Duration;

use podlife::lifecycle::{
    ContainerIndex, Deletion, Observed, PodMachine, Record, SandboxVerdict, Verdict,
};

use super::check::{Broken, Checker};
use super::life::{MS, S};
use super::world::{Event, World};

impl World {
    pub(crate) fn crash(&mut self) -> Result<(), Broken> {
        self.check_again()?;
        self.take_fired();
        self.crashed += 1;
        self.crashes_left = self.crashes_left.saturating_sub(1);
        self.machine = None;
        self.wait = None;
        let known: Vec<_> = self.procs.keys().copied().collect();
        self.drop_what_was_under_way()?;
        let Some(record) = self.disk.clone() else {
            // The pod was never accepted: nothing of it may exist.
            self.check_nothing_exists()?;
            self.ask_again();
            self.checks.restored(self.clock, None, true);
            self.create();
            return Ok(());
        };
        if !record.is_deleted() {
            self.ask_again();
        }
        let saved = self.disk_turn;
        self.checks.forget_unwritten(saved);
        self.turn += 1;
        let down = self.dice.pick(&[0, 0, 10, 2_000, 40_000]);
        self.be_down(down);
        self.pass(self.clock + MS);
        // What started unheard is heard of now.
        let clock = self.clock;
        for (_, proc) in self
            .procs
            .iter_mut()
            .filter(|(key, _)| !known.contains(key))
        {
            proc.started_at = clock;
        }
        let same_boot = !self.dice.permille(60);
        if !same_boot || self.dice.permille(60) {
            if let Some(attempt) = self.living_sandbox() {
                self.sandbox_dies(attempt);
            }
            self.checks.lost();
        }
        if !same_boot {
            self.reboot();
        }
        // What was decided after the last write is decided anew, or not.
        for proc in self.procs.values_mut() {
            proc.stop_sent = proc.stop_sent.filter(|_| proc.stop_turn <= saved);
            proc.end_turn = proc.end_turn.filter(|turn| *turn <= saved);
            if proc.end_turn.is_none() {
                proc.anew = self.clock;
            }
        }
        self.checks
            .restored(self.clock, Some(&record), self.life.store_fails > 0);
        if record.cause().is_some() {
            self.checks.ends_unheard(self.disk_clock, &self.life);
        }
        self.restore(record, self.disk_boot == self.boot)
    }

    /// Nobody was told that a deletion was accepted: the user asks again.
    pub(crate) fn ask_again(&mut self) {
        if self.checks.deletion_asked() {
            let (force, grace) = (
                self.life.force,
                self.life.delete_grace.map(Duration::from_secs),
            );
            let strict_deadline = None;
            self.after(
                50 * MS,
                Event::Delete(Deletion {
                    grace,
                    force,
                    strict_deadline,
                }),
            );
        }
    }

    /// What the Node waited for is answered to nobody; what pause was asked for may happen all the same.
    pub(crate) fn drop_what_was_under_way(&mut self) -> Result<(), Broken> {
        let queue = std::mem::take(&mut self.queue);
        for ((at, sequence), event) in queue {
            let happens = self.dice.permille(500);
            match event {
                Event::Started(_, index, attempt, sandbox) if happens => {
                    if let Some(sandbox) = sandbox.filter(|_| sandbox == self.living_sandbox()) {
                        self.begin(index, attempt, sandbox)?;
                    }
                }
                Event::SandboxUp(_, attempt) if happens => {
                    self.sandboxes.insert(attempt, true);
                }
                Event::Written(record, turn, true) if happens => self.write(*record, turn),
                Event::Answer(ticket, outcome) if self.dice.permille(100) => {
                    self.stale.push(ticket);
                    self.queue
                        .insert((at, sequence), Event::Answer(ticket, outcome));
                }
                Event::Exit(..)
                | Event::Delete(_)
                | Event::Evict
                | Event::Update
                | Event::Resize
                | Event::Restart
                | Event::PauseDies => {
                    self.queue.insert((at, sequence), event);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Containers live on while nobody looks.
    pub(crate) fn be_down(&mut self, millis: u64) {
        let end = self.at() + self.dice.below(millis + 1) * MS;
        while let Some((&(at, sequence), event)) = self.queue.first_key_value() {
            let exits = match event {
                Event::Exit(index, attempt, code, signal) if at <= end => {
                    Some((*index, *attempt, *code, *signal))
                }
                _ => None,
            };
            let Some((index, attempt, code, signal)) = exits else {
                break;
            };
            self.pass(at);
            self.queue.remove(&(at, sequence));
            self.exit(index, attempt, code, signal);
        }
        self.pass(end);
        self.queue
            .retain(|_, event| !matches!(event, Event::TellExit(..)));
    }

    pub(crate) fn reboot(&mut self) {
        self.note(|_| "** reboot".into());
        self.boot = self.clock - 5 * S - self.crashed * MS;
        // Whoever could still answer is gone.
        self.stale.clear();
        let lives = |event: &Event| !matches!(event, Event::Exit(..) | Event::Answer(..));
        self.queue.retain(|_, event| lives(event));
        self.checks.rebooted();
    }

    pub(crate) fn restore(&mut self, record: Record, same_boot: bool) -> Result<(), Broken> {
        let text = serde_json::to_string(&record).expect("a record");
        let read: Record = serde_json::from_str(&text).expect("a record");
        if read != record {
            let text = format!("{read:?}\n instead of\n{record:?}");
            return Err(self.broken(Checker::Replay, text));
        }
        let observed = self.observe(&record, same_boot)?;
        self.note(|_| format!("restore with {observed:?}"));
        let (pod, options) = (self.life.pod(), self.life.options.clone());
        let machine =
            PodMachine::restore_with(self.fault, pod, options, record, observed, self.now());
        match machine {
            Ok(machine) => self.machine = Some(machine),
            Err(error) => return Err(self.broken(Checker::Stuck, error.to_string())),
        }
        self.begin_diary();
        self.check_status()
    }

    pub(crate) fn observe(&mut self, record: &Record, same_boot: bool) -> Result<Observed, Broken> {
        let living = self.living_sandbox();
        let sandbox = match (record.sandbox_in_doubt(), living) {
            (Some(doubt), Some(living)) if doubt == living => SandboxVerdict::Running {
                ip: Some("10.0.0.7".into()),
            },
            (doubt, Some(living)) => {
                let text = format!("sandbox {living} lives, the record knows of {doubt:?}");
                return Err(self.broken(Checker::SandboxForgotten, text));
            }
            _ => SandboxVerdict::Gone,
        };
        let mut attempts = Vec::new();
        for ((index, attempt), proc) in &self.procs {
            if self.sandboxes.get(&proc.sandbox) != Some(&true) || proc.acknowledged {
                continue;
            }
            let verdict = match &proc.exit {
                None => Verdict::Running {
                    started: proc.started,
                },
                Some(exit) => Verdict::Exited(exit.clone()),
            };
            attempts.push((ContainerIndex(*index as u16), *attempt, verdict));
        }
        for (container, attempt) in record.in_doubt() {
            if !attempts
                .iter()
                .any(|(at, number, _)| (*at, *number) == (container, attempt))
            {
                let asked = self.asked.contains_key(&(container.as_usize(), attempt));
                let verdict = if asked && living.is_none() {
                    Verdict::Gone
                } else {
                    Verdict::NeverStarted
                };
                attempts.push((container, attempt, verdict));
            }
        }
        Ok(Observed {
            same_boot,
            sandbox,
            attempts,
        })
    }
}
