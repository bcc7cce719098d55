//! Landlock: the rulesets of a jail (landlock(7), the kernel's `userspace-api/landlock`).
//!
//! Two domains are nested. The **outer** one carries the path rules and is entered by the warden,
//! which starts the script from inside it. The **inner** one adds nothing but scopes and is entered
//! by the script: so the script cannot signal or inspect the warden, while the warden can do both
//! to every process of the script.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::CString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use ::landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, NetPort, PathBeneath,
    PathFd, RestrictionStatus, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr,
    RulesetError, RulesetStatus, Scope,
};
use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::sys::stat::{SFlag, fstat};
use nix::unistd::getppid;
use serde::Serialize;

use crate::policy::{Grants, Right};
use crate::sys;

/// Without rename and link across directories (ABI 2) and truncation (ABI 3) under control, writes
/// cannot be confined to `OUT_DIR`.
pub const FLOOR: i32 = 3;
/// The newest ABI whose rights were tried with this program.
const TESTED: ABI = ABI::V7;

/// Whether this runs as, or below, a script in the jail, by what the kernel says of its ABI: the jail's
/// filter hides Landlock, and refuses another listener before the kernel can look at the program.
#[must_use]
pub fn is_in_a_jail(abi: Result<i32, Errno>) -> bool {
    abi == Err(Errno::EOPNOTSUPP)
        && sys::try_filter_flags(libc::SECCOMP_FILTER_FLAG_NEW_LISTENER) == Errno::EBUSY
}

/// Why a ruleset could not be made or entered.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A script, or what it has started, would run another one.
    #[error(
        "this runs in cargo-brig's jail already, and a jail within the jail is refused (where a build \
         script starts Cargo, let that be plain `cargo`; its scripts are in the jail of the outer one)"
    )]
    Nested,
    /// The kernel has no Landlock, or an old one.
    #[error(
        "the kernel's Landlock ABI is {abi}, but at least {FLOOR} is needed \
         (Linux 6.2 or newer, with `landlock` among the security modules that are switched on; \
         `cargo brig doctor` says more)"
    )]
    Floor {
        /// What the kernel has; 0 if nothing.
        abi: i32,
    },
    /// A system call that is forbidden, and by which the kernel's version would not help.
    #[error(
        "{call} is forbidden here ({errno}), as the seccomp profile of a container can do it, or systemd's \
         {setting}; the jail needs it (`cargo brig doctor` says more)"
    )]
    Forbidden {
        /// The call.
        call: &'static str,
        /// How it fails.
        errno: Errno,
        /// What of systemd's forbids it (systemd.exec(5)).
        setting: &'static str,
    },
    /// The ruleset.
    #[error("cannot make the Landlock ruleset")]
    Ruleset(#[source] Box<RulesetError>),
    /// A granted path cannot be opened.
    #[error("cannot open `{}` for a Landlock rule", .path.display())]
    Path {
        /// The path.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The kernel took the ruleset but enforces less than the floor.
    #[error("Landlock did not enforce the ruleset")]
    NotEnforced,
    /// What answered for the kernel said that the ruleset is in force, and it is not.
    #[error("Landlock says that it enforces the ruleset, but {seen}")]
    NotInForce {
        /// What was possible in spite of it.
        seen: &'static str,
    },
}

impl From<RulesetError> for Error {
    fn from(error: RulesetError) -> Self {
        Self::Ruleset(Box::new(error))
    }
}

/// What Landlock enforces on this kernel, for the record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Enforced {
    /// The kernel's ABI.
    pub abi: i32,
    /// File-system rights that need a rule.
    pub files: Vec<String>,
    /// Network rights that need a rule; none has one.
    pub network: Vec<String>,
    /// What cannot be reached outside the jail.
    pub scopes: Vec<String>,
}

/// The two rulesets of a jail, made and not yet entered.
#[derive(Debug)]
pub struct Rulesets {
    outer: RulesetCreated,
    inner: RulesetCreated,
    /// What they enforce.
    pub enforced: Enforced,
    /// A directory that can be listed now and not from inside.
    closed: Option<PathBuf>,
}

fn effective_abi(kernel: i32) -> ABI {
    [ABI::V3, ABI::V4, ABI::V5, ABI::V6, ABI::V7]
        .into_iter()
        .rev()
        .find(|abi| *abi as i32 <= kernel)
        .unwrap_or(ABI::Unsupported)
        .min(TESTED)
}

