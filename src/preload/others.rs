//! What this library takes of others: the C library, or what else stands behind it in the loader's order.

use core::arch::{asm, global_asm};
use core::ffi::{CStr, c_char, c_int, c_void};
use core::ptr::{null_mut, without_provenance_mut};
use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicBool, AtomicPtr};

use super::symbols;

pub const EPERM: c_int = 1;
pub const ENOENT: c_int = 2;
pub const ENOMEM: c_int = 12;
pub const EINVAL: c_int = 22;
pub const ENOSYS: c_int = 38;

type Malloc = unsafe extern "C" fn(usize) -> *mut c_void;
type Errno = unsafe extern "C" fn() -> *mut c_int;
type Symbol = unsafe extern "C" fn(*mut c_void, *const c_char) -> *mut c_void;
type Visit = unsafe extern "C" fn(*const Object, usize, *mut c_void) -> c_int;
type Iterate = unsafe extern "C" fn(Visit, *mut c_void) -> c_int;

/// `struct dl_phdr_info` (`dl_iterate_phdr`(3)), as far as it matters.
#[repr(C)]
pub struct Object {
    pub base: usize,
    name: *const c_char,
    segments: *const Segment,
    count: u16,
}

impl Object {
    /// The first of its segments that is such a one.
    pub fn segment(&self, is_wanted: impl Fn(&Segment) -> bool) -> Option<&Segment> {
        // SAFETY: the loader says of an object how many segments it has.
        let segment = |index| unsafe { &*self.segments.add(index) };
        (0..usize::from(self.count)).map(segment).find(|segment| is_wanted(segment))
    }
}

/// `Elf64_Phdr` (elf(5)).
#[repr(C)]
pub struct Segment {
    pub kind: u32,
    flags: u32,
    offset: u64,
    pub address: u64,
    physical_address: u64,
    file_size: u64,
    size: u64,
    alignment: u64,
}

/// Where an object's code is: from, and how much.
type Code = (usize, usize);

// Weak: a program without these never calls what needs them, and must start all the same. The linker defines where
// this library's own header is.
global_asm!(
    ".weak malloc",
    ".weak __errno_location",
    ".weak dlsym",
    ".weak dl_iterate_phdr",
    ".hidden __ehdr_start",
);

/// Where this library is mapped.
pub fn own_base() -> usize {
    let base;
    // SAFETY: calculates an address.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        asm!(
            "lea {}, [rip + __ehdr_start]",
            out(reg) base,
            options(pure, nomem, nostack, preserves_flags),
        );
        #[cfg(target_arch = "aarch64")]
        asm!(
            "adrp {0}, __ehdr_start",
            "add {0}, {0}, :lo12:__ehdr_start",
            out(reg) base,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    base
}

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

/// Where the calling thread's errno is; null without a C library.
fn errno_location() -> *mut c_int {
    match address_of!("__errno_location") {
        0 => null_mut(),
        // SAFETY: the C library's function of this name has this type, and only answers.
        location => unsafe { core::mem::transmute::<usize, Errno>(location)() },
    }
}

/// errno(3).
pub fn errno() -> c_int {
    let location = errno_location();
    // SAFETY: it is the thread's own.
    if location.is_null() { 0 } else { unsafe { *location } }
}

/// Sets errno(3).
pub fn set_errno(errno: c_int) {
    let location = errno_location();
    if !location.is_null() {
        // SAFETY: it is the thread's own.
        unsafe { *location = errno };
    }
}

/// See malloc(3).
pub fn malloc(size: usize) -> *mut u8 {
    match address_of!("malloc") {
        0 => null_mut(),
        // SAFETY: malloc(3) has this type.
        malloc => unsafe { core::mem::transmute::<usize, Malloc>(malloc)(size).cast() },
    }
}

/// A name as dlsym(3) takes it.
///
/// # Panics
/// If it does not end with its only NUL.
pub const fn name(text: &'static str) -> &'static CStr {
    match CStr::from_bytes_with_nul(text.as_bytes()) {
        Ok(name) => name,
        Err(_) => panic!(),
    }
}

/// The function of a name that would be called without this library.
pub struct Next {
    pub name: &'static CStr,
    pub found: AtomicPtr<c_void>,
}

impl Next {
    /// Of this name.
    pub const fn new(name: &'static CStr) -> Self {
        Self { name, found: AtomicPtr::new(null_mut()) }
    }

    /// Its address; null if there is none.
    pub fn address(&self) -> *mut c_void {
        const NEXT: *mut c_void = without_provenance_mut(usize::MAX);
        let found = self.found.load(Relaxed);
        if !found.is_null() {
            return found;
        }
        let symbol = address_of!("dlsym");
        if symbol == 0 {
            symbols::find(&[self]);
            return self.found.load(Relaxed);
        }
        // SAFETY: dlsym(3) has this type, and `RTLD_NEXT` finds what stands behind this library.
        let found =
            unsafe { core::mem::transmute::<usize, Symbol>(symbol)(NEXT, self.name.as_ptr()) };
        self.found.store(found, Relaxed);
        found
    }
}

/// Whether some other library stands before the C library's functions.
static IN_COMPANY: AtomicBool = AtomicBool::new(true);

/// Whether all that this library stands before is the C library's: otherwise nothing is known of what a
/// path means to somebody who has put a library of his own there.
pub fn are_alone() -> bool {
    !IN_COMPANY.load(Relaxed)
}

/// See `dl_iterate_phdr`(3).
pub fn iterate(visit: Visit, with: *mut c_void) {
    let iterate = address_of!("dl_iterate_phdr");
    if iterate != 0 {
        // SAFETY: `dl_iterate_phdr`(3) has this type, and calls with what it is given.
        unsafe { core::mem::transmute::<usize, Iterate>(iterate)(visit, with) };
    }
}

/// Looks for all of these, and whether they are the C library's.
pub fn find(all: &[&Next]) {
    let mut code: Code = (0, 0);
    iterate(c_library, (&raw mut code).cast());
    // In one go: what there is not would be looked for again.
    let has_dlsym = address_of!("dlsym") != 0;
    if !has_dlsym {
        symbols::find(all);
    }
    let mut others = false;
    for next in all {
        let found = if has_dlsym { next.address() } else { next.found.load(Relaxed) };
        let address = found.expose_provenance();
        // What there is not, nobody calls.
        others |= address != 0 && address.wrapping_sub(code.0) >= code.1;
    }
    IN_COMPANY.store(others, Relaxed);
}

/// Says where the object's code is, and ends the search, if it is the C library.
///
/// # Safety
/// As `dl_iterate_phdr`(3) calls it.
unsafe extern "C" fn c_library(object: *const Object, _: usize, code: *mut c_void) -> c_int {
    const LOADED: u32 = 1;
    const EXECUTABLE: u32 = 1;
    let own = address_of!("__errno_location");
    // SAFETY: as this function's.
    let (object, code) = unsafe { (&*object, &mut *code.cast::<Code>()) };
    let code_of = |segment: &Segment| {
        (object.base.wrapping_add(segment.address as usize), segment.size as usize)
    };
    let found = object.segment(|segment| {
        let (start, size) = code_of(segment);
        segment.kind == LOADED && segment.flags & EXECUTABLE != 0 && own.wrapping_sub(start) < size
    });
    let Some(segment) = found else { return 0 };
    *code = code_of(segment);
    1
}
