//! The jail: what confines a script, and how a process puts itself into it.
//!
//! [`plan`] prepares everything before a process is forked, [`enter`] is what the new processes
//! do to themselves, [`mounts`] what they see in the place of what is redirected. Policy is only seen as
//! grants; who is being confined is not known here.

pub mod enter;
pub mod filter;
pub mod landlock;
pub mod mounts;
mod numbers;
pub mod plan;
pub mod rule;
pub mod syscalls;

pub use plan::{Enforced, Plan};
