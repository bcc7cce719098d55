//! Which Landlock the kernel has.

use std::ffi::c_void;

use nix::errno::Errno;

use super::as_int;

/// The Landlock ABI of the running kernel: 1 or more, or 0 if Landlock is missing or switched off.
#[must_use]
pub fn landlock_abi() -> i32 {
    landlock_version().unwrap_or(0).max(0)
}

/// The Landlock ABI of the running kernel (`landlock_create_ruleset(2)` with
/// `LANDLOCK_CREATE_RULESET_VERSION`).
///
/// # Errors
/// `ENOSYS` if the kernel has no Landlock, `EOPNOTSUPP` if it is switched off.
pub fn landlock_version() -> Result<i32, Errno> {
    const CREATE_RULESET_VERSION: libc::c_uint = 1;
    // SAFETY: with this flag the kernel takes a null pointer and size 0 and creates nothing.
    let abi = Errno::result(unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<c_void>(),
            0_usize,
            CREATE_RULESET_VERSION,
        )
    })?;
    Ok(as_int(abi))
}
