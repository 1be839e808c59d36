//! What the machine was told, asked and showed. Told the same, another machine asks and shows the same, at every step.

use podlife::lifecycle::history::{Entry, History, Told};
use podlife::lifecycle::{Input, Observed, Output, PodMachine, Record};
use podlife::model::PodStatus;
use podlife::time::Now;

use super::check::{Broken, Checker};
use super::world::World;

/// One life, written down.
#[derive(Debug)]
pub(crate) struct Diary {
    history: History,
    /// What was shown, and from which entry on.
    shown: Vec<(usize, PodStatus)>,
    /// What was taken from each machine: a crash leaves the rest behind.
    taken: Vec<Vec<Output>>,
}

impl Diary {
    pub(crate) fn begin(history: History) -> Diary {
        Diary {
            history,
            shown: Vec::new(),
            taken: vec![Vec::new()],
        }
    }

    pub(crate) fn told(&mut self, at: Now, input: Input) {
        self.history.push(at, input);
    }

    pub(crate) fn restored(&mut self, at: Now, record: &Record, observed: Observed) {
        self.history.push_restore(at, record, observed);
        self.taken.push(Vec::new());
    }

    pub(crate) fn showed(&mut self, status: &PodStatus) {
        if self.shown.last().is_none_or(|(_, last)| last != status) {
            let entry = self.history.entries().len() - 1;
            self.shown.push((entry, status.clone()));
        }
    }

    pub(crate) fn took(&mut self, output: Output) {
        if let Some(taken) = self.taken.last_mut() {
            take(taken, output);
        }
    }

    /// How many entries it has.
    pub(crate) fn len(&self) -> usize {
        self.history.entries().len()
    }

    /// Lives it again. Says what differs.
    fn replay(&self, end: &PodMachine) -> Result<(), String> {
        let entries = self.history.entries();
        let mut taken = vec![Vec::new()];
        let (mut entry, mut shown, mut wrong) = (0, 0, None);
        let again = self.history.replay(|_, output, machine| {
            let Output::Wait(_) = output else {
                return taken.last_mut().map_or((), |taken| take(taken, output));
            };
            shown += usize::from(
                self.shown
                    .get(shown + 1)
                    .is_some_and(|next| next.0 == entry),
            );
            if wrong.is_none() && self.shown[shown].1 != *machine.status() {
                wrong = Some((entry, machine.status().clone()));
            }
            entry += 1;
            if matches!(
                entries.get(entry),
                Some(Entry {
                    told: Told::Restored { .. },
                    ..
                })
            ) {
                taken.push(Vec::new());
            }
        });
        let again = again.map_err(|error| error.to_string())?;
        if let Some((entry, status)) = wrong {
            return Err(format!("after {:?}: {status:?}", entries[entry]));
        }
        if again.record() != end.record() {
            let (again, end) = (again.record(), end.record());
            return Err(format!("{again:?}\n instead of\n{end:?}"));
        }
        let mut machines = self.taken.iter().zip(&taken);
        match machines.find(|(first, again)| !again.starts_with(first)) {
            Some((first, again)) => Err(format!("{again:?}\n instead of\n{first:?}")),
            None => Ok(()),
        }
    }
}

/// A write is asked for before what was asked already and not taken yet, so its place says nothing.
fn take(taken: &mut Vec<Output>, output: Output) {
    if output != Output::Persist {
        taken.push(output);
    }
}

impl World {
    /// Told the same, another machine comes to the same.
    pub(crate) fn check_again(&mut self) -> Result<(), Broken> {
        let (Some(diary), Some(machine)) = (&self.diary, &self.machine) else {
            return Ok(());
        };
        self.replayed = diary.len();
        diary
            .replay(machine)
            .map_err(|text| self.broken(Checker::Replay, text))
    }
}
