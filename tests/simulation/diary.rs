//! What a machine was told, asked and showed. Told the same, another machine asks and shows the same, at every step; and so
//! does one that begins in the middle, where what came before was folded away.

use podlife::lifecycle::history::History;
use podlife::lifecycle::{Fault, Input, Output, PodMachine};
use podlife::model::PodStatus;
use podlife::time::Now;

use super::check::{Broken, Checker};
use super::world::World;

/// One machine's life, written down.
#[derive(Debug)]
pub(crate) struct Diary {
    history: History,
    /// The same, where no more than so many entries are kept.
    folded: History,
    keep: usize,
    entries: usize,
    /// What was shown, and from which entry on.
    shown: Vec<(usize, PodStatus)>,
    /// What was taken: a crash leaves the rest behind.
    taken: Vec<Output>,
}

impl Diary {
    pub(crate) fn begin(machine: &PodMachine, keep: usize) -> Diary {
        Diary {
            history: History::of(machine),
            folded: History::bounded(machine, keep),
            keep,
            entries: 0,
            shown: vec![(0, machine.status().clone())],
            taken: Vec::new(),
        }
    }

    pub(crate) fn told(&mut self, at: Now, input: Input) {
        self.entries += 1;
        self.history.push(at, input.clone());
        self.folded.push(at, input);
    }

    pub(crate) fn showed(&mut self, status: &PodStatus) {
        if self.shown.last().is_none_or(|(_, last)| last != status) {
            self.shown.push((self.entries, status.clone()));
        }
    }

    pub(crate) fn took(&mut self, output: Output) {
        take(&mut self.taken, output);
    }

    /// Lives it again. Says what differs.
    fn replay(&self, end: &PodMachine) -> Result<(), String> {
        let (mut taken, mut entry, mut shown, mut wrong) = (Vec::new(), 0, 0, None);
        let again = self.history.replay(|_, output, machine| {
            let Output::Wait(_) = output else {
                return take(&mut taken, output);
            };
            let next = self.shown.get(shown + 1);
            shown += usize::from(next.is_some_and(|next| next.0 == entry));
            if wrong.is_none() && self.shown[shown].1 != *machine.status() {
                wrong = Some((entry, machine.status().clone()));
            }
            entry += 1;
        });
        if let Some((entry, status)) = wrong {
            let told = entry
                .checked_sub(1)
                .and_then(|at| self.history.entries().nth(at));
            return Err(format!("after {told:?}: {status:?}"));
        }
        same(again.record(), end.record())?;
        if !taken.starts_with(&self.taken) {
            return Err(format!("{taken:?}\n instead of\n{:?}", self.taken));
        }
        self.replay_folded(&again, &taken)
    }

    /// Lives the rest of it again, after it was written and read.
    fn replay_folded(&self, whole: &PodMachine, taken: &[Output]) -> Result<(), String> {
        let text = serde_json::to_string(&self.folded).map_err(|error| error.to_string())?;
        let read: History = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        if read.entries().count() > self.keep {
            return Err(format!("more than {} entries were kept", self.keep));
        }
        let mut later = Vec::new();
        let again = read.replay(|_, output, _| {
            if !matches!(output, Output::Wait(_)) {
                take(&mut later, output);
            }
        });
        if !taken.ends_with(&later) {
            return Err(format!(
                "folded: {later:?}\n instead of the end of\n{taken:?}"
            ));
        }
        let [again, whole] = [&again, whole].map(serde_json::to_value);
        same(
            &again.map_err(|error| error.to_string())?,
            &whole.map_err(|error| error.to_string())?,
        )
    }
}

fn same<T: PartialEq + std::fmt::Debug>(again: &T, first: &T) -> Result<(), String> {
    match again == first {
        true => Ok(()),
        false => Err(format!("{again:?}\n instead of\n{first:?}")),
    }
}

/// A write is asked for before what was asked already and not taken yet, so its place says nothing.
fn take(taken: &mut Vec<Output>, output: Output) {
    if output != Output::Persist {
        taken.push(output);
    }
}

impl World {
    /// Another machine's life is written down from here on.
    pub(crate) fn begin_diary(&mut self) {
        if let (Fault::None, Some(machine)) = (self.fault, &self.machine) {
            self.diary = Some(Diary::begin(
                machine,
                (1 + self.life.delete_at % 40) as usize,
            ));
        }
    }

    /// Told the same, another machine comes to the same.
    pub(crate) fn check_again(&mut self) -> Result<(), Broken> {
        let (Some(diary), Some(machine)) = (&self.diary, &self.machine) else {
            return Ok(());
        };
        self.replayed += diary.entries;
        diary
            .replay(machine)
            .map_err(|text| self.broken(Checker::Replay, text))
    }
}
