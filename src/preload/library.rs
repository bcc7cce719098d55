//! The preloaded library: `getenv` and its kin, which note the name and answer as the C library does;
//! and what is asked most often of files and programs ([`real_path`], [`files`], [`programs`]), which it answers
//! for less.
//!
//! A crate of its own, compiled by `build.rs` and embedded in the program. It is loaded into every
//! dynamic program that a script starts, so it needs no other library and takes of others only what is
//! there; and it does nothing but what is said here. It never fails, never waits, allocates nothing and
//! holds no lock, so that threads, signal handlers and children of fork(2) and vfork(2) may call it as
//! they may call the C library's.

#![no_std]
#![no_builtins]

mod files;
mod known;
mod others;
mod programs;
mod protocol;
mod real_path;
mod status;
mod symbols;
mod system_call;

use core::arch::{asm, global_asm};
use core::cell::UnsafeCell;
use core::ffi::c_char;
use core::ptr::null_mut;
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use core::sync::atomic::{AtomicPtr, AtomicU16, AtomicU32};

use protocol::{
    COUNT, FILE_NAME, LONGEST, NAMES, NUMBER, OVERFLOW, SIZE, SLOTS, TEXT_SIZE, TOLD, USED, VERSION,
};
use system_call::{EINTR, MADVISE, system_call};

/// See [`protocol`]. Page-aligned, so that it lies in anonymous memory only.
#[repr(C, align(4096))]
struct Book {
    slots: [AtomicU16; SLOTS],
    header: [AtomicU32; 16],
    text: UnsafeCell<[u8; TEXT_SIZE]>,
}

// SAFETY: the text is only written where `keep` reserved space for the writer, and only read where a
// slot says that a complete name is.
unsafe impl Sync for Book {}

const _: () = assert!(size_of::<Book>() == SIZE);

static BOOK: Book = Book {
    slots: [const { AtomicU16::new(0) }; SLOTS],
    header: [const { AtomicU32::new(0) }; 16],
    text: UnsafeCell::new([0; TEXT_SIZE]),
};

impl Book {
    fn byte(&self, at: usize) -> *mut u8 {
        self.text.get().cast::<u8>().wrapping_add(at)
    }

    /// Whether the name at this place is `name`, which ends after `length` bytes.
    ///
    /// # Safety
    /// The place comes from a slot; `name` has that length.
    unsafe fn is(&self, place: u16, name: *const u8, length: usize) -> bool {
        let start = place as usize - 1;
        for index in 0..length {
            // SAFETY: a name in the text ends with a NUL, which `name` does not contain.
            unsafe {
                if *self.byte(start + index) != *name.add(index) {
                    return false;
                }
            }
        }
        // SAFETY: so far they are equal, and so the text's NUL has not been passed.
        unsafe { *self.byte(start + length) == 0 }
    }

    /// Copies a name into the text; 0 if there is no space.
    ///
    /// # Safety
    /// `name` has this length.
    unsafe fn keep(&self, name: *const u8, length: usize) -> u16 {
        let [used, count] = [&self.header[USED], &self.header[COUNT]];
        // Looked at before it is added to: the numbers cannot wrap.
        let full = |used: u32| used as usize + length + 1 > TEXT_SIZE;
        if length > LONGEST || count.load(Relaxed) >= NAMES || full(used.load(Relaxed)) {
            return 0;
        }
        let start = used.fetch_add(length as u32 + 1, Relaxed);
        if full(start) {
            return 0;
        }
        count.fetch_add(1, Relaxed);
        for index in 0..length {
            // SAFETY: these bytes were reserved for this call, and lie in the text.
            unsafe { *self.byte(start as usize + index) = *name.add(index) };
        }
        start as u16 + 1
    }

    /// Notes a name, unless it is noted.
    ///
    /// # Safety
    /// `name` has this length.
    unsafe fn note(&self, name: *const u8, length: usize, hash: u32) {
        let mut slot = hash as usize;
        let mut place = 0;
        loop {
            slot %= SLOTS;
            let mut noted = self.slots[slot].load(Acquire);
            if noted == 0 {
                if place == 0 {
                    // SAFETY: as this function's.
                    place = unsafe { self.keep(name, length) };
                }
                if place == 0 {
                    self.header[OVERFLOW].store(1, Relaxed);
                    break;
                }
                match self.slots[slot].compare_exchange(0, place, AcqRel, Acquire) {
                    Ok(_) => break,
                    // Another thread, or a signal handler, was here in between.
                    Err(other) => noted = other,
                }
            }
            // SAFETY: as this function's; the place comes from a slot.
            if unsafe { self.is(noted, name, length) } {
                return;
            }
            // At most half of the slots are ever used.
            slot += 1;
        }
        if self.header[TOLD].load(Relaxed) == 0 && self.header[TOLD].swap(1, Relaxed) == 0 {
            self.tell();
        }
    }

    /// Tells the warden where the book is, if the program has not forbidden itself to.
    #[cold]
    fn tell(&self) {
        if known::is_forbidden() {
            return;
        }
        /// A child of fork(2) begins with an empty book and tells of it (madvise(2), Linux 4.14).
        const MADV_WIPEONFORK: usize = 18;
        let address = (&raw const *self).expose_provenance();
        system_call(MADVISE, address, SIZE, MADV_WIPEONFORK);
        while system_call(NUMBER as usize, address, SIZE, VERSION as usize) == EINTR {}
    }
}

// Weak: a program without a C library has none, and must start all the same.
global_asm!(".weak environ");

