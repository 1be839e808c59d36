//! Memory and clocks.

use crate::wire::At;

use super::{Result, brief, call, number};

/// Maps `size` bytes of `fd` (or of nothing, if negative), private and writable. Never unmapped.
pub fn map(fd: i32, size: usize) -> Result<&'static mut [u8]> {
    const READ_WRITE: usize = 3;
    const PRIVATE: usize = 2;
    const ANONYMOUS: usize = 0x20;
    let flags = if fd < 0 { PRIVATE | ANONYMOUS } else { PRIVATE };
    let address = call(number::MMAP, [0, size, READ_WRITE, flags, fd as usize, 0])?;
    // SAFETY: the kernel chose fresh memory of this size for us; it stays until `unmap` takes it back by value.
    Ok(unsafe { core::slice::from_raw_parts_mut(address as *mut u8, size) })
}

pub fn unmap(memory: &'static mut [u8]) {
    let _ = brief(
        number::MUNMAP,
        memory.as_mut_ptr() as usize,
        memory.len(),
        0,
    );
}

pub fn now() -> At {
    let read = |clock: usize| {
        let mut time = [0i64; 2];
        let _ = brief(number::CLOCK_GETTIME, clock, time.as_mut_ptr() as usize, 0);
        time[0].wrapping_mul(1_000_000_000).wrapping_add(time[1])
    };
    At {
        mono: read(1) as u64,
        wall: read(0),
    }
}
