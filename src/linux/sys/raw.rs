//! One system call, as an instruction: for code that may touch neither errno nor anything else of a C library, which is
//! the pause program and what runs between clone and exec in the embedder's memory. Compiled into both.
#![allow(unsafe_code)]

use core::arch::asm;

/// Does system call `number`. A result from -4095 to -1 is an errno.
///
/// # Safety
/// As unsafe as the call is; pointers among the arguments must be what that call wants.
#[cfg(target_arch = "x86_64")]
pub unsafe fn syscall(number: usize, arguments: [usize; 6]) -> isize {
    let [a, b, c, d, e, f] = arguments;
    let result;
    // SAFETY: the x86-64 convention; the kernel keeps all registers but these three.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    result
}

/// Does system call `number`. A result from -4095 to -1 is an errno.
///
/// # Safety
/// As unsafe as the call is; pointers among the arguments must be what that call wants.
#[cfg(target_arch = "aarch64")]
pub unsafe fn syscall(number: usize, arguments: [usize; 6]) -> isize {
    let [a, b, c, d, e, f] = arguments;
    let result;
    // SAFETY: the AArch64 convention; the kernel keeps all registers but x0.
    unsafe {
        asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") a as isize => result,
            in("x1") b, in("x2") c, in("x3") d, in("x4") e, in("x5") f,
            options(nostack),
        );
    }
    result
}
