//! The program of a launcher: it executes cargo-brig, and says which file it was started as.
//!
//! A crate of its own, compiled by `build.rs` and embedded in the program, which fills in its own path
//! when it writes a launcher ([`crate::launcher`] in the library). It has no loader and no library, and
//! reads neither a file nor a variable, so nothing that a build script has planted can be in its way.

#![no_std]
#![no_main]

mod slot;

use core::arch::{asm, global_asm};
use core::cell::UnsafeCell;

use slot::{MARK, NAME, SIZE};

/// The path that is filled in, and before that the mark by which this place is found.
#[repr(transparent)]
struct Slot(UnsafeCell<[u8; SIZE]>);

// SAFETY: nobody writes to it while the program runs.
unsafe impl Sync for Slot {}

static PATH: Slot = Slot(UnsafeCell::new(marked()));

const fn marked() -> [u8; SIZE] {
    let mut slot = [0; SIZE];
    let (start, _) = slot.split_at_mut(MARK.len());
    start.copy_from_slice(MARK);
    slot
}

/// The exit code when the script was not run (`exit::NOT_RUN` in the library).
const NOT_RUN: usize = 125;

/// `AT_EXECFN` (getauxval(3)): the path by which this program was executed.
const EXECFN: usize = 31;

#[cfg(target_arch = "x86_64")]
mod number {
    pub(crate) const WRITE: usize = 1;
    pub(crate) const EXECVE: usize = 59;
    pub(crate) const EXIT_GROUP: usize = 231;
}
#[cfg(target_arch = "aarch64")]
mod number {
    pub(crate) const WRITE: usize = 64;
    pub(crate) const EXECVE: usize = 221;
    pub(crate) const EXIT_GROUP: usize = 94;
}

// The entry hands over where the arguments begin, and leaves two words in front of them free.
#[cfg(target_arch = "x86_64")]
global_asm!(
    ".globl _start",
    "_start:",
    "mov rdi, rsp",
    "sub rsp, 64",
    "and rsp, -16",
    "call {start}",
    "ud2",
    start = sym start
);
#[cfg(target_arch = "aarch64")]
global_asm!(
    ".globl _start",
    "_start:",
    "mov x0, sp",
    "sub sp, sp, #64",
    "bl {start}",
    "brk #1",
    start = sym start
);

#[cfg(target_arch = "x86_64")]
unsafe fn call(number: usize, first: usize, second: usize, third: usize) -> usize {
    let result;
    // SAFETY: as the system call is.
    unsafe {
        asm!("syscall", inlateout("rax") number => result, in("rdi") first, in("rsi") second,
             in("rdx") third, out("rcx") _, out("r11") _);
    }
    result
}

#[cfg(target_arch = "aarch64")]
unsafe fn call(number: usize, first: usize, second: usize, third: usize) -> usize {
    let result;
    // SAFETY: as the system call is.
    unsafe {
        asm!("svc #0", in("x8") number, inlateout("x0") first => result, in("x1") second,
             in("x2") third);
    }
    result
}

fn say(text: &[u8]) {
    // SAFETY: write(2) reads the text. Whether it can be said does not matter to what follows.
    unsafe { call(number::WRITE, 2, text.as_ptr().addr(), text.len()) };
}

/// Executes cargo-brig with two further arguments in front of these, and the same environment.
///
/// # Safety
/// `stack` is what the kernel has given the program: the number of arguments, they and a zero, the
/// environment and a zero, the auxiliary vector; and there is room for a word before that.
unsafe extern "C" fn start(stack: *mut usize) -> ! {
    let path = PATH.0.get().cast::<u8>();
    // SAFETY: see above. The path ends with a NUL within its slot, and so do the name and what the
    // kernel has put on the stack.
    unsafe {
        let environment = stack.add(*stack + 2);
        let mut word = environment;
        while *word != 0 {
            word = word.add(1);
        }
        let mut entry = word.add(1);
        while *entry != EXECFN && *entry != 0 {
            entry = entry.add(2);
        }
        let file = if *entry == EXECFN { *entry.add(1) } else { *stack.add(1) };
        let arguments = stack.sub(1);
        arguments.write(NAME.as_ptr().addr());
        stack.write(file);
        call(number::EXECVE, path.addr(), arguments.addr(), environment.addr());

        let mut length = 0;
        while length < SIZE && path.add(length).read_volatile() != 0 {
            length += 1;
        }
        say(b"error: brig: cannot execute `");
        say(core::slice::from_raw_parts(path, length));
        say(b"`, which keeps this build script in the jail\n  \
              help: install cargo-brig there again, or let it compile the script again: `cargo clean`\n");
        call(number::EXIT_GROUP, NOT_RUN, 0, 0);
    }
    loop {}
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
