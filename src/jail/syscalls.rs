//! What the filter does with every system call of Linux.
//!
//! One decision is for both architectures and compiles on either, so that it cannot differ between them and a
//! test on one machine checks both. [`filter`](super::filter) makes a program of it; the warden reads names
//! and reasons from it. A number that is not in [`TOPICS`] is answered with `ENOSYS`: what a newer kernel
//! adds is refused until somebody has judged it, and libraries fall back as they do on an older kernel.

mod table;

use super::rule::Rule;
pub use table::TOPICS;

/// An architecture that the jail supports, always with its 64-bit, little-endian system calls.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Architecture {
    /// x86-64, without its 32-bit and x32 entries.
    X86_64,
    /// 64-bit Arm, without its 32-bit entry.
    Aarch64,
}

impl Architecture {
    /// The architecture that this program is compiled for.
    #[cfg(target_arch = "x86_64")]
    pub const NATIVE: Self = Self::X86_64;
    /// The architecture that this program is compiled for.
    #[cfg(target_arch = "aarch64")]
    pub const NATIVE: Self = Self::Aarch64;

    /// The `AUDIT_ARCH_*` value by which seccomp names it (`linux/audit.h`: the ELF machine,
    /// 64-bit, little-endian).
    #[must_use]
    pub const fn audit(self) -> u32 {
        match self {
            Self::X86_64 => 0xc000_003e,
            Self::Aarch64 => 0xc000_00b7,
        }
    }
}

/// One system call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SystemCall {
    /// Its name in the kernel's tables, without `sys_`.
    pub name: &'static str,
    /// What the filter does with it.
    pub rule: Rule,
    x86_64: Option<u32>,
    aarch64: Option<u32>,
}

impl SystemCall {
    /// Its number, where the architecture has it.
    #[must_use]
    pub const fn number(&self, architecture: Architecture) -> Option<u32> {
        match architecture {
            Architecture::X86_64 => self.x86_64,
            Architecture::Aarch64 => self.aarch64,
        }
    }
}

/// System calls that serve one purpose, and are let through or not for one reason.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Topic {
    /// What a call of this topic does: the reason for looking at it, as the end of a sentence that
    /// begins with its name.
    pub reason: &'static str,
    /// The calls.
    pub calls: &'static [SystemCall],
}

/// The system call with this number, and its topic. `None` is refused with `ENOSYS`.
#[must_use]
pub fn find(
    architecture: Architecture,
    number: u32,
) -> Option<(&'static Topic, &'static SystemCall)> {
    TOPICS
        .iter()
        .flat_map(|topic| topic.calls.iter().map(move |call| (topic, call)))
        .find(|(_, call)| call.number(architecture) == Some(number))
}

#[cfg(test)]
mod tests;
