//! Looking for functions where dlsym(3) cannot be called: before glibc 2.34 it is in a library of its own, with
//! which most programs are not linked.
//!
//! Of the objects that the loader has mapped behind this library, in its order, the first that has a function has
//! it, as dlsym says of `RTLD_NEXT`. The hash table that is read is the one that every C library of that age has
//! (`DT_GNU_HASH`); the versions are those that the linker takes by default (elf(5), `VERSYM`).

use core::ffi::{CStr, c_int, c_void};
use core::ptr::{null, with_exposed_provenance, with_exposed_provenance_mut};
use core::sync::atomic::Ordering::Relaxed;

use super::others::{Next, Object, iterate, own_base};

/// `Elf64_Dyn` (elf(5)).
#[repr(C)]
struct Dynamic {
    tag: u64,
    value: usize,
}

/// `Elf64_Sym` (elf(5)).
#[repr(C)]
struct Symbol {
    name: u32,
    info: u8,
    other: u8,
    section: u16,
    value: usize,
    size: u64,
}

/// Where an object has its symbols.
struct Symbols {
    base: usize,
    symbols: *const Symbol,
    names: *const u8,
    hash: *const u32,
    versions: *const u16,
}

/// What is looked for, and whether this library has been passed.
struct Search<'a> {
    all: &'a [&'a Next],
    is_behind: bool,
}

/// Finds all of these that have not been found.
pub fn find(all: &[&Next]) {
    let mut search = Search { all, is_behind: false };
    iterate(look_into, (&raw mut search).cast());
}

/// Looks into one object.
///
/// # Safety
/// As `dl_iterate_phdr`(3) calls it, with a [`Search`].
unsafe extern "C" fn look_into(object: *const Object, _: usize, search: *mut c_void) -> c_int {
    // SAFETY: as this function's.
    unsafe {
        let search = &mut *search.cast::<Search<'_>>();
        if (*object).base == own_base() {
            search.is_behind = true;
        } else if search.is_behind
            && let Some(symbols) = Symbols::of(&*object)
        {
            for next in search.all {
                if next.found.load(Relaxed).is_null()
                    && let Some(address) = symbols.function(next.name)
                {
                    next.found.store(with_exposed_provenance_mut(address), Relaxed);
                }
            }
        }
    }
    0
}

impl Symbols {
    /// An object's; none if it has no such hash table.
    ///
    /// # Safety
    /// The loader has mapped it.
    unsafe fn of(object: &Object) -> Option<Self> {
        const DYNAMIC: u32 = 2;
        const END: u64 = 0;
        const NAMES: u64 = 5;
        const SYMBOLS: u64 = 6;
        const HASH: u64 = 0x6fff_fef5;
        const VERSIONS: u64 = 0x6fff_fff0;
        let base = object.base;
        let (mut symbols, mut names): (*const Symbol, *const u8) = (null(), null());
        let (mut hash, mut versions): (*const u32, *const u16) = (null(), null());
        let address = object.segment(|segment| segment.kind == DYNAMIC)?.address as usize;
        let mut entry: *const Dynamic = with_exposed_provenance(base.wrapping_add(address));
        // SAFETY: as this function's; such a list ends with an entry that says so.
        unsafe {
            while (*entry).tag != END {
                let value = (*entry).value;
                // Some loaders write addresses there, others leave what the file has.
                let place = if value < base { base + value } else { value };
                match (*entry).tag {
                    NAMES => names = with_exposed_provenance(place),
                    SYMBOLS => symbols = with_exposed_provenance(place),
                    HASH => hash = with_exposed_provenance(place),
                    VERSIONS => versions = with_exposed_provenance(place),
                    _ => {}
                }
                entry = entry.add(1);
            }
        }
        let has_all = !symbols.is_null() && !names.is_null() && !hash.is_null();
        has_all.then_some(Self { base, symbols, names, hash, versions })
    }

    /// The address of a function of this name, of the version that is taken by default.
    ///
    /// # Safety
    /// The loader has mapped the object.
    unsafe fn function(&self, name: &CStr) -> Option<usize> {
        const FUNCTION: u8 = 2;
        const HIDDEN: u16 = 0x8000;
        let hashed = name
            .to_bytes()
            .iter()
            .fold(5381_u32, |hash, byte| hash.wrapping_mul(33).wrapping_add(u32::from(*byte)));
        // SAFETY: as this function's; the table's parts lie as its header says, and each chain has an end.
        unsafe {
            let [buckets, first, filters] = [0, 1, 2].map(|index| *self.hash.add(index));
            if buckets == 0 {
                return None;
            }
            let bucket = self.hash.add(4 + 2 * filters as usize);
            let chain = bucket.add(buckets as usize);
            let mut index = *bucket.add((hashed % buckets) as usize);
            if index < first {
                return None;
            }
            loop {
                let other = *chain.add((index - first) as usize);
                let symbol = &*self.symbols.add(index as usize);
                let is_default =
                    self.versions.is_null() || *self.versions.add(index as usize) & HIDDEN == 0;
                if other | 1 == hashed | 1
                    && symbol.section != 0
                    && symbol.info & 0xf == FUNCTION
                    && is_default
                    && is_same(self.names.add(symbol.name as usize), name)
                {
                    return Some(self.base.wrapping_add(symbol.value));
                }
                if other & 1 != 0 {
                    return None;
                }
                index += 1;
            }
        }
    }
}

/// # Safety
/// `text` is a string.
unsafe fn is_same(text: *const u8, name: &CStr) -> bool {
    let mut bytes = name.to_bytes_with_nul().iter().enumerate();
    // SAFETY: what is equal so far has not come to its end.
    bytes.all(|(index, byte)| unsafe { *text.add(index) } == *byte)
}
