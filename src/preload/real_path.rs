//! `realpath` and its kin, in one system call instead of one for each part of the path.
//!
//! Compilers ask for the real path of every file and directory that they read from, and the C library
//! asks about each part of it. In the jail each such call is recorded, and costs as much as ten; the
//! warden can answer for the whole path at once, and records it as it records the others.

use core::arch::asm;
use core::ffi::{c_char, c_int};
use core::mem::MaybeUninit;
use core::ptr::null_mut;

use super::known;
use super::others::{EINVAL, ENOENT, ENOMEM, ENOSYS, EPERM, Next, are_alone, malloc, set_errno};
use super::protocol::known::{IS_REAL_PATH, NO_REAL_PATH};
use super::protocol::{PATH_MAX, REAL_PATH};
use super::system_call::{EINTR, system_call};

type RealPath = unsafe extern "C-unwind" fn(*const c_char, *mut c_char) -> *mut c_char;

fn fail(errno: c_int) -> *mut c_char {
    set_errno(errno);
    null_mut()
}

/// What comes behind this library.
pub static NEXT: Next = Next::new(c"realpath");

/// What the C library itself would do.
///
/// # Safety
/// As [`realpath`]'s.
unsafe extern "C-unwind" fn others(path: *const c_char, resolved: *mut c_char) -> *mut c_char {
    let next = NEXT.address();
    if next.is_null() {
        return fail(ENOSYS);
    }
    // SAFETY: realpath(3) has this type; as this function's.
    unsafe { core::mem::transmute::<*mut _, RealPath>(next)(path, resolved) }
}

/// See realpath(3).
///
/// # Safety
/// `path` is a string, and `resolved` is null or has space for `PATH_MAX` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn realpath(
    path: *const c_char,
    resolved: *mut c_char,
) -> *mut c_char {
    if path.is_null() {
        return fail(EINVAL);
    }
    // On failure the C library leaves there what it has come to.
    let fails = |errno| {
        // SAFETY: as this function's.
        if resolved.is_null() { fail(errno) } else { unsafe { others(path, resolved) } }
    };
    if !are_alone() || known::is_forbidden() {
        // SAFETY: as this function's.
        return unsafe { others(path, resolved) };
    }
    // What the caller has given may be where the path is.
    let mut space = MaybeUninit::<[u8; PATH_MAX]>::uninit();
    let target = space.as_mut_ptr().cast::<u8>();
    // SAFETY: as this function's; the space is of `PATH_MAX` bytes.
    unsafe {
        let known = known::look_with(path, target, PATH_MAX).said;
        if known & NO_REAL_PATH != 0 {
            return fails(ENOENT);
        }
        if known & IS_REAL_PATH != 0 {
            return given(target, resolved);
        }
    }
    let (from, to) = (path.expose_provenance(), target.expose_provenance());
    let result = loop {
        match system_call(REAL_PATH as usize, from, to, PATH_MAX) {
            EINTR => {}
            result => break result as c_int,
        }
    };
    // A filter that nobody told of may say that it is forbidden.
    if matches!(-result, ENOSYS | EPERM) {
        // SAFETY: as this function's.
        return unsafe { others(path, resolved) };
    }
    if result < 0 {
        known::misses(-result, false);
        return fails(-result);
    }
    // SAFETY: the warden has written a string of less than `PATH_MAX` bytes there.
    unsafe { given(target, resolved) }
}

/// The real path as the caller wants it: where it was to be written, or in memory of its own.
///
/// # Safety
/// `target` is a string, for which there is space at `resolved`, if that is not null.
unsafe fn given(target: *const u8, resolved: *mut c_char) -> *mut c_char {
    let mut length = 0;
    // SAFETY: a string is not read beyond its NUL.
    while unsafe { *target.add(length) } != 0 {
        length += 1;
    }
    let copy = if resolved.is_null() { malloc(length + 1) } else { resolved.cast::<u8>() };
    if copy.is_null() {
        return fail(ENOMEM);
    }
    for index in 0..=length {
        // SAFETY: both sides have this length.
        unsafe { *copy.add(index) = *target.add(index) };
    }
    copy.cast()
}

/// The form that programs compiled with `_FORTIFY_SOURCE` call.
///
/// # Safety
/// As [`realpath`]'s, of a buffer of `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn __realpath_chk(
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
pub unsafe extern "C-unwind" fn canonicalize_file_name(path: *const c_char) -> *mut c_char {
    // SAFETY: as this function's.
    unsafe { realpath(path, null_mut()) }
}
