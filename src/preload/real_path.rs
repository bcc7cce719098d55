//! `realpath` and its kin, in one system call instead of one for each part of the path.
//!
//! Compilers ask for the real path of every file and directory that they read from, and the C library
//! asks about each part of it. In the jail each such call is recorded, and costs as much as ten; the
//! warden can answer for the whole path at once, and records it as it records the others.

use core::arch::{asm, global_asm};
use core::ffi::{c_char, c_int, c_void};
use core::mem::MaybeUninit;
use core::ptr::null_mut;

use super::protocol::{PATH_MAX, REAL_PATH};
use super::system_call;

const EINTR: isize = -4;
const ENOMEM: c_int = 12;
const EINVAL: c_int = 22;
const ENOSYS: isize = -38;

type Malloc = unsafe extern "C" fn(usize) -> *mut c_void;
type Errno = unsafe extern "C" fn() -> *mut c_int;
type Symbol = unsafe extern "C" fn(*mut c_void, *const c_char) -> *mut c_void;
type RealPath = unsafe extern "C" fn(*const c_char, *mut c_char) -> *mut c_char;

// Weak: a program without these never calls what is here, and must start all the same.
global_asm!(".weak malloc", ".weak __errno_location", ".weak dlsym");

/// The address of another library's function, as the loader has put it into the global offset table;
/// 0 if there is none.
macro_rules! address_of {
    ($name:literal) => {{
        let address: usize;
        // SAFETY: reads one address.
        unsafe {
            #[cfg(target_arch = "x86_64")]
            asm!(
                concat!("mov {}, qword ptr [rip + ", $name, "@GOTPCREL]"),
                out(reg) address,
                options(pure, readonly, nostack, preserves_flags),
            );
            #[cfg(target_arch = "aarch64")]
            asm!(
                concat!("adrp {0}, :got:", $name),
                concat!("ldr {0}, [{0}, :got_lo12:", $name, "]"),
                out(reg) address,
                options(pure, readonly, nostack, preserves_flags),
            );
        }
        address
    }};
}

fn fail(errno: c_int) -> *mut c_char {
    let location = address_of!("__errno_location");
    if location != 0 {
        // SAFETY: the C library's function of this name has this type, and answers where the calling
        // thread's errno is.
        unsafe { *core::mem::transmute::<usize, Errno>(location)() = errno };
    }
    null_mut()
}

/// What the C library itself would do.
///
/// # Safety
/// As [`realpath`]'s.
unsafe fn others(path: *const c_char, resolved: *mut c_char) -> *mut c_char {
    const NEXT: *mut c_void = core::ptr::without_provenance_mut(usize::MAX);
    let symbol = address_of!("dlsym");
    if symbol == 0 {
        return fail(-ENOSYS as c_int);
    }
    // SAFETY: dlsym(3) has this type, and `RTLD_NEXT` finds the function that this one stands before.
    unsafe {
        let next = core::mem::transmute::<usize, Symbol>(symbol)(NEXT, c"realpath".as_ptr());
        if next.is_null() {
            return fail(-ENOSYS as c_int);
        }
        core::mem::transmute::<*mut c_void, RealPath>(next)(path, resolved)
    }
}

/// See realpath(3).
///
/// # Safety
/// `path` is a string, and `resolved` is null or has space for `PATH_MAX` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn realpath(path: *const c_char, resolved: *mut c_char) -> *mut c_char {
    if path.is_null() {
        return fail(EINVAL);
    }
    let mut space = MaybeUninit::<[u8; PATH_MAX]>::uninit();
    let target =
        if resolved.is_null() { space.as_mut_ptr().cast::<u8>() } else { resolved.cast::<u8>() };
    let (from, to) = (path.expose_provenance(), target.expose_provenance());
    let result = loop {
        match system_call(REAL_PATH as usize, from, to, PATH_MAX) {
            EINTR => {}
            result => break result,
        }
    };
    if result == ENOSYS {
        // SAFETY: as this function's.
        return unsafe { others(path, resolved) };
    }
    if result < 0 {
        return fail(-result as c_int);
    }
    if !resolved.is_null() {
        return resolved;
    }
    let mut length = 0;
    // SAFETY: the warden has written a string of less than `PATH_MAX` bytes there.
    while unsafe { *target.add(length) } != 0 {
        length += 1;
    }
    let malloc = address_of!("malloc");
    if malloc == 0 {
        return fail(ENOMEM);
    }
    // SAFETY: malloc(3) has this type; both sides have this length.
    unsafe {
        let copy = core::mem::transmute::<usize, Malloc>(malloc)(length + 1).cast::<u8>();
        if copy.is_null() {
            return fail(ENOMEM);
        }
        for index in 0..=length {
            *copy.add(index) = *target.add(index);
        }
        copy.cast()
    }
}

/// The form that programs compiled with `_FORTIFY_SOURCE` call.
///
/// # Safety
/// As [`realpath`]'s, of a buffer of `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __realpath_chk(
    path: *const c_char,
    resolved: *mut c_char,
    size: usize,
) -> *mut c_char {
    if size < PATH_MAX {
        // The C library ends such a program.
        loop {
            // SAFETY: an instruction that there is not ends the program.
            unsafe {
                #[cfg(target_arch = "x86_64")]
                asm!("ud2", options(nomem, nostack));
                #[cfg(target_arch = "aarch64")]
                asm!("udf #0", options(nomem, nostack));
            }
        }
    }
    // SAFETY: as this function's.
    unsafe { realpath(path, resolved) }
}

/// See `canonicalize_file_name`(3).
///
/// # Safety
/// `path` is a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn canonicalize_file_name(path: *const c_char) -> *mut c_char {
    // SAFETY: as this function's.
    unsafe { realpath(path, null_mut()) }
}
