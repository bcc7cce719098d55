//! What programs call to look for a file: each says at once what is there, or that there is nothing, if that
//! is known, and is otherwise what it would be without this library.

use core::ffi::{c_char, c_int, c_uint, c_void};
use core::mem::transmute;
use core::ptr::null_mut;

use super::known::{self, Entry};
use super::others::{self, ENOENT, ENOSYS, errno, set_errno};
use super::protocol::known::{
    IS_THERE, MASK, MAY_EXECUTE, MAY_READ, NOTHING_TO_LOOK_AT, NOTHING_TO_READ,
};
use super::status::of_statx;
use super::system_call::is_writable;
use super::{programs, real_path};

/// Hears what came of a call.
fn told<T: PartialEq>(result: T, failed: T, by_open: bool) -> T {
    if result == failed {
        known::misses(errno(), by_open);
    }
    result
}

/// Whether such an open only reads: nothing is made or written.
fn only_reads(flags: c_int) -> bool {
    const O_ACCMODE: c_int = 0o3;
    const O_CREAT: c_int = 0o100;
    const O_TRUNC: c_int = 0o1000;
    const O_PATH: c_int = 0o10_000_000;
    /// `O_TMPFILE` without the bit of `O_DIRECTORY` in it.
    const TMPFILE: c_int = 0o20_000_000;
    flags & (O_ACCMODE | O_CREAT | O_TRUNC | O_PATH | TMPFILE) == 0
}

/// Whether fopen(3) takes this mode for one that only reads.
///
/// # Safety
/// `mode` is a string.
unsafe fn is_to_read(mode: *const c_char) -> bool {
    // SAFETY: nothing is read behind the NUL.
    unsafe {
        if mode.is_null() || *mode != b'r' as c_char {
            return false;
        }
        let mut rest = mode;
        while *rest != 0 && *rest != b'+' as c_char {
            rest = rest.add(1);
        }
        *rest == 0
    }
}

/// There is nothing.
fn nothing<T>(failed: T) -> T {
    set_errno(ENOENT);
    failed
}

/// As stat(2) and access(2) answer if there is nothing.
fn to_look_at(known: Entry) -> Option<c_int> {
    (known.said & NOTHING_TO_LOOK_AT != 0).then(|| nothing(-1))
}

/// Writes words there, of which there are less than a page has; none if they cannot be written: of that the kernel
/// says so.
///
/// # Safety
/// There is space for them, or it is no pointer.
unsafe fn write(words: &[u64], space: *mut c_void) -> Option<c_int> {
    let space = space.cast::<u64>();
    let ends = [space, space.wrapping_add(words.len() - 1)];
    if !ends.iter().all(|end| is_writable(end.expose_provenance())) {
        return None;
    }
    for (index, word) in words.iter().enumerate() {
        // SAFETY: as this function's; it can be written.
        unsafe { space.add(index).write_unaligned(*word) };
    }
    Some(0)
}

/// As `statx`(2) answers, of no more than was asked for when the status was taken.
///
/// # Safety
/// `status` has space for a `struct statx`, or is no pointer.
unsafe fn with_more(known: Entry, mask: c_uint, status: *mut c_void) -> Option<c_int> {
    if known.said & IS_THERE != 0 {
        if mask & !MASK != 0 {
            return None;
        }
        // SAFETY: as this function's.
        return unsafe { write(&known.status(), status) };
    }
    to_look_at(known)
}

/// As stat(2) answers.
///
/// # Safety
/// `status` has space for a `struct stat`, or is no pointer.
unsafe fn with_status(known: Entry, status: *mut c_void) -> Option<c_int> {
    if known.said & IS_THERE != 0 {
        // SAFETY: as this function's.
        return unsafe { write(&of_statx(&known.status()), status) };
    }
    to_look_at(known)
}

/// As access(2) answers.
fn accessible(known: Entry, mode: c_int) -> Option<c_int> {
    const X_OK: c_int = 1;
    const W_OK: c_int = 2;
    const R_OK: c_int = 4;
    let may = |asked: c_int, said: u64| mode & asked == 0 || known.said & said != 0;
    if mode & !(R_OK | W_OK | X_OK) != 0 {
        return None;
    }
    // Whether it may be written to, the kernel says.
    let is_known = known.said & IS_THERE != 0 && mode & W_OK == 0;
    if is_known && may(R_OK, MAY_READ) && may(X_OK, MAY_EXECUTE) {
        return Some(0);
    }
    to_look_at(known)
}

/// As open(2) and fopen(3) answer, of what is only read.
fn to_read<T>(known: Entry, failed: T) -> Option<T> {
    (known.said & NOTHING_TO_READ != 0).then(|| nothing(failed))
}