/// Where the process's `environ` is, wherever that is defined (environ(7)).
fn environ() -> *const AtomicPtr<AtomicPtr<c_char>> {
    let address;
    // SAFETY: reads the address that the loader has put into the global offset table.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        asm!(
            "mov {}, qword ptr [rip + environ@GOTPCREL]",
            out(reg) address,
            options(pure, readonly, nostack, preserves_flags),
        );
        #[cfg(target_arch = "aarch64")]
        asm!(
            "adrp {0}, :got:environ",
            "ldr {0}, [{0}, :got_lo12:environ]",
            out(reg) address,
            options(pure, readonly, nostack, preserves_flags),
        );
    }
    address
}

/// The value of the variable `name`, which has this length; null if there is none.
///
/// # Safety
/// As getenv(3): nobody may change the environment at the same time.
unsafe fn value(name: *const u8, length: usize) -> *mut c_char {
    let environ = environ();
    // SAFETY: if there is an `environ`, it is null or leads to a list that ends with a null.
    unsafe {
        if environ.is_null() {
            return null_mut();
        }
        let mut list = (*environ).load(Acquire);
        if list.is_null() {
            return null_mut();
        }
        loop {
            let variable = (*list).load(Acquire);
            if variable.is_null() {
                return null_mut();
            }
            let text = variable.cast::<u8>();
            let mut index = 0;
            // A variable that is shorter differs by its NUL.
            while index < length && *text.add(index) == *name.add(index) {
                index += 1;
            }
            if index == length && *text.add(length) == b'=' {
                return variable.add(length + 1);
            }
            list = list.add(1);
        }
    }
}

/// What `LD_PRELOAD` would be without this library, which is its first entry.
///
/// # Safety
/// `value` is a string.
unsafe fn without_this(value: *mut c_char) -> *mut c_char {
    let text = value.cast::<u8>();
    let name = FILE_NAME.as_bytes();
    let mut end = 0;
    // SAFETY: nothing is read behind the NUL, nor before the first byte.
    unsafe {
        while !matches!(*text.add(end), 0 | b':' | b' ') {
            end += 1;
        }
        if end <= name.len() || *text.add(end - name.len() - 1) != b'/' {
            return value;
        }
        for (index, byte) in name.iter().enumerate() {
            if *text.add(end - name.len() + index) != *byte {
                return value;
            }
        }
        // Empty, but there: a walk through the environment finds it, and who then asks wants a value.
        value.add(if *text.add(end) == 0 { end } else { end + 1 })
    }
}

/// Notes and answers.
///
/// # Safety
/// `name` is a string, and nobody changes the environment at the same time.
unsafe fn ask(name: *const c_char) -> *mut c_char {
    let name = name.cast::<u8>();
    let mut length = 0;
    // FNV-1a.
    let mut hash: u32 = 0x811c_9dc5;
    // SAFETY: nothing is read behind the NUL; the length is the string's.
    unsafe {
        while *name.add(length) != 0 {
            hash = (hash ^ u32::from(*name.add(length))).wrapping_mul(0x0100_0193);
            length += 1;
        }
        if length == 0 {
            return null_mut();
        }
        BOOK.note(name, length, hash ^ (hash >> 16));
        let value = value(name, length);
        const PRELOAD: &[u8; 11] = b"LD_PRELOAD\0";
        if !value.is_null() && length == PRELOAD.len() - 1 {
            let mut index = 0;
            while index < length && *name.add(index) == PRELOAD[index] {
                index += 1;
            }
            if index == length {
                return without_this(value);
            }
        }
        value
    }
}

/// See getenv(3).
///
/// # Safety
/// `name` is a string, and nobody changes the environment at the same time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getenv(name: *const c_char) -> *mut c_char {
    // SAFETY: as this function's.
    unsafe { ask(name) }
}

/// See `secure_getenv`(3). A program for which it would answer nothing, because it runs with more
/// rights than its caller, is one into which the loader loads no library from a path (ld.so(8),
/// "Secure-execution mode"): where this is called, it is the same as [`getenv`].
///
/// # Safety
/// As [`getenv`]'s.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn secure_getenv(name: *const c_char) -> *mut c_char {
    // SAFETY: as this function's.
    unsafe { ask(name) }
}

/// The older name of [`secure_getenv`].
///
/// # Safety
/// As [`getenv`]'s.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __secure_getenv(name: *const c_char) -> *mut c_char {
    // SAFETY: as this function's.
    unsafe { ask(name) }
}

/// What gcc's AddressSanitizer asks before it reads its own variable, unless the program defines it:
/// it refuses to start behind another preloaded library, which could define what it has to intercept.
/// This one does not.
#[unsafe(no_mangle)]
pub extern "C" fn __asan_default_options() -> *const c_char {
    c"verify_asan_link_order=0".as_ptr()
}

// What functions of the standard library would ask, should a thread be cancelled in them: there is nothing
// to clean up, and the unwinding goes on (`_URC_CONTINUE_UNWIND`). Hidden, because the program's own is another.
global_asm!(
    ".pushsection .text",
    ".hidden rust_eh_personality",
    ".globl rust_eh_personality",
    "rust_eh_personality:",
    #[cfg(target_arch = "x86_64")]
    "mov eax, 8",
    #[cfg(target_arch = "aarch64")]
    "mov w0, #8",
    "ret",
    ".popsection",
);

/// Nothing here panics; an indexing that cannot be out of bounds must be able to say so.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}