fn access(right: Right, abi: ABI) -> BitFlags<AccessFs> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    match right {
        Right::List => AccessFs::ReadDir.into(),
        Right::Read => read,
        Right::Execute => read | AccessFs::Execute,
        // Device nodes stay out of reach; ioctls on devices that are granted (ABI 5) do no harm. What is
        // redirected is the copy: see `Grants::seen_at`.
        Right::Write | Right::Redirect => {
            (read | AccessFs::from_write(abi)) & !(AccessFs::MakeChar | AccessFs::MakeBlock)
        }
    }
}

fn names<T: std::fmt::Debug>(flags: impl Iterator<Item = T>) -> Vec<String> {
    flags.map(|flag| format!("{flag:?}")).collect()
}

/// Makes the rulesets for these grants.
///
/// # Errors
/// [`Error::Floor`] on a kernel that cannot enforce enough, [`Error::Nested`] in a jail; the other variants say what failed.
pub fn plan(grants: &Grants) -> Result<Rulesets, Error> {
    if is_in_a_jail(sys::landlock_version()) {
        return Err(Error::Nested);
    }
    if let Err(errno @ (Errno::EPERM | Errno::EACCES)) = sys::landlock_version() {
        let (call, setting) = ("landlock_create_ruleset(2)", "SystemCallFilter=");
        return Err(Error::Forbidden { call, errno, setting });
    }
    let kernel = sys::landlock_abi();
    if kernel < FLOOR {
        return Err(Error::Floor { abi: kernel });
    }
    let abi = effective_abi(kernel);
    let files = AccessFs::from_all(abi);
    let mut network = AccessNet::from_all(abi);
    let mut scopes = Scope::from_all(abi);
    if grants.is_permissive() {
        network = BitFlags::EMPTY;
        // By the other one the script is ended.
        scopes &= Scope::Signal;
    }

    // `abi` is at most the kernel's, so every right can be demanded: nothing is best effort.
    let mut ruleset =
        Ruleset::default().set_compatibility(CompatLevel::HardRequirement).handle_access(files)?;
    // The warden connects for the script, and what it may connect to are ports here; the script itself
    // may nothing.
    let ports: Option<Vec<u16>> = grants.connect.iter().map(|endpoint| endpoint.port).collect();
    let of_warden = if ports.is_some() { network } else { network & !AccessNet::ConnectTcp };
    if !of_warden.is_empty() {
        ruleset = ruleset.handle_access(of_warden)?;
    }
    if !scopes.is_empty() {
        ruleset = ruleset.scope(scopes)?;
    }
    let mut outer = ruleset.create()?;
    if of_warden.contains(AccessNet::ConnectTcp) {
        for port in ports.unwrap_or_default() {
            outer = outer.add_rule(NetPort::new(port, AccessNet::ConnectTcp))?;
        }
    }
    // One rule for each path: most have several grants.
    let mut paths: BTreeMap<Cow<'_, Path>, BitFlags<AccessFs>> = BTreeMap::new();
    for grant in &grants.files {
        *paths.entry(grants.seen_at(&grant.path)).or_default() |= access(grant.right, abi);
    }
    for (name, mut rights) in paths {
        let failed = |errno: Errno| match errno {
            Errno::ENOSYS | Errno::EPERM => Error::Forbidden {
                call: "openat2(2)",
                errno,
                setting: "RestrictSUIDSGID=, which DynamicUser= implies",
            },
            errno => Error::Path { path: name.to_path_buf(), source: errno.into() },
        };
        let Some(path) = granted(&name).map_err(failed)? else { continue };
        let kind = SFlag::from_bits_truncate(fstat(&path).map_err(failed)?.st_mode);
        if kind & SFlag::S_IFMT != SFlag::S_IFDIR {
            rights &= AccessFs::from_file(abi);
        }
        if rights.is_empty() {
            continue;
        }
        outer = outer.add_rule(PathBeneath::new(path, rights))?;
    }
    if grants.is_permissive() {
        let everything = access(Right::Execute, abi);
        let root = PathFd::new("/")
            .map_err(|error| Error::Path { path: "/".into(), source: io::Error::other(error) })?;
        outer = outer.add_rule(PathBeneath::new(root, everything))?;
    }
    // A domain of its own for the script, also where there are no scopes: without one the script
    // would be in the warden's, and could read the warden's memory and environment, in which the
    // withheld variables are.
    //
    // Every domain below another one that handles paths denies renames and links between
    // directories, unless it handles and grants them itself (kernel, `userspace-api/landlock`,
    // `LANDLOCK_ACCESS_FS_REFER`). The outer domain alone shall judge them.
    let root = Path::new("/");
    let open = |error| Error::Path { path: root.to_owned(), source: io::Error::other(error) };
    let everywhere = PathFd::new(root).map_err(open)?;
    let mut inner = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::Refer)?;
    if !network.is_empty() {
        inner = inner.handle_access(network)?;
    }
    if !scopes.is_empty() {
        inner = inner.scope(scopes)?;
    }
    let inner = inner.create()?.add_rule(PathBeneath::new(everywhere, AccessFs::Refer))?;
    let enforced = Enforced {
        abi: kernel,
        files: names(files.iter()),
        network: names(network.iter()),
        scopes: names(scopes.iter()),
    };
    Ok(Rulesets { outer, inner, enforced, closed: closed(grants) })
}