/// What is known of a path that starts from an open directory: nothing, unless it starts elsewhere.
///
/// # Safety
/// As of [`known::look`].
unsafe fn from(directory: c_int, path: *const c_char) -> Entry {
    const AT_FDCWD: c_int = -100;
    // SAFETY: as this function's.
    unsafe {
        let is_known = directory == AT_FDCWD || known::is_whole(path);
        if is_known { known::look(path) } else { Entry::NOTHING }
    }
}

/// Flags of fstatat(2) that mean nothing where there is no link at the end: `AT_SYMLINK_NOFOLLOW`,
/// `AT_NO_AUTOMOUNT`, and `AT_EMPTY_PATH` of a path that is not empty.
const AT_PATH: c_int = 0x100 | 0x800 | 0x1000;
/// Those of `statx`(2), which has `AT_STATX_DONT_SYNC` besides.
const STATX: c_int = AT_PATH | 0x4000;
/// Those of `faccessat`(3): `AT_EACCESS`, as who runs this is who has started it, and `AT_SYMLINK_NOFOLLOW`.
const ACCESS: c_int = 0x200 | 0x100;

/// What `__xstat` is called with by programs of an older C library (`_STAT_VER`).
#[cfg(target_arch = "x86_64")]
const VERSION: c_int = 1;
/// What `__xstat` is called with by programs of an older C library (`_STAT_VER`).
#[cfg(target_arch = "aarch64")]
const VERSION: c_int = 0;

/// Functions that look for a path: each with what it answers by itself, if anything.
macro_rules! looks {
    ($($page:literal $name:ident($($argument:ident: $type:ty),*) -> $result:ty, failing with $failed:expr,
       as $next:ty, opening $by_open:literal, knowing $known:expr;)*) => {
        $(
            #[doc = concat!("See ", $page, ".")]
            ///
            /// # Safety
            /// As the C library's function of this name.
            #[unsafe(no_mangle)]
            pub unsafe extern "C-unwind" fn $name($($argument: $type),*) -> $result {
                // SAFETY: as this function's; the next function of this name has its type.
                unsafe {
                    if let Some(known) = $known {
                        return known;
                    }
                    let next = next::$name.address();
                    if next.is_null() {
                        set_errno(ENOSYS);
                        return $failed;
                    }
                    let result = transmute::<*mut c_void, $next>(next)($($argument),*);
                    told(result, $failed, $by_open)
                }
            }
        )*

        #[expect(non_upper_case_globals, reason = "named as the functions are")]
        mod next {
            use super::super::others::{Next, name};
            $(pub static $name: Next = Next::new(name(concat!(stringify!($name), "\0")));)*
        }

        /// Looks for all of them as long as nobody else can be at it: the loader has a lock for that, which
        /// is not a signal handler's to wait for.
        extern "C" fn look_for_all() {
            others::find(&[
                &real_path::NEXT,
                &programs::SPAWN,
                &programs::EXECUTE,
                &programs::EXECUTE_WITH,
                $(&next::$name),*
            ]);
            known::begin();
        }
    };
}

/// What the loader calls before the program begins (ld.so(8)).
#[used]
#[unsafe(link_section = ".init_array")]
static AT_START: extern "C" fn() = look_for_all;

type Open = unsafe extern "C-unwind" fn(*const c_char, c_int, ...) -> c_int;
type CheckedOpen = unsafe extern "C-unwind" fn(*const c_char, c_int) -> c_int;
type OpenFrom = unsafe extern "C-unwind" fn(c_int, *const c_char, c_int, ...) -> c_int;
type FOpen = unsafe extern "C-unwind" fn(*const c_char, *const c_char) -> *mut c_void;
type Stat = unsafe extern "C-unwind" fn(*const c_char, *mut c_void) -> c_int;
type OldStat = unsafe extern "C-unwind" fn(c_int, *const c_char, *mut c_void) -> c_int;
type StatFrom = unsafe extern "C-unwind" fn(c_int, *const c_char, *mut c_void, c_int) -> c_int;
type StatX = unsafe extern "C-unwind" fn(c_int, *const c_char, c_int, c_uint, *mut c_void) -> c_int;
type Access = unsafe extern "C-unwind" fn(*const c_char, c_int) -> c_int;
type AccessFrom = unsafe extern "C-unwind" fn(c_int, *const c_char, c_int, c_int) -> c_int;

