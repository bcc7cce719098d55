//! Memory that several processes see.

use std::num::NonZero;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::AtomicU64;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::stat::{Mode, fchmod};
use nix::unistd::ftruncate;

/// Memory that whoever has the file can map for reading, and nobody but the owner of this can change.
#[derive(Debug)]
pub struct Shared {
    words: NonNull<AtomicU64>,
    count: usize,
    file: OwnedFd,
}

// SAFETY: it is only ever used as atomic words, from whatever thread.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    /// So many words, all 0 (`memfd_create`(2), `F_SEAL_FUTURE_WRITE`: Linux 5.1).
    ///
    /// # Errors
    /// Those of `memfd_create`(2), ftruncate(2), mmap(2) and fcntl(2).
    pub fn new(words: NonZero<usize>) -> Result<Self, Errno> {
        let count = words.get();
        let bytes = count.checked_mul(size_of::<AtomicU64>()).ok_or(Errno::EINVAL)?;
        // SAFETY: the name is a string.
        let file = unsafe {
            let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
            let number = Errno::result(libc::memfd_create(c"cargo-brig".as_ptr(), flags))?;
            OwnedFd::from_raw_fd(number)
        };
        // Nobody executes it, nor opens it again for writing.
        fchmod(&file, Mode::S_IRUSR)?;
        ftruncate(&file, i64::try_from(bytes).map_err(|_| Errno::EINVAL)?)?;
        // SAFETY: a new mapping of the whole file, at an address of the kernel's choice.
        let address = unsafe {
            let access = libc::PROT_READ | libc::PROT_WRITE;
            libc::mmap(null_mut(), bytes, access, libc::MAP_SHARED, file.as_raw_fd(), 0)
        };
        if address == libc::MAP_FAILED {
            return Err(Errno::last());
        }
        let words = NonNull::new(address.cast()).ok_or(Errno::ENOMEM)?;
        let shared = Self { words, count, file };
        let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
        let seals = seals | SealFlag::from_bits_retain(libc::F_SEAL_FUTURE_WRITE);
        fcntl(&shared.file, FcntlArg::F_ADD_SEALS(seals))?;
        Ok(shared)
    }

    /// The words.
    #[must_use]
    pub fn words(&self) -> &[AtomicU64] {
        // SAFETY: mapped until this is dropped, page-aligned, and only used as atomic words.
        unsafe { std::slice::from_raw_parts(self.words.as_ptr(), self.count) }
    }

    /// The file, again.
    ///
    /// # Errors
    /// `EMFILE`.
    pub fn file(&self) -> Result<OwnedFd, Errno> {
        let file = self.file.as_fd().try_clone_to_owned();
        file.map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or_default()))
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: the whole mapping, which nobody refers to any more.
        unsafe { libc::munmap(self.words.as_ptr().cast(), self.count * size_of::<AtomicU64>()) };
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    #[test]
    fn the_file_cannot_be_changed_and_shows_what_is() {
        let shared = Shared::new(NonZero::new(512).unwrap()).unwrap();
        let file = shared.file().unwrap();
        let mut bytes = [1; 8];
        assert_eq!(nix::sys::uio::pread(&file, &mut bytes, 8), Ok(8));
        assert_eq!(bytes, [0; 8]);
        assert_eq!(nix::sys::uio::pwrite(&file, &[1], 8), Err(Errno::EPERM));
        assert_eq!(ftruncate(&file, 0), Err(Errno::EPERM));
        shared.words()[1].store(7, Ordering::Relaxed);
        assert_eq!(nix::sys::uio::pread(&file, &mut bytes, 8), Ok(8));
        assert_eq!(u64::from_ne_bytes(bytes), 7);
        // SAFETY: a mapping of its own, which is not used.
        let writable = unsafe {
            let access = libc::PROT_READ | libc::PROT_WRITE;
            libc::mmap(null_mut(), 4096, access, libc::MAP_SHARED, file.as_raw_fd(), 0)
        };
        assert_eq!((writable, Errno::last()), (libc::MAP_FAILED, Errno::EPERM));
    }
}
