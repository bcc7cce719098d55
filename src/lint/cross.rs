//! Cross builds: where the linker is told to look, or for whom to make code, must be the target's.

use super::subject::Subject;
use super::{Code, Lint};
use crate::instruction::{Kind, LinkFlag};
use crate::policy::placeholders::is_below;

/// Where a system keeps the libraries of its own machine.
const OF_THE_HOST: [&str; 6] =
    ["/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/local/lib64", "/lib", "/lib64"];
/// Flags that mean the machine on which the compiler runs.
const NATIVE: [&str; 3] = ["-march=native", "-mcpu=native", "-mtune=native"];

/// The host's paths and flags.
#[must_use]
pub fn host_paths(subject: &Subject<'_>) -> Option<Lint> {
    let target = subject.unit.target.as_deref()?;
    if subject.unit.host.as_deref()? == target {
        return None;
    }
    let all = subject.instructions.iter().chain(&subject.withheld);
    let items = all.filter(|instruction| {
        let is_host = |path: &str| is_of_the_host(path, target);
        match instruction.kind() {
            Kind::LinkSearch(value) => is_host(path_of(value)),
            Kind::Flags(flags) => flags
                .iter()
                .any(|flag| matches!(flag, LinkFlag::Search(value) if is_host(path_of(value)))),
            Kind::LinkArg(arg)
            | Kind::LinkArgBin { arg, .. }
            | Kind::LinkArgBins(arg)
            | Kind::LinkArgTests(arg)
            | Kind::LinkArgExamples(arg)
            | Kind::LinkArgBenches(arg)
            | Kind::LinkArgCdylib { arg, .. } => {
                arg.split(',').any(|part| NATIVE.contains(&part) || is_host(after_option(part)))
            }
            _ => false,
        }
    });
    Lint::about(
        Code::HostPathInCrossBuild,
        &format!("names paths or flags of the host in a build for {target}"),
        items.map(ToString::to_string).collect(),
    )
}

/// `KIND=PATH` or `PATH`.
fn path_of(value: &str) -> &str {
    match value.split_once('=') {
        Some((kind, path)) if !kind.contains('/') => path,
        _ => value,
    }
}

/// The path in `-L/path`, `-rpath=/path` and the like; a path itself.
fn after_option(arg: &str) -> &str {
    if arg.starts_with('-') { arg.find('/').map_or("", |at| &arg[at..]) } else { arg }
}

/// Whether the libraries there are the host's. Those of other machines lie in directories that are called
/// after them (Debian's multiarch specification, and every cross toolchain).
fn is_of_the_host(path: &str, target: &str) -> bool {
    let Some((architecture, rest)) = target.split_once('-') else { return false };
    let system = rest.split_once('-').map_or(rest, |(_vendor, system)| system);
    // Other names for the same: i386, arm, riscv64, powerpc64le.
    let family: String =
        architecture.chars().take_while(|c| c.is_ascii_alphabetic() && *c != 'v').collect();
    let is_targets = path.split('/').any(|name| {
        name.contains(target)
            || name.contains(architecture)
            || name.ends_with(system) && name.starts_with(&family)
    });
    // 32-bit libraries of a 64-bit machine.
    let is_multilib = path.contains("lib32") || path.contains("libx32");
    !is_targets && !is_multilib && OF_THE_HOST.iter().any(|of| is_below(path, of))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_targets_own_directories_are_told_apart() {
        for (path, target, expected) in [
            ("/usr/lib/x86_64-linux-gnu", "aarch64-unknown-linux-gnu", true),
            ("/usr/lib", "aarch64-unknown-linux-gnu", true),
            ("/usr/lib/aarch64-linux-gnu", "aarch64-unknown-linux-gnu", false),
            ("/usr/lib/arm-linux-gnueabihf", "armv7-unknown-linux-gnueabihf", false),
            ("/usr/lib/i386-linux-gnu", "i686-unknown-linux-gnu", false),
            ("/usr/lib32", "i686-unknown-linux-gnu", false),
            ("/usr/lib/x86_64-linux-musl", "x86_64-unknown-linux-musl", false),
            ("/usr/aarch64-linux-gnu/lib", "aarch64-unknown-linux-gnu", false),
            ("/srv/sysroot/usr/lib", "aarch64-unknown-linux-gnu", false),
            ("lib", "aarch64-unknown-linux-gnu", false),
        ] {
            assert_eq!(is_of_the_host(path, target), expected, "{path} for {target}");
        }
        assert_eq!(path_of("native=/usr/lib"), "/usr/lib");
        assert_eq!(path_of("/a=b"), "/a=b");
        assert_eq!(after_option("-L/usr/lib"), "/usr/lib");
    }
}
