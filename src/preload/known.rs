//! What is known of paths: asking for the warden's table of them, and looking into it.
//!
//! A compiler looks for each header in one directory after the other, and the next compiler does the same
//! again. In the jail each such call is recorded, and costs as much as ten. What is in the table is
//! recorded, and another time the warden would say the same.

use core::ffi::{c_char, c_int};
use core::mem::MaybeUninit;
use core::ptr::{null, null_mut, with_exposed_provenance_mut};
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64};

use super::others::{ENOENT, are_alone};
use super::protocol::known::{
    CLOSED, IS_FORBIDDEN, LENGTH, PATH, PLACE, PROBES, SEED, SIZE, SLOT_COUNT, SLOTS, STATUS, TEXT,
    hash,
};
use super::system_call::{
    CLOSE, GETCWD, MMAP, OPENAT, PAGE, is_readable, system_call, system_call_of_six,
};

/// The table, mapped; null if there is none. A child of fork(2) has it, too.
static TABLE: AtomicPtr<AtomicU64> = AtomicPtr::new(null_mut());
/// How often this process was told that there is nothing.
static MISSES: AtomicU32 = AtomicU32::new(0);
/// After how many of those it asks for the table.
static ENOUGH: AtomicU32 = AtomicU32::new(AT_FIRST);
const AT_FIRST: u32 = 2;
/// Longer paths that are relative, with the directory that they start from, are not looked for.
const RELATIVE: usize = 1024;

/// A word of the table.
///
/// # Safety
/// It is mapped, and `index` lies in it.
unsafe fn word<'a>(table: *mut AtomicU64, index: usize) -> &'a AtomicU64 {
    // SAFETY: as this function's; it stays mapped until the process ends.
    unsafe { &*table.add(index) }
}

/// # Safety
/// It is mapped.
unsafe fn is_closed(table: *mut AtomicU64) -> bool {
    // SAFETY: as this function's.
    unsafe { word(table, CLOSED) }.load(Acquire) != 0
}

/// Whether only such calls may be made as the program itself makes.
pub fn is_forbidden() -> bool {
    let table = TABLE.load(Acquire);
    // SAFETY: it is mapped.
    !table.is_null() && unsafe { word(table, CLOSED) }.load(Acquire) & IS_FORBIDDEN != 0
}

/// The table, if there is one that is not closed.
fn table() -> Option<*mut AtomicU64> {
    let table = TABLE.load(Acquire);
    // SAFETY: it is mapped.
    (!table.is_null() && !unsafe { is_closed(table) }).then_some(table)
}

/// What is known of a path: it stays as it is as long as the process lives.
#[derive(Clone, Copy)]
pub struct Entry {
    /// What is said; 0 if the kernel has to be asked.
    pub said: u64,
    /// The status, if there is something.
    status: *const AtomicU64,
}

impl Entry {
    /// Nothing is known.
    pub const NOTHING: Self = Self { said: 0, status: null() };

    /// The status of what is there, as `statx`(2) fills it.
    ///
    /// # Safety
    /// It is said that something is there.
    pub unsafe fn status(self) -> [u64; STATUS] {
        let mut words = [0; STATUS];
        for (index, word) in words.iter_mut().enumerate() {
            // SAFETY: as this function's; a status has so many words, and stays mapped.
            *word = unsafe { (*self.status.add(index)).load(Relaxed) };
        }
        words
    }
}

/// What is known of a path.
///
/// A signal handler may run on a small stack: little of it is used.
///
/// # Safety
/// `path` is a string, or null, or no pointer.
#[inline(never)]
pub unsafe fn look(path: *const c_char) -> Entry {
    let path = path.cast::<u8>();
    let Some(table) = table() else { return Entry::NOTHING };
    // SAFETY: the table is mapped, and a string is not read beyond its NUL.
    unsafe {
        let Some(length) = length_of(path) else { return Entry::NOTHING };
        if *path != b'/' {
            return look_from_here(path.cast());
        }
        let known = find(table, path, length);
        // It may have been closed in the meantime.
        if is_closed(table) { Entry::NOTHING } else { known }
    }
}

/// As [`look`], of a relative path.
///
/// # Safety
/// `path` is a string.
#[inline(never)]
unsafe fn look_from_here(path: *const c_char) -> Entry {
    let mut space = MaybeUninit::<[u8; RELATIVE]>::uninit();
    // SAFETY: as this function's; the space has this size.
    unsafe { look_with(path, space.as_mut_ptr().cast(), RELATIVE) }
}

/// As [`look`], with space for the absolute path, which stands there if something is known of it.
///
/// # Safety
/// `path` is a string, and there is space for `size` bytes.
pub unsafe fn look_with(path: *const c_char, whole: *mut u8, size: usize) -> Entry {
    let Some(table) = table() else { return Entry::NOTHING };
    let path = path.cast::<u8>();
    // SAFETY: as this function's; the table is mapped.
    unsafe {
        if length_of(path).is_none() {
            return Entry::NOTHING;
        }
        let Some(length) = absolute(path, whole, size) else { return Entry::NOTHING };
        let known = find(table, whole, length);
        // It may have been closed in the meantime.
        if is_closed(table) { Entry::NOTHING } else { known }
    }
}

