//! A bounded table whose memory is touched only as far as it was ever used.

use core::mem::MaybeUninit;

use crate::kernel::{self, Result};

pub struct Slots<T: 'static> {
    memory: &'static mut [MaybeUninit<Option<T>>],
    /// Those before it are initialised.
    used: usize,
}

impl<T> Slots<T> {
    pub fn new(capacity: usize) -> Result<Slots<T>> {
        let memory = kernel::map(-1, capacity * size_of::<Option<T>>())?;
        // SAFETY: fresh, page-aligned memory of that size, which stays; what is in it need not be valid yet.
        let memory =
            unsafe { core::slice::from_raw_parts_mut(memory.as_mut_ptr().cast(), capacity) };
        Ok(Slots { memory, used: 0 })
    }

    /// Puts it where `vacant` said.
    pub fn put(&mut self, index: usize, value: T) {
        if index < self.used {
            self.slots()[index] = Some(value);
        } else if index == self.used && index < self.memory.len() {
            self.memory[index].write(Some(value));
            self.used += 1;
        }
    }

    /// A place for the next one; `None` if all are taken.
    pub fn vacant(&mut self) -> Option<usize> {
        let among_used = self.slots().iter().position(Option::is_none);
        among_used.or_else(|| (self.used < self.memory.len()).then_some(self.used))
    }

    pub fn at(&mut self, index: usize) -> Option<&mut T> {
        self.slots().get_mut(index)?.as_mut()
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.slots().iter_mut().flatten()
    }

    /// Takes out the one at `index` if `done` says so.
    pub fn take_if(&mut self, index: usize, done: impl FnOnce(&mut T) -> bool) -> Option<T> {
        self.slots().get_mut(index)?.take_if(done)
    }

    /// Forgets all that are `done`.
    pub fn sweep(&mut self, done: impl Fn(&T) -> bool) {
        for slot in self.slots() {
            slot.take_if(|value| done(value));
        }
    }

    pub fn position(&mut self, fits: impl Fn(&T) -> bool) -> Option<usize> {
        self.slots()
            .iter()
            .position(|slot| slot.as_ref().is_some_and(&fits))
    }

    fn slots(&mut self) -> &mut [Option<T>] {
        let used = &mut self.memory[..self.used];
        // SAFETY: `put` has written every one of them.
        unsafe { &mut *(used as *mut [MaybeUninit<Option<T>>] as *mut [Option<T>]) }
    }
}
