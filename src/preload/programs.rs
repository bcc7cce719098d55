//! What programs call to start another by its name, which is looked for in one directory of `PATH` after the
//! other: those in which it is known not to be are left out.

use core::ffi::{c_char, c_int, c_void};
use core::mem::{MaybeUninit, transmute};

use super::known;
use super::others::{ENOSYS, Next, set_errno};
use super::protocol::known::{MAY_EXECUTE, NOTHING_TO_EXECUTE};

type Spawn = unsafe extern "C-unwind" fn(
    *mut c_int,
    *const c_char,
    *const c_void,
    *const c_void,
    *const *const c_char,
    *const *const c_char,
) -> c_int;
type Execute = unsafe extern "C-unwind" fn(*const c_char, *const *const c_char) -> c_int;
type ExecuteWith =
    unsafe extern "C-unwind" fn(*const c_char, *const *const c_char, *const *const c_char) -> c_int;

/// What comes behind this library.
pub static SPAWN: Next = Next::new(c"posix_spawnp");
/// See above.
pub static EXECUTE: Next = Next::new(c"execvp");
/// See above.
pub static EXECUTE_WITH: Next = Next::new(c"execvpe");

/// Longer paths of programs are not looked for.
const LONGEST: usize = 1024;

/// Space for such a path.
struct Space(MaybeUninit<[u8; LONGEST]>);

impl Space {
    fn new() -> Self {
        Self(MaybeUninit::uninit())
    }

    /// The first path at which a program of this name can be, if that is not the first that would be tried; and
    /// whether it is known to be there.
    ///
    /// # Safety
    /// `name` is a string, or null; and nobody changes the environment at the same time.
    #[inline(never)]
    unsafe fn find(&mut self, name: *const c_char) -> Option<(*const c_char, bool)> {
        let (name, space) = (name.cast::<u8>(), self.0.as_mut_ptr().cast::<u8>());
        // SAFETY: as this function's; strings are not read beyond their NULs, nor the space beyond its end.
        unsafe {
            if name.is_null() || *name == 0 {
                return None;
            }
            let mut length = 0;
            while *name.add(length) != 0 {
                if *name.add(length) == b'/' {
                    return None;
                }
                length += 1;
            }
            let mut path = super::value(c"PATH".as_ptr().cast(), 4).cast::<u8>();
            let mut is_first = true;
            // What is not absolute, or is not there, is for others to understand.
            while !path.is_null() && *path == b'/' {
                let mut end = 0;
                while !matches!(*path.add(end), 0 | b':') {
                    end += 1;
                }
                if end + 1 + length >= LONGEST {
                    return None;
                }
                for index in 0..end {
                    *space.add(index) = *path.add(index);
                }
                *space.add(end) = b'/';
                for index in 0..=length {
                    *space.add(end + 1 + index) = *name.add(index);
                }
                let said = known::look(space.cast()).said;
                if said & NOTHING_TO_EXECUTE == 0 {
                    return (!is_first).then_some((space.cast(), said & MAY_EXECUTE != 0));
                }
                is_first = false;
                path = path.add(end);
                if *path == b':' {
                    path = path.add(1);
                }
            }
        }
        None
    }
}

/// Starts a program of this name where it can be first. What is not started from there may be elsewhere: `again` is
/// whether to start it a second time does nothing that was done the first time.
///
/// # Safety
/// As [`Space::find`]'s.
unsafe fn started(
    name: *const c_char,
    again: bool,
    start: impl Fn(*const c_char) -> c_int,
) -> c_int {
    // SAFETY: as this function's.
    match unsafe { Space::new().find(name) } {
        Some((path, is_there)) if (again || is_there) && start(path) == 0 => 0,
        _ => start(name),
    }
}

/// See `posix_spawnp`(3).
///
/// # Safety
/// As the C library's function of this name.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn posix_spawnp(
    process: *mut c_int,
    name: *const c_char,
    actions: *const c_void,
    attributes: *const c_void,
    arguments: *const *const c_char,
    environment: *const *const c_char,
) -> c_int {
    let next = SPAWN.address();
    if next.is_null() {
        return ENOSYS;
    }
    // SAFETY: as this function's; the next function of this name has its type.
    unsafe {
        let next = transmute::<*mut c_void, Spawn>(next);
        let start = |path| next(process, path, actions, attributes, arguments, environment);
        started(name, actions.is_null(), start)
    }
}

/// See execvp(3).
///
/// # Safety
/// As the C library's function of this name.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn execvp(
    name: *const c_char,
    arguments: *const *const c_char,
) -> c_int {
    let next = EXECUTE.address();
    if next.is_null() {
        set_errno(ENOSYS);
        return -1;
    }
    // SAFETY: as this function's; the next function of this name has its type.
    unsafe {
        let next = transmute::<*mut c_void, Execute>(next);
        started(name, true, |path| next(path, arguments))
    }
}

/// See execvpe(3).
///
/// # Safety
/// As the C library's function of this name.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn execvpe(
    name: *const c_char,
    arguments: *const *const c_char,
    environment: *const *const c_char,
) -> c_int {
    let next = EXECUTE_WITH.address();
    if next.is_null() {
        set_errno(ENOSYS);
        return -1;
    }
    // SAFETY: as this function's; the next function of this name has its type.
    unsafe {
        let next = transmute::<*mut c_void, ExecuteWith>(next);
        started(name, true, |path| next(path, arguments, environment))
    }
}
