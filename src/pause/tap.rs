//! Those who have attached to a stream of output: a copy for each, as far as they read.

use crate::kernel::{self, Errno, Fd};
use crate::line;

/// So many at once for each stream.
const TAPS_MAX: usize = 8;

pub struct Taps([Option<Tap>; TAPS_MAX]);

/// One of them: the writing end of a pipe that does not block.
struct Tap {
    fd: Fd,
    /// Bytes for which there was no room.
    missed: u64,
}

impl Taps {
    pub const NONE: Taps = Taps([const { None }; TAPS_MAX]);

    /// One more; where there is no place, it sees the end of the output at once.
    pub fn add(&mut self, fd: Fd) {
        if let Some(place) = self.0.iter_mut().find(|place| place.is_none()) {
            *place = Some(Tap { fd, missed: 0 });
        }
    }

    /// Whoever does not read misses it, and whoever is gone is forgotten.
    pub fn give(&mut self, bytes: &[u8]) {
        for place in &mut self.0 {
            if place.as_mut().is_some_and(|tap| tap.give(bytes).is_err()) {
                *place = None;
            }
        }
    }
}

impl Tap {
    fn give(&mut self, bytes: &[u8]) -> kernel::Result<()> {
        if self.missed > 0 {
            let mut text = [0; line::NOTE_SIZE];
            let why = b"they were not read in time\n";
            // Shorter than PIPE_BUF: all of it or nothing.
            match kernel::write(
                self.fd.raw(),
                line::note(&mut text, b"\n", self.missed, why),
            ) {
                Ok(_) => self.missed = 0,
                Err(Errno::EAGAIN) => return self.miss(bytes),
                Err(errno) => return Err(errno),
            }
        }
        let mut left = bytes;
        while !left.is_empty() {
            match kernel::write(self.fd.raw(), left) {
                Ok(written) => left = &left[written..],
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return self.miss(left),
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }

    fn miss(&mut self, bytes: &[u8]) -> kernel::Result<()> {
        self.missed += bytes.len() as u64;
        Ok(())
    }
}