/// Whether a path starts from the root.
///
/// # Safety
/// As of [`look`].
pub unsafe fn is_whole(path: *const c_char) -> bool {
    // SAFETY: as this function's.
    is_readable(path.expose_provenance()) && unsafe { *path == b'/' as c_char }
}

/// How long a string is; none if it is empty, or cannot be read to its end: of that the kernel says so.
///
/// # Safety
/// `path` is a string, or null, or no pointer.
unsafe fn length_of(path: *const u8) -> Option<usize> {
    let mut length = 0;
    loop {
        let byte = path.wrapping_add(length);
        let is_new = length == 0 || byte.addr().is_multiple_of(PAGE);
        if is_new && !is_readable(byte.expose_provenance()) {
            return None;
        }
        // SAFETY: it can be read.
        if unsafe { *byte } == 0 {
            return (length > 0).then_some(length);
        }
        length += 1;
    }
}

/// Writes the absolute form of a path, and says its length without the NUL; none if it does not fit, or the
/// working directory cannot be told.
///
/// # Safety
/// `path` is a string, and there is space for `size` bytes.
unsafe fn absolute(path: *const u8, whole: *mut u8, size: usize) -> Option<usize> {
    let mut length = 0;
    // SAFETY: a string is not read beyond its NUL, nor the space beyond its end.
    unsafe {
        if *path != b'/' {
            let result = system_call(GETCWD, whole.expose_provenance(), size, 0);
            // Of a directory that cannot be reached, the kernel says so in words.
            if result < 2 || *whole != b'/' {
                return None;
            }
            // With a slash for its NUL; the root is one.
            length = if result == 2 { 1 } else { result as usize };
            *whole.add(length - 1) = b'/';
        }
        let mut rest = path;
        while length < size {
            *whole.add(length) = *rest;
            if *rest == 0 {
                return Some(length);
            }
            length += 1;
            rest = rest.add(1);
        }
    }
    None
}

/// What the table says of a path.
///
/// # Safety
/// The table is mapped, and the path has this length.
unsafe fn find(table: *mut AtomicU64, path: *const u8, length: usize) -> Entry {
    let mut hashed = SEED;
    for index in 0..length {
        // SAFETY: it lies in the path.
        hashed = hash(hashed, unsafe { *path.add(index) });
    }
    for probe in 0..PROBES {
        let slot = (hashed as usize).wrapping_add(probe) % SLOT_COUNT;
        // SAFETY: the slot lies in the table, and so does all of a path whose place it has.
        unsafe {
            let found = word(table, SLOTS + slot).load(Acquire);
            if found == 0 {
                break;
            }
            if (found ^ hashed) & !PLACE != 0 {
                continue;
            }
            let place = TEXT + (found & PLACE) as usize - 1;
            let said = word(table, place).load(Acquire);
            if said & LENGTH == length as u64 && is_same(table.add(place + 2).cast(), path, length)
            {
                let status = word(table, place + 1).load(Relaxed) as usize;
                let status = table.wrapping_add(TEXT.wrapping_add(status).wrapping_sub(1));
                return Entry { said: said & !LENGTH, status };
            }
        }
    }
    Entry::NOTHING
}

/// # Safety
/// Both have this length. The text does not change any more.
unsafe fn is_same(text: *const u8, path: *const u8, length: usize) -> bool {
    for index in 0..length {
        // SAFETY: as this function's.
        if unsafe { *text.add(index) != *path.add(index) } {
            return false;
        }
    }
    true
}

/// Gets the table when the program begins: it has not forbidden itself anything yet, and whoever has forbidden it
/// something has let its libraries be opened.
pub fn begin() {
    if are_alone() {
        get();
    }
}

/// Hears that a call failed with this error, and gets the table if there was none before and that is worth the
/// while. Only an open is followed by another: a program may have forbidden itself all but what it does anyway.
pub fn misses(errno: c_int, by_open: bool) {
    if errno != ENOENT || !are_alone() {
        return;
    }
    let table = TABLE.load(Acquire);
    if !table.is_null() {
        // SAFETY: it is mapped.
        if unsafe { is_closed(table) } && !is_forbidden() {
            TABLE.store(null_mut(), Release);
            ENOUGH.store(MISSES.load(Relaxed).saturating_add(AT_FIRST), Relaxed);
        }
        return;
    }
    let misses = MISSES.fetch_add(1, Relaxed).saturating_add(1);
    let enough = ENOUGH.load(Relaxed);
    // Only one thread takes it upon itself.
    let next = misses.saturating_mul(4);
    if by_open
        && misses >= enough
        && ENOUGH.compare_exchange(enough, next, Relaxed, Relaxed).is_ok()
    {
        get();
    }
}

/// Maps the table, if there is one.
#[cold]
fn get() {
    const AT_FDCWD: usize = -100_isize as usize;
    const O_CLOEXEC: usize = 0o2_000_000;
    const PROT_READ: usize = 1;
    const MAP_SHARED: usize = 1;
    let path = PATH.as_ptr().expose_provenance();
    let file = system_call(OPENAT, AT_FDCWD, path, O_CLOEXEC);
    if file < 0 {
        return;
    }
    let table = system_call_of_six(MMAP, [0, SIZE, PROT_READ, MAP_SHARED, file as usize, 0]);
    system_call(CLOSE, file as usize, 0, 0);
    // An error is a small negative number.
    if !(-4095..0).contains(&table) {
        TABLE.store(with_exposed_provenance_mut(table as usize), Release);
    }
}
