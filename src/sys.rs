//! System calls that neither `std` nor `nix` offers in a safe form.
//!
//! The only module of the program that contains `unsafe`; the library that is preloaded and what a launcher
//! starts as are programs of their own, and tests make raw calls. Every function here is safe to call,
//! makes one system call (or one libc call that wraps it), and says which man page or kernel document
//! describes it. It knows nothing of policies, units or records.

#![expect(
    unsafe_code,
    reason = "the one module that talks to the kernel where no safe wrapper exists"
)]

mod descriptor;
mod file;
pub mod inspect;
mod interruption;
mod landlock;
mod memory;
mod mount;
mod process;
mod seccomp;
mod shared;
mod signal;
mod socket;

use std::io;

pub use descriptor::{
    bytes_in_pipe, close_descriptors_except, duplicate_to, is_inherited_pipe, own_descriptor,
    read_inherited, set_inheritable, set_status_flags, status_flags,
};
pub use file::{
    folds_case, look, open, open_once, read_link, remove_attribute, rename, set_attribute, status,
};
pub use interruption::uninterrupted;
pub use landlock::{landlock_abi, landlock_version};
pub use memory::{read_memory, write_memory};
pub use mount::{attach, clone_tree, make_all_private, make_read_only};
pub use process::{
    Fork, Usage, Waited, children_usage, drop_capabilities, exit_now, exit_status, fork, limit_of,
    parent_of, process_descriptor, start_with_signal_mask, wait_any,
};
pub use seccomp::{
    Answer, Notification, add_descriptor, add_filter, answer_notification, install_filter,
    is_waiting, receive_notification, try_filter_flags, wake_listener_on_same_cpu,
};
pub use shared::Shared;
pub use signal::{ignore, let_interrupt, reset_signal_dispositions};
pub use socket::{descriptor_of, disconnect, socket_option, thread_descriptor};

fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// A result that the kernel documents to be an `int`.
fn as_int(value: libc::c_long) -> i32 {
    i32::try_from(value).expect("the kernel's documentation says that it is an int")
}
