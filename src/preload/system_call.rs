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
}
/// Their numbers.
#[cfg(target_arch = "aarch64")]
mod numbers {
    pub const CLOSE: usize = 57;
    pub const GETCWD: usize = 17;
    pub const MADVISE: usize = 233;
    pub const MMAP: usize = 222;
    pub const OPENAT: usize = 56;
}

pub use numbers::*;

/// What a call that a signal interrupted returns.
pub const EINTR: isize = -4;

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