// The mode of open(2) is in the third register, be it one of the variable arguments or not.
looks! {
    "open(2)" open(path: *const c_char, flags: c_int, mode: c_int) -> c_int, failing with -1, as Open, opening true,
        knowing if only_reads(flags) { to_read(known::look(path), -1) } else { None };
    "open(2)" open64(path: *const c_char, flags: c_int, mode: c_int) -> c_int, failing with -1, as Open, opening true,
        knowing if only_reads(flags) { to_read(known::look(path), -1) } else { None };
    "fopen(3)" fopen(path: *const c_char, mode: *const c_char) -> *mut c_void, failing with null_mut(), as FOpen, opening true,
        knowing if is_to_read(mode) { to_read(known::look(path), null_mut()) } else { None };
    "fopen(3)" fopen64(path: *const c_char, mode: *const c_char) -> *mut c_void, failing with null_mut(), as FOpen, opening true,
        knowing if is_to_read(mode) { to_read(known::look(path), null_mut()) } else { None };
    "stat(2)" stat(path: *const c_char, status: *mut c_void) -> c_int, failing with -1, as Stat, opening false,
        knowing with_status(known::look(path), status);
    "stat(2)" stat64(path: *const c_char, status: *mut c_void) -> c_int, failing with -1, as Stat, opening false,
        knowing with_status(known::look(path), status);
    "lstat(2)" lstat(path: *const c_char, status: *mut c_void) -> c_int, failing with -1, as Stat, opening false,
        knowing with_status(known::look(path), status);
    "lstat(2)" lstat64(path: *const c_char, status: *mut c_void) -> c_int, failing with -1, as Stat, opening false,
        knowing with_status(known::look(path), status);
    "stat(2)" __xstat(version: c_int, path: *const c_char, status: *mut c_void) -> c_int, failing with -1, as OldStat, opening false,
        knowing if version == VERSION { with_status(known::look(path), status) } else { None };
    "stat(2)" __xstat64(version: c_int, path: *const c_char, status: *mut c_void) -> c_int, failing with -1, as OldStat, opening false,
        knowing if version == VERSION { with_status(known::look(path), status) } else { None };
    "stat(2)" __lxstat(version: c_int, path: *const c_char, status: *mut c_void) -> c_int, failing with -1, as OldStat, opening false,
        knowing if version == VERSION { with_status(known::look(path), status) } else { None };
    "stat(2)" __lxstat64(version: c_int, path: *const c_char, status: *mut c_void) -> c_int, failing with -1, as OldStat, opening false,
        knowing if version == VERSION { with_status(known::look(path), status) } else { None };
    "fstatat(2)" fstatat(directory: c_int, path: *const c_char, status: *mut c_void, flags: c_int) -> c_int, failing with -1, as StatFrom, opening false,
        knowing if flags & !AT_PATH == 0 { with_status(from(directory, path), status) } else { None };
    "fstatat(2)" fstatat64(directory: c_int, path: *const c_char, status: *mut c_void, flags: c_int) -> c_int, failing with -1, as StatFrom, opening false,
        knowing if flags & !AT_PATH == 0 { with_status(from(directory, path), status) } else { None };
    "`statx`(2)" statx(directory: c_int, path: *const c_char, flags: c_int, mask: c_uint, status: *mut c_void) -> c_int, failing with -1, as StatX, opening false,
        knowing if flags & !STATX == 0 { with_more(from(directory, path), mask, status) } else { None };
    "access(2)" access(path: *const c_char, mode: c_int) -> c_int, failing with -1, as Access, opening false,
        knowing accessible(known::look(path), mode);
    "`faccessat`(2)" faccessat(directory: c_int, path: *const c_char, mode: c_int, flags: c_int) -> c_int, failing with -1, as AccessFrom, opening false,
        knowing if flags & !ACCESS == 0 { accessible(from(directory, path), mode) } else { None };
    "open(2)" __open_2(path: *const c_char, flags: c_int) -> c_int, failing with -1, as CheckedOpen, opening true,
        knowing if only_reads(flags) { to_read(known::look(path), -1) } else { None };
    "open(2)" __open64_2(path: *const c_char, flags: c_int) -> c_int, failing with -1, as CheckedOpen, opening true,
        knowing if only_reads(flags) { to_read(known::look(path), -1) } else { None };
    "open(2)" openat(directory: c_int, path: *const c_char, flags: c_int, mode: c_int) -> c_int, failing with -1, as OpenFrom, opening true,
        knowing if only_reads(flags) { to_read(from(directory, path), -1) } else { None };
    "open(2)" openat64(directory: c_int, path: *const c_char, flags: c_int, mode: c_int) -> c_int, failing with -1, as OpenFrom, opening true,
        knowing if only_reads(flags) { to_read(from(directory, path), -1) } else { None };
    "`euidaccess`(3)" eaccess(path: *const c_char, mode: c_int) -> c_int, failing with -1, as Access, opening false,
        knowing accessible(known::look(path), mode);
    "`euidaccess`(3)" euidaccess(path: *const c_char, mode: c_int) -> c_int, failing with -1, as Access, opening false,
        knowing accessible(known::look(path), mode);
}
