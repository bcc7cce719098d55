//! What this machine runs in, by the traces that containers leave. Nothing is decided by it: it
//! says who can change what is missing.

use std::env;
use std::fs;
use std::path::Path;

use serde::Serialize;

/// A kind of container, or of kernel that is not Linux's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Container {
    /// A kernel in user space.
    Gvisor,
    /// System calls that Windows answers.
    Wsl1,
    /// Linux beside Windows.
    Wsl2,
    /// A pod's container.
    Kubernetes,
    /// Docker's.
    Docker,
    /// Podman's, or Buildah's.
    Podman,
    /// LXC's, or Incus's.
    Lxc,
    /// `systemd-nspawn`'s.
    SystemdNspawn,
    /// Something else that says `container=`, or whose control group says so.
    Other,
}

/// What is looked at.
#[derive(Debug, Default)]
struct Traces {
    /// `/proc/version`.
    version: String,
    /// `/proc/1/cgroup`.
    cgroup: String,
    /// The variable `container`, or the file by which systemd passes it on.
    named: String,
    /// Which of these files exist.
    docker_env: bool,
    container_env: bool,
    /// `KUBERNETES_SERVICE_HOST` is set.
    kubernetes: bool,
}

impl Container {
    /// Looks for traces; none where there are none.
    #[must_use]
    pub fn detect() -> Option<Self> {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let manager = text("/run/host/container-manager") + &text("/run/systemd/container");
        let traces = Traces {
            version: text("/proc/version"),
            cgroup: text("/proc/1/cgroup"),
            named: env::var("container").unwrap_or(manager),
            docker_env: Path::new("/.dockerenv").exists(),
            container_env: Path::new("/run/.containerenv").exists(),
            kubernetes: env::var_os("KUBERNETES_SERVICE_HOST").is_some(),
        };
        Self::of(&traces)
    }

    fn of(traces: &Traces) -> Option<Self> {
        let Traces { version, cgroup, named, .. } = traces;
        Some(match named.trim() {
            // It calls itself Linux 4.4.0 of this day (gVisor, `pkg/sentry/kernel`).
            _ if version.contains("Sun Jan 10 15:06:54 PST 2016") => Self::Gvisor,
            _ if traces.kubernetes || cgroup.contains("kubepods") => Self::Kubernetes,
            "podman" | "buildah" => Self::Podman,
            _ if traces.container_env => Self::Podman,
            "docker" => Self::Docker,
            _ if traces.docker_env || cgroup.contains("/docker") => Self::Docker,
            "lxc" | "lxc-libvirt" | "incus" => Self::Lxc,
            _ if cgroup.contains("/lxc") => Self::Lxc,
            "systemd-nspawn" => Self::SystemdNspawn,
            // Containers above are Docker's in Windows, too; the kernel is named last.
            _ if version.contains("microsoft-standard") || named.trim() == "wsl" => Self::Wsl2,
            _ if version.contains("Microsoft") => Self::Wsl1,
            "" => return None,
            _ => Self::Other,
        })
    }

    /// Its name, as a person reads it.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Gvisor => "gVisor",
            Self::Wsl1 => "WSL 1",
            Self::Wsl2 => "WSL 2",
            Self::Kubernetes => "a Kubernetes container",
            Self::Docker => "a Docker container",
            Self::Podman => "a Podman container",
            Self::Lxc => "an LXC container",
            Self::SystemdNspawn => "a systemd-nspawn container",
            Self::Other => "a container",
        }
    }

    /// How calls are let through that are refused by somebody else's seccomp filter.
    #[must_use]
    pub fn allow_calls(container: Option<Self>, calls: &str) -> String {
        match container {
            Some(Self::Gvisor) => format!(
                "gVisor answers system calls itself and does not have {calls}: use another runtime \
                 (runc, crun, Kata) for builds"
            ),
            Some(Self::Wsl1) => {
                "WSL 1 has no Linux kernel: `wsl --set-version DISTRIBUTION 2`".to_owned()
            }
            Some(Self::Docker) => format!(
                "update Docker (23 or newer, with a current libseccomp), whose default profile \
                 lets {calls} through, or give a profile that does: `--security-opt \
                 seccomp=profile.json`"
            ),
            Some(Self::Podman) => format!(
                "update Podman and containers-common, whose default profile lets {calls} through, \
                 or give a profile that does: `--security-opt seccomp=profile.json`"
            ),
            Some(Self::Kubernetes) => format!(
                "let the pod's profile (`securityContext.seccompProfile`) allow {calls}, as \
                 `RuntimeDefault` of a current container runtime does"
            ),
            Some(Self::Lxc) => {
                format!("let the container's profile (`lxc.seccomp.profile`) allow {calls}")
            }
            Some(Self::SystemdNspawn) => {
                format!("start the container with `--system-call-filter` allowing {calls}")
            }
            Some(Self::Wsl2 | Self::Other) | None => format!(
                "whoever started this has installed a seccomp filter (systemd's \
                 `SystemCallFilter=`, a sandbox, a container): let it allow {calls}"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(named: &str) -> Traces {
        Traces { named: named.to_owned(), ..Traces::default() }
    }

    #[test]
    fn containers_are_known_by_their_traces() {
        assert_eq!(Container::of(&Traces::default()), None);
        for (name, container) in [
            ("docker", Container::Docker),
            ("podman\n", Container::Podman),
            ("lxc", Container::Lxc),
            ("systemd-nspawn", Container::SystemdNspawn),
            ("wsl", Container::Wsl2),
            ("flatpak", Container::Other),
        ] {
            assert_eq!(Container::of(&named(name)), Some(container), "{name}");
        }
        let version = |text: &str| Traces { version: text.to_owned(), ..Traces::default() };
        for (text, container) in [
            ("Linux version 4.4.0 #1 SMP Sun Jan 10 15:06:54 PST 2016", Container::Gvisor),
            ("Linux version 4.4.0-19041-Microsoft (Microsoft@Microsoft.com)", Container::Wsl1),
            ("Linux version 5.15.90.1-microsoft-standard-WSL2 (oe-user@oe-host)", Container::Wsl2),
        ] {
            assert_eq!(Container::of(&version(text)), Some(container), "{text}");
        }
        let cgroup = |text: &str| Traces { cgroup: text.to_owned(), ..Traces::default() };
        assert_eq!(Container::of(&cgroup("1:cpu:/docker/1f\n")), Some(Container::Docker));
        assert_eq!(Container::of(&cgroup("0::/kubepods/x\n")), Some(Container::Kubernetes));
        assert_eq!(Container::of(&cgroup("0::/\n")), None);
        let both = Traces { docker_env: true, kubernetes: true, ..Traces::default() };
        assert_eq!(Container::of(&both), Some(Container::Kubernetes));
    }

    #[test]
    fn everybody_is_told_which_calls_are_meant() {
        for container in [Some(Container::Docker), Some(Container::Lxc), None] {
            assert!(Container::allow_calls(container, "seccomp(2)").contains("seccomp(2)"));
        }
    }
}
