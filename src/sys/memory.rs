//! Another process's memory.

use std::io;

use nix::errno::Errno;

/// Reads up to `buffer.len()` bytes of another process's memory (`process_vm_readv(2)`).
///
/// # Errors
/// `EFAULT` if nothing is mapped there, `ESRCH` if the process is gone, `EPERM`.
pub fn read_memory(pid: u32, address: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let local = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let remote = libc::iovec {
        iov_base: std::ptr::with_exposed_provenance_mut(
            usize::try_from(address).map_err(|_| io::Error::from_raw_os_error(libc::EFAULT))?,
        ),
        iov_len: buffer.len(),
    };
    let pid = i32::try_from(pid).map_err(|_| io::Error::from_raw_os_error(libc::ESRCH))?;
    // SAFETY: `local` describes `buffer`, which is writable; `remote` is only ever read, in the
    // other process, and checked there by the kernel.
    let read = unsafe { libc::process_vm_readv(pid, &raw const local, 1, &raw const remote, 1, 0) };
    usize::try_from(read).map_err(|_| io::Error::last_os_error())
}

/// Writes bytes into another process's memory (`process_vm_writev(2)`), and says how many.
///
/// # Errors
/// `EFAULT` if nothing can be written there, `ESRCH` if the process is gone, `EPERM`.
pub fn write_memory(pid: u32, address: u64, bytes: &[u8]) -> Result<usize, Errno> {
    let pid = i32::try_from(pid).map_err(|_| Errno::ESRCH)?;
    let local = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let address = usize::try_from(address).map_err(|_| Errno::EFAULT)?;
    let remote = libc::iovec {
        iov_base: std::ptr::with_exposed_provenance_mut(address),
        iov_len: bytes.len(),
    };
    // SAFETY: `local` describes `bytes`, which is only read; `remote` is only written in the other
    // process, and checked there by the kernel.
    let written =
        unsafe { libc::process_vm_writev(pid, &raw const local, 1, &raw const remote, 1, 0) };
    Errno::result(written).map(|written| usize::try_from(written).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_its_own_memory() {
        let source = *b"an exact copy";
        let mut buffer = [0; 13];
        let read = read_memory(std::process::id(), source.as_ptr().addr() as u64, &mut buffer);
        assert_eq!(read.unwrap(), 13);
        assert_eq!(buffer, source);
    }

    #[test]
    fn unmapped_memory_is_an_error() {
        let error = read_memory(std::process::id(), 8, &mut [0; 4]).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EFAULT));
    }
}