/// What a grant is for; none if it has gone since the grants were resolved, or if there is a link in its
/// path now, which only a script that writes there at this moment would have made.
fn granted(path: &Path) -> Result<Option<OwnedFd>, Errno> {
    let name = CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)?;
    let flags = u64::from((libc::O_PATH | libc::O_CLOEXEC).cast_unsigned());
    match sys::open(libc::AT_FDCWD, &name, flags, 0, libc::RESOLVE_NO_SYMLINKS) {
        Ok(file) => Ok(Some(file)),
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// A directory that can be listed, and that these grants do not let a script list.
fn closed(grants: &Grants) -> Option<PathBuf> {
    let candidates = ["/", "/var", "/run", "/tmp", "/etc", "/home"].map(PathBuf::from);
    candidates
        .into_iter()
        .filter(|_| !grants.is_permissive())
        .find(|path| !grants.covers(Right::List, path) && std::fs::read_dir(path).is_ok())
}

impl Rulesets {
    /// Puts the calling thread into the outer domain and returns what the script has to enter.
    ///
    /// # Errors
    /// [`Error::NotEnforced`] if the kernel enforces less than was asked for.
    pub fn enter_outer(self) -> Result<Inner, Error> {
        check(&self.outer.restrict_self()?)?;
        // A call that somebody else answers, by a seccomp filter for instance, restricts nothing. And
        // what is done on the strength of the signal scope would reach every process of the user's.
        if let Some(closed) = &self.closed
            && std::fs::read_dir(closed).is_ok()
        {
            return Err(Error::NotInForce { seen: "files outside can be listed" });
        }
        if !self.enforced.scopes.is_empty() && kill(getppid(), None) != Err(Errno::EPERM) {
            return Err(Error::NotInForce { seen: "processes outside can be sent signals" });
        }
        Ok(Inner(self.inner))
    }
}

/// The ruleset that the script enters on top of the warden's.
#[derive(Debug)]
pub struct Inner(RulesetCreated);

impl Inner {
    /// Puts the calling thread into the inner domain.
    ///
    /// # Errors
    /// As for [`Rulesets::enter_outer`].
    pub fn enter(self) -> Result<(), Error> {
        check(&self.0.restrict_self()?)
    }
}

fn check(status: &RestrictionStatus) -> Result<(), Error> {
    if status.ruleset == RulesetStatus::FullyEnforced && status.no_new_privs {
        Ok(())
    } else {
        Err(Error::NotEnforced)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_tested_abi_is_used() {
        assert_eq!(effective_abi(3), ABI::V3);
        assert_eq!(effective_abi(7), ABI::V7);
        assert_eq!(effective_abi(99), TESTED);
    }

    #[test]
    fn writing_never_makes_device_nodes() {
        for abi in [ABI::V3, ABI::V7] {
            let write = access(Right::Write, abi);
            assert!(!write.contains(AccessFs::MakeChar) && !write.contains(AccessFs::MakeBlock));
            assert!(write.contains(AccessFs::Truncate | AccessFs::Refer | AccessFs::ReadFile));
            assert!(!write.contains(AccessFs::Execute));
        }
    }

    #[test]
    fn what_has_become_a_link_is_not_granted() {
        let dir = tempfile::tempdir().unwrap();
        let root = std::fs::canonicalize(dir.path()).unwrap();
        std::os::unix::fs::symlink("/etc", root.join("link")).unwrap();
        assert!(granted(&root).unwrap().is_some());
        for name in ["link", "link/passwd", "absent"] {
            assert!(granted(&root.join(name)).unwrap().is_none(), "{name}");
        }
    }

    #[test]
    fn this_kernel_is_new_enough() {
        let rulesets = plan(&Grants::default()).unwrap();
        assert!(rulesets.enforced.abi >= FLOOR);
        assert!(rulesets.enforced.files.contains(&"Truncate".to_owned()));
    }
}
