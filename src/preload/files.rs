//! What programs call to look for a file: each says at once that there is none, if that is known, and is
//! otherwise what it would be without this library.

use core::ffi::{c_char, c_int, c_void};
use core::mem::transmute;
use core::ptr::null_mut;

use super::known;
use super::others::{self, ENOENT, ENOSYS, errno, set_errno};
use super::protocol::known::{NOTHING_TO_LOOK_AT, NOTHING_TO_READ};

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

/// Functions that take a path and one or two arguments.
macro_rules! looks {
    ($($page:literal $name:ident($($argument:ident: $type:ty),*) -> $result:ty,
       as $next:ty, failing with $failed:expr, if $known:ident and $applies:expr;)*) => {
        $(
            #[doc = concat!("See ", $page, ".")]
            ///
            /// # Safety
            /// As the C library's function of this name.
            #[unsafe(no_mangle)]
            pub unsafe extern "C-unwind" fn $name(path: *const c_char, $($argument: $type),*) -> $result {
                // SAFETY: as this function's; the next function of this name has its type.
                unsafe {
                    if $applies && known::look(path) & $known != 0 {
                        set_errno(ENOENT);
                        return $failed;
                    }
                    let next = next::$name.address();
                    if next.is_null() {
                        set_errno(ENOSYS);
                        return $failed;
                    }
                    let result = transmute::<*mut c_void, $next>(next)(path, $($argument),*);
                    told(result, $failed, $known == NOTHING_TO_READ)
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
            others::find(&[&super::real_path::NEXT, $(&next::$name),*]);
        }
    };
}

/// What the loader calls before the program begins (ld.so(8)).
#[used]
#[unsafe(link_section = ".init_array")]
static AT_START: extern "C" fn() = look_for_all;

type Open = unsafe extern "C-unwind" fn(*const c_char, c_int, ...) -> c_int;
type Stat = unsafe extern "C-unwind" fn(*const c_char, *mut c_void) -> c_int;
type Access = unsafe extern "C-unwind" fn(*const c_char, c_int) -> c_int;
type FOpen = unsafe extern "C-unwind" fn(*const c_char, *const c_char) -> *mut c_void;

// The mode of open(2) is in the third register, be it one of the variable arguments or not.
looks! {
    "open(2)" open(flags: c_int, mode: c_int) -> c_int, as Open, failing with -1, if NOTHING_TO_READ and only_reads(flags);
    "open(2)" open64(flags: c_int, mode: c_int) -> c_int, as Open, failing with -1, if NOTHING_TO_READ and only_reads(flags);
    "stat(2)" stat(status: *mut c_void) -> c_int, as Stat, failing with -1, if NOTHING_TO_LOOK_AT and true;
    "stat(2)" stat64(status: *mut c_void) -> c_int, as Stat, failing with -1, if NOTHING_TO_LOOK_AT and true;
    "lstat(2)" lstat(status: *mut c_void) -> c_int, as Stat, failing with -1, if NOTHING_TO_LOOK_AT and true;
    "lstat(2)" lstat64(status: *mut c_void) -> c_int, as Stat, failing with -1, if NOTHING_TO_LOOK_AT and true;
    "access(2)" access(mode: c_int) -> c_int, as Access, failing with -1, if NOTHING_TO_LOOK_AT and mode & !7 == 0;
    "fopen(3)" fopen(mode: *const c_char) -> *mut c_void,
        as FOpen, failing with null_mut(), if NOTHING_TO_READ and is_to_read(mode);
    "fopen(3)" fopen64(mode: *const c_char) -> *mut c_void,
        as FOpen, failing with null_mut(), if NOTHING_TO_READ and is_to_read(mode);
}
