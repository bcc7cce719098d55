//! System calls, without a C library.

use core::arch::asm;

/// Their numbers.
#[cfg(target_arch = "x86_64")]
mod numbers {
    pub const CLOSE: usize = 3;
    pub const GETCWD: usize = 79;
    pub const MADVISE: usize = 28;
    pub const MMAP: usize = 9;
    pub const OPENAT: usize = 257;
    pub const RT_SIGPROCMASK: usize = 14;
}
/// Their numbers.
#[cfg(target_arch = "aarch64")]
mod numbers {
    pub const CLOSE: usize = 57;
    pub const GETCWD: usize = 17;
    pub const MADVISE: usize = 233;
    pub const MMAP: usize = 222;
    pub const OPENAT: usize = 56;
    pub const RT_SIGPROCMASK: usize = 135;
}

pub use numbers::*;

/// What a call that a signal interrupted returns.
pub const EINTR: isize = -4;

/// How many bytes there are from which on memory can be another's, or nobody's.
pub const PAGE: usize = 4096;
const EFAULT: isize = -14;
/// The bytes of a set of signals, as the kernel has it.
const SIGNALS: usize = 8;

/// Whether a byte can be read, and what follows in its page (`rt_sigprocmask`(2) of a set, in a way that there is
/// not: the kernel reads the set first).
pub fn is_readable(address: usize) -> bool {
    const NO_WAY: usize = usize::MAX;
    let set = address & !(SIGNALS - 1);
    // No set is nothing to be read.
    set != 0 && system_call_of_six(RT_SIGPROCMASK, [NO_WAY, set, 0, SIGNALS, 0, 0]) != EFAULT
}

/// Whether eight bytes there can be written, which they are (`rt_sigprocmask`(2), which says what it was).
pub fn is_writable(address: usize) -> bool {
    address != 0 && system_call_of_six(RT_SIGPROCMASK, [0, 0, address, SIGNALS, 0, 0]) != EFAULT
}

/// A call that reads and writes no more memory than its arguments say.
pub fn system_call(number: usize, first: usize, second: usize, third: usize) -> isize {
    system_call_of_six(number, [first, second, third, 0, 0, 0])
}

/// A call that reads and writes no more memory than its arguments say.
#[cfg(target_arch = "x86_64")]
pub fn system_call_of_six(number: usize, arguments: [usize; 6]) -> isize {
    let result;
    // SAFETY: the kernel keeps all registers but rax, rcx and r11 (syscall(2)).
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") arguments[0],
            in("rsi") arguments[1],
            in("rdx") arguments[2],
            in("r10") arguments[3],
            in("r8") arguments[4],
            in("r9") arguments[5],
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result
}

/// A call that reads and writes no more memory than its arguments say.
#[cfg(target_arch = "aarch64")]
pub fn system_call_of_six(number: usize, arguments: [usize; 6]) -> isize {
    let result;
    // SAFETY: the kernel keeps all registers but x0 (syscall(2)).
    unsafe {
        asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") arguments[0] as isize => result,
            in("x1") arguments[1],
            in("x2") arguments[2],
            in("x3") arguments[3],
            in("x4") arguments[4],
            in("x5") arguments[5],
            options(nostack),
        );
    }
    result
}
