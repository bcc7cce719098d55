//! The machine, as it says of itself. No check: what is checked is tried.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::thread;

use nix::unistd::geteuid;
use serde::Serialize;

use super::container::Container;

/// See the file's description. What is not known is none.
#[derive(Debug, Serialize)]
pub struct Machine {
    /// Release of the kernel.
    pub kernel: Option<String>,
    /// Of this program.
    pub architecture: &'static str,
    /// Security modules that are switched on.
    pub security_modules: Option<String>,
    /// Effective user id.
    pub user: u32,
    /// Effective capabilities, in hexadecimal digits.
    pub capabilities: Option<String>,
    /// `no_new_privs` is set already.
    pub no_new_privs: Option<bool>,
    /// Seccomp filters that somebody else has installed.
    pub seccomp_filters: Option<u32>,
    /// User and group ids are those of a user namespace.
    pub user_namespace: Option<bool>,
    /// `kernel.yama.ptrace_scope`; none without Yama.
    pub ptrace_scope: Option<u32>,
    /// What this runs in; none where nothing says so.
    pub container: Option<Container>,
    /// Processors that may be used.
    pub processors: Option<usize>,
    /// Memory that may be used, in KiB.
    pub memory_kib: Option<u64>,
}

impl Machine {
    /// Reads what there is.
    #[must_use]
    pub fn read() -> Self {
        let status = own_status();
        let field = |name: &str| status.as_ref()?.get(name).cloned();
        Self {
            kernel: text("/proc/sys/kernel/osrelease"),
            architecture: std::env::consts::ARCH,
            security_modules: text("/sys/kernel/security/lsm"),
            user: geteuid().as_raw(),
            capabilities: field("CapEff"),
            no_new_privs: field("NoNewPrivs").map(|value| value == "1"),
            seccomp_filters: field("Seccomp_filters").and_then(|value| value.parse().ok()),
            // The initial namespace maps every id to itself (user_namespaces(7)).
            user_namespace: text("/proc/self/uid_map")
                .map(|map| map.split_whitespace().collect::<Vec<_>>() != ["0", "0", "4294967295"]),
            ptrace_scope: text("/proc/sys/kernel/yama/ptrace_scope").and_then(|n| n.parse().ok()),
            container: Container::detect(),
            processors: thread::available_parallelism().ok().map(usize::from),
            memory_kib: memory_kib(),
        }
    }
}

/// The calling process's `/proc/self/status`, by the names of the fields; none if it cannot be
/// read.
#[must_use]
pub fn own_status() -> Option<BTreeMap<String, String>> {
    let status = text("/proc/self/status")?;
    let fields = status.lines().filter_map(|line| line.split_once(':'));
    Some(fields.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect())
}

fn text(path: impl AsRef<Path>) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// The machine's memory, or less where the control group has less (cgroups(7), `memory.max`).
fn memory_kib() -> Option<u64> {
    let info = text("/proc/meminfo")?;
    let total = info.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let total: u64 = total.trim().strip_suffix(" kB")?.parse().ok()?;
    let group = text("/proc/self/cgroup").unwrap_or_default();
    let group = group.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    let path = Path::new("/sys/fs/cgroup").join(group);
    let most = path
        .ancestors()
        .take_while(|path| path.starts_with("/sys/fs/cgroup"))
        .filter_map(|path| text(path.join("memory.max"))?.parse::<u64>().ok())
        .min();
    Some(most.map_or(total, |bytes| total.min(bytes / 1024)))
}
