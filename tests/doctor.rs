//! `cargo brig doctor`: what it says of this machine, and of the same machine with something taken
//! away: by a seccomp filter, by Landlock domains, by limits, and inside of the jail.
//!
//! The tests that start it as another user need root; run by an ordinary user they are that other
//! user's tests themselves, and say so.

#![expect(unsafe_code, reason = "filters and domains are set between fork and exec")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use cargo_brig::doctor::attempt::ATTEMPTS;
use cargo_brig::doctor::diagnosis::SCHEMA;
use nix::sys::resource::{Resource, setrlimit};
use nix::unistd::geteuid;
use serde_json::{Value, json};
use support::{TOOL, clean_command, shown, stderr, stdout, succeed};
use tempfile::TempDir;

/// An ordinary user: `nobody`.
const USER: u32 = 65534;

/// By another process: this one forks in other threads meanwhile, and a program that is open for
/// writing anywhere cannot be executed (execve(2), `ETXTBSY`).
fn copy(from: &str, to: &Path) {
    succeed(Command::new("cp").arg("-f").arg(from).arg(to));
}

/// A directory with the program and an empty temporary directory in it.
struct Place {
    dir: TempDir,
    user: Option<u32>,
}

impl Place {
    fn new() -> Self {
        Self::of(None)
    }

    /// Of another user than who runs the tests.
    fn of(user: Option<u32>) -> Self {
        let dir = tempfile::Builder::new().prefix("doctor-").tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let place = Self { dir, user };
        for directory in ["tmp", "home", "bin"] {
            fs::create_dir(place.path(directory)).unwrap();
            chown(place.path(directory), user, user).unwrap();
        }
        copy(TOOL, &place.tool());
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn tool(&self) -> PathBuf {
        self.path("bin/cargo-brig")
    }

    /// The program, with nothing else than this in its environment.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", self.path("bin").display()))
            .env("HOME", self.path("home"))
            .env("TMPDIR", self.path("tmp"))
            .current_dir(self.path("home"))
            .stdin(Stdio::null());
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        command
    }

    fn doctor(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(&self.tool());
        command.arg("doctor").args(arguments);
        command
    }

    /// Asserts that nothing was left in the temporary directory.
    fn assert_clean(&self) {
        let left: Vec<_> = fs::read_dir(self.path("tmp")).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }

    /// The diagnosis, made by a command that something may be taken away from.
    fn diagnosis(&self, prepare: impl FnOnce(&mut Command)) -> Diagnosis {
        let mut command = self.doctor(&["--format", "json"]);
        prepare(&mut command);
        let output = command.output().unwrap();
        self.assert_clean();
        Diagnosis::of(&output)
    }
}

fn users() -> Vec<Option<u32>> {
    if geteuid().is_root() {
        vec![None, Some(USER)]
    } else {
        eprintln!("not run by root: only what an ordinary user sees is tested");
        vec![None]
    }
}

struct Diagnosis {
    value: Value,
    code: i32,
}

impl Diagnosis {
    fn of(output: &Output) -> Self {
        assert!(output.stderr.is_empty(), "{}", shown(output));
        let value: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", shown(output)));
        let code = output.status.code().unwrap();
        let diagnosis = Self { value, code };
        // The code, the verdict and the checks say the same.
        let can_jail = diagnosis.ids("missing").is_empty();
        assert_eq!(diagnosis.value["can_jail"], can_jail);
        assert_eq!(code, if can_jail { 0 } else { 4 });
        assert_eq!(diagnosis.value["enforced"].is_object(), diagnosis.state("script") == "ok");
        diagnosis
    }

    fn checks(&self) -> &[Value] {
        self.value["checks"].as_array().unwrap()
    }

    fn check(&self, id: &str) -> &Value {
        let mut found = self.checks().iter().filter(|check| check["id"] == id);
        let check = found.next().unwrap_or_else(|| panic!("no {id} in {:#}", self.value));
        assert!(found.next().is_none(), "two of {id}");
        check
    }

    fn state(&self, id: &str) -> &str {
        self.check(id)["state"].as_str().unwrap()
    }

    /// The names of all checks of a state.
    fn ids(&self, state: &str) -> BTreeSet<&str> {
        let checks = self.checks().iter().filter(|check| check["state"] == state);
        checks.map(|check| check["id"].as_str().unwrap()).collect()
    }

    /// Asserts that a check stands so, and says this and that.
    fn assert(&self, id: &str, state: &str, words: &[&str]) {
        let check = self.check(id);
        assert_eq!(check["state"], state, "{check:#}");
        let text = format!("{} {}", check["meaning"], check["advice"]);
        for word in words {
            assert!(text.contains(word), "no `{word}` in {check:#}");
        }
    }
}

/// A call that is to fail: its number, an argument (from 0) and its value if that counts, and the
/// errno.
#[derive(Clone, Copy)]
struct Deny(i64, Option<(u32, u32)>, i32);

/// A classic BPF program (seccomp(2)) by which these calls fail.
fn filter(denied: &[Deny]) -> Vec<libc::sock_filter> {
    const NUMBER: u32 = 0;
    let op =
        |code: u32, k, jt, jf| libc::sock_filter { code: u16::try_from(code).unwrap(), jt, jf, k };
    let load = |offset| op(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset, 0, 0);
    let equal = |value, skip| op(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, value, 0, skip);
    let give = |action| op(libc::BPF_RET | libc::BPF_K, action, 0, 0);
    let mut program = Vec::new();
    for Deny(call, argument, errno) in denied {
        program.push(load(NUMBER));
        program.push(equal(u32::try_from(*call).unwrap(), if argument.is_some() { 3 } else { 1 }));
        if let Some((argument, value)) = argument {
            program.extend([load(16 + 8 * argument), equal(*value, 1)]);
        }
        program.push(give(libc::SECCOMP_RET_ERRNO | errno.unsigned_abs()));
    }
    program.push(give(libc::SECCOMP_RET_ALLOW));
    program
}

/// Has a command run under a filter by which these calls fail; with a listener that nobody reads
/// from, if asked for.
fn under(command: &mut Command, denied: &[Deny], listener: bool) {
    let program = filter(denied);
    let install = move || {
        let length = u16::try_from(program.len()).unwrap();
        let program = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut() };
        let flags = if listener { libc::SECCOMP_FILTER_FLAG_NEW_LISTENER } else { 0 };
        let mode = libc::SECCOMP_SET_MODE_FILTER;
        // SAFETY: plain integers, and a program that lives through the call.
        let result = unsafe {
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
            libc::syscall(libc::SYS_seccomp, mode, flags, &raw const program)
        };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        if listener {
            // It counts as long as it is open.
            // SAFETY: plain integers.
            unsafe { libc::fcntl(i32::try_from(result).unwrap(), libc::F_SETFD, 0) };
        }
        Ok(())
    };
    // SAFETY: only system calls, on values that were made before.
    unsafe { command.pre_exec(install) };
}

/// Has a command run within so many Landlock domains, which refuse nothing that it does.
fn within_domains(command: &mut Command, count: usize) {
    let enter = move || {
        // `handled_access_fs`: LANDLOCK_ACCESS_FS_MAKE_BLOCK.
        let attributes = [1_u64 << 11];
        for _ in 0..count {
            // SAFETY: plain integers, and a structure that lives through the call and is as long as
            // said.
            let result = unsafe {
                libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
                let create = libc::SYS_landlock_create_ruleset;
                let ruleset = libc::syscall(create, attributes.as_ptr(), 8_usize, 0);
                let result = libc::syscall(libc::SYS_landlock_restrict_self, ruleset, 0);
                libc::close(i32::try_from(ruleset).unwrap_or(-1));
                result
            };
            if result < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    };
    // SAFETY: only system calls.
    unsafe { command.pre_exec(enter) };
}

const LANDLOCK: [i64; 3] = [
    libc::SYS_landlock_create_ruleset,
    libc::SYS_landlock_add_rule,
    libc::SYS_landlock_restrict_self,
];

#[test]
fn a_machine_on_which_the_tests_run_has_all_that_the_jail_needs() {
    for user in users() {
        let place = Place::of(user);
        let diagnosis = place.diagnosis(|_| {});
        assert_eq!(diagnosis.code, 0, "{user:?} {:#}", diagnosis.value);
        for attempt in ATTEMPTS {
            assert_eq!(
                diagnosis.state(attempt.id),
                "ok",
                "{user:?} {:#}",
                diagnosis.check(attempt.id)
            );
        }
        for group in ["jail", "landlock", "seccomp", "processes", "places"] {
            let mut checks = diagnosis.checks().iter().filter(|check| check["group"] == group);
            assert!(checks.clone().count() > 1, "{group}");
            assert!(checks.all(|check| check["state"] == "ok"), "{user:?} {:#}", diagnosis.value);
        }
        let own = user.unwrap_or(geteuid().as_raw());
        assert_eq!(diagnosis.value["machine"]["user"], own);
        // The same as a record of a real run says.
        assert!(diagnosis.value["enforced"]["landlock"]["abi"].as_i64() >= Some(6));
    }
}

#[test]
fn the_json_has_a_schema_and_a_shape() {
    let diagnosis = Place::new().diagnosis(|_| {});
    assert_eq!(diagnosis.value["schema"], SCHEMA);
    assert_eq!(diagnosis.value["tool"], concat!("cargo-brig ", env!("CARGO_PKG_VERSION")));
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let expected = ["schema", "tool", "can_jail", "state", "machine", "enforced", "checks"];
    assert_eq!(keys(&diagnosis.value), expected.map(str::to_owned).into());
    for check in diagnosis.checks() {
        let is_kebab =
            |id: &str| id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        assert!(is_kebab(check["id"].as_str().unwrap()), "{check:#}");
        diagnosis.check(check["id"].as_str().unwrap());
        let meaning = check["meaning"].as_str().unwrap();
        assert!(meaning.ends_with('.'), "{check:#}");
        let bad = ["missing", "degraded"].contains(&check["state"].as_str().unwrap());
        assert_eq!(check["advice"].is_string(), bad, "{check:#}");
    }
    let states: Vec<_> = diagnosis.checks().iter().map(|check| &check["state"]).collect();
    let order = |state: &&Value| {
        ["missing", "degraded", "ok", "not-applicable"].iter().position(|s| **state == *s).unwrap()
    };
    assert!(states.is_sorted_by_key(order), "{states:?}");
    assert_eq!(diagnosis.value["state"], *states[0]);
}

#[test]
fn the_same_checks_are_made_wherever_it_runs() {
    let place = Place::new();
    let ids = |diagnosis: &Diagnosis| {
        let ids = diagnosis.checks().iter().map(|check| check["id"].to_string());
        ids.collect::<BTreeSet<_>>()
    };
    let all = ids(&place.diagnosis(|_| {}));
    let denied = LANDLOCK.map(|call| Deny(call, None, libc::ENOSYS));
    assert_eq!(ids(&place.diagnosis(|command| under(command, &denied, false))), all);
    assert_eq!(
        ids(&place.diagnosis(|command| {
            command.env("TMPDIR", "/nowhere");
        })),
        all
    );
}

#[test]
fn inside_the_jail_it_says_that_it_is_nested() {
    for user in users() {
        let place = Place::of(user);
        fs::create_dir_all(place.path("home/unit/out")).unwrap();
        fs::create_dir(place.path("home/package")).unwrap();
        for directory in ["home/unit", "home/unit/out", "home/package"] {
            chown(place.path(directory), user, user).unwrap();
        }
        let mut command = place.command(&place.tool());
        command
            .args(["exec", "--"])
            .arg(place.tool())
            .args(["doctor", "--format", "json"])
            .env("OUT_DIR", place.path("home/unit/out"))
            .env("CARGO_MANIFEST_DIR", place.path("home/package"));
        let mut output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(4), "{}", shown(&output));
        // What the outer jail says of it may be anything but a denied attempt.
        assert!(!stderr(&output).contains("tried to"), "{}", shown(&output));
        output.stderr.clear();
        let diagnosis = Diagnosis::of(&output);
        diagnosis.assert("nesting", "missing", &["in cargo-brig's jail already", "Run it outside"]);
        assert_eq!(diagnosis.checks()[0]["id"], "nesting");
        assert_eq!(diagnosis.ids("missing"), ["nesting", "script"].into());
        assert_eq!(diagnosis.state("landlock"), "not-applicable");
        place.assert_clean();
    }
}

#[test]
fn without_landlock_no_script_can_be_jailed() {
    for user in users() {
        let place = Place::of(user);
        for (errno, words) in [
            (libc::ENOSYS, ["CONFIG_SECURITY_LANDLOCK", "landlock_restrict_self"]),
            (libc::EPERM, ["EPERM", "landlock_create_ruleset, landlock_add_rule"]),
            (libc::EOPNOTSUPP, ["switched off", "lsm=landlock,"]),
        ] {
            let denied = LANDLOCK.map(|call| Deny(call, None, errno));
            let diagnosis = place.diagnosis(|command| under(command, &denied, false));
            assert_eq!(diagnosis.code, 4);
            diagnosis.assert("landlock", "missing", &words);
            let why = match errno {
                libc::EPERM => "landlock_create_ruleset(2) is forbidden here",
                _ => "Landlock ABI is 0",
            };
            diagnosis.assert("script", "missing", &[why]);
            assert_eq!(diagnosis.ids("missing"), ["landlock", "script"].into(), "{errno}");
            for id in ["nesting", "seccomp-filter", "seccomp-descriptor", "procfs"] {
                assert_eq!(diagnosis.state(id), "ok");
            }
            for attempt in ATTEMPTS {
                assert_eq!(diagnosis.state(attempt.id), "not-applicable");
            }
            assert_eq!(diagnosis.value["machine"]["seccomp_filters"], 1);
        }
        let entering = Deny(libc::SYS_landlock_restrict_self, None, libc::EPERM);
        let diagnosis = place.diagnosis(|command| under(command, &[entering], false));
        assert_eq!(diagnosis.state("landlock"), "ok");
        diagnosis.assert(
            "landlock-domain",
            "missing",
            &["not permitted", "landlock_restrict_self"],
        );
    }
}

#[test]
fn the_advice_is_that_of_the_container() {
    let place = Place::new();
    let denied = LANDLOCK.map(|call| Deny(call, None, libc::EPERM));
    for (name, value, kind, word) in [
        ("KUBERNETES_SERVICE_HOST", "10.0.0.1", "kubernetes", "securityContext.seccompProfile"),
        ("container", "podman", "podman", "Podman"),
    ] {
        let diagnosis = place.diagnosis(|command| under(command.env(name, value), &denied, false));
        assert_eq!(diagnosis.value["machine"]["container"], kind);
        diagnosis.assert("landlock", "missing", &[word]);
    }
}

#[test]
fn without_a_filter_or_its_listener_no_script_can_be_jailed() {
    let place = Place::new();
    let denied = [Deny(libc::SYS_seccomp, None, libc::EPERM)];
    let diagnosis = place.diagnosis(|command| under(command, &denied, false));
    diagnosis.assert("seccomp-filter", "missing", &["EPERM", "SECCOMP_FILTER_FLAG_NEW_LISTENER"]);
    assert_eq!(diagnosis.ids("missing"), ["seccomp-filter", "script"].into());
    // Landlock by itself is tried all the same.
    assert_eq!(diagnosis.state("files-write"), "ok");
    assert_eq!(diagnosis.state("udp"), "not-applicable");

    let diagnosis = place.diagnosis(|command| under(command, &[], true));
    diagnosis.assert("seccomp-filter", "missing", &["has a listener already"]);
    diagnosis.assert("nesting", "ok", &[]);

    // The flags of a kernel before 5.19.
    let flags =
        libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    let flag = u32::try_from(flags).unwrap();
    let denied = [Deny(libc::SYS_seccomp, Some((1, flag)), libc::EINVAL)];
    let diagnosis = place.diagnosis(|command| under(command, &denied, false));
    diagnosis.assert("seccomp-wait-killable", "missing", &["5.19"]);
    diagnosis.assert("seccomp-filter", "missing", &["Linux 6.2 or newer"]);
}

#[test]
fn each_call_that_the_warden_makes_is_tried() {
    const ADD_DESCRIPTOR: u32 = 0x4018_2103;
    let place = Place::new();
    for (deny, id, word) in [
        (Deny(libc::SYS_process_vm_readv, None, libc::EPERM), "memory-reading", "process_vm_readv"),
        (
            Deny(libc::SYS_ioctl, Some((1, ADD_DESCRIPTOR)), libc::EINVAL),
            "seccomp-descriptor",
            "ADDFD",
        ),
        (Deny(libc::SYS_pidfd_open, None, libc::EPERM), "pidfd", "pidfd_open(2)"),
        (Deny(libc::SYS_openat2, None, libc::ENOSYS), "openat2", "openat2(2)"),
    ] {
        let diagnosis = place.diagnosis(|command| under(command, &[deny], false));
        assert!(
            diagnosis.ids("missing").is_subset(&[id, "script"].into()),
            "{:#}",
            diagnosis.value
        );
        diagnosis.assert(id, "missing", &[word]);
    }
}

#[test]
fn what_only_makes_it_slower_or_tells_less_is_no_failure() {
    const WAKE_UP: u32 = 0x4008_2104;
    const EXIT_STATUS: u32 = 0xc040_ff0b;
    let place = Place::new();
    for (request, id, linux) in
        [(WAKE_UP, "seccomp-wake-up", "6.6"), (EXIT_STATUS, "exit-status", "6.15")]
    {
        let denied = [Deny(libc::SYS_ioctl, Some((1, request)), libc::EINVAL)];
        let diagnosis = place.diagnosis(|command| under(command, &denied, false));
        assert_eq!(diagnosis.code, 0);
        diagnosis.assert(id, "degraded", &[linux]);
        assert_eq!(diagnosis.state("script"), "ok");
    }
}

#[test]
fn what_landlock_does_not_refuse_is_seen_and_then_no_script_is_run() {
    // A kernel that takes the domain for entered, and enforces nothing. A warden that relied on it
    // would signal everybody on the machine: that is denied as well.
    let place = Place::new();
    let everybody = Deny(libc::SYS_kill, Some((0, u32::MAX)), libc::EPERM);
    let denied = [everybody, Deny(libc::SYS_landlock_restrict_self, None, 0)];
    let diagnosis = place.diagnosis(|command| under(command, &denied, false));
    assert_eq!(diagnosis.code, 4);
    diagnosis.assert("script", "missing", &["Landlock"]);
    // What tells is either the first domain that is entered, or what is then not refused.
    let told = |id: &str| diagnosis.state(id) == "missing";
    let refused = ["files-read", "files-create", "files-truncate", "tcp-bind", "signals"];
    assert!(told("landlock-domain") || refused.iter().all(|id| told(id)), "{:#}", diagnosis.value);
    for attempt in ATTEMPTS {
        assert_ne!(diagnosis.state(attempt.id), "ok", "{:#}", diagnosis.check(attempt.id));
    }
}

#[test]
fn what_fails_without_a_jail_proves_nothing() {
    let place = Place::new();
    let denied = [Deny(libc::SYS_socket, None, libc::EACCES)];
    let diagnosis = place.diagnosis(|command| under(command, &denied, false));
    assert_eq!(diagnosis.code, 0, "{:#}", diagnosis.value);
    for id in ["tcp-connect", "tcp-bind", "udp", "unix-socket", "abstract-socket"] {
        diagnosis.assert(id, "not-applicable", &["without a jail as well (EACCES"]);
    }
}

#[test]
fn landlock_domains_around_it_are_counted() {
    let place = Place::new();
    let diagnosis = place.diagnosis(|command| within_domains(command, 3));
    assert_eq!(diagnosis.code, 0);
    diagnosis.assert("landlock-layers", "degraded", &["3 of 16"]);
    for (count, left) in [(15, "1"), (16, "0")] {
        let diagnosis = place.diagnosis(|command| within_domains(command, count));
        assert_eq!(diagnosis.code, 4);
        diagnosis.assert("landlock-layers", "missing", &[&format!("entered: {left}.")]);
        assert_eq!(diagnosis.state("script"), "missing");
    }
    let diagnosis = place.diagnosis(|command| within_domains(command, 14));
    assert_eq!(diagnosis.state("script"), "ok");
}

#[test]
fn few_open_files_are_a_weakness_and_too_few_a_failure() {
    let place = Place::new();
    let limited = |limit: u64| {
        place.diagnosis(|command| {
            let lower = move || Ok(setrlimit(Resource::RLIMIT_NOFILE, limit, limit)?);
            // SAFETY: one system call.
            unsafe { command.pre_exec(lower) };
        })
    };
    let diagnosis = limited(512);
    assert_eq!(diagnosis.code, 0);
    diagnosis.assert("open-files", "degraded", &["512", "LimitNOFILE="]);
    for few in [7, 16] {
        let diagnosis = limited(few);
        assert_eq!(diagnosis.code, 4, "{:#}", diagnosis.value);
        diagnosis.assert("script", "missing", &["Too many open files"]);
        diagnosis.assert("open-files", "degraded", &[]);
    }
}

#[test]
fn directories_and_policies_are_tried_as_a_script_would_need_them() {
    let place = Place::new();
    let with = |name: &str, value: &str| {
        let (name, value) = (name.to_owned(), value.to_owned());
        place.diagnosis(move |command| {
            command.env(name, value);
        })
    };
    let diagnosis = with("TMPDIR", "/nowhere");
    assert_eq!(diagnosis.code, 4);
    diagnosis.assert("temporary-directory", "missing", &["/nowhere", "Set TMPDIR"]);
    diagnosis.assert("landlock-domain", "not-applicable", &["Not tried"]);

    let policy = "CARGO_BRIG_POLICY";
    with(policy, "policy.toml").assert("policy", "missing", &["not absolute"]);
    let document = place.path("policy.toml");
    let name = document.to_str().unwrap();
    fs::write(&document, "no policy").unwrap();
    with(policy, name).assert("policy", "missing", &["policy.toml:1:4", "unset CARGO_BRIG_POLICY"]);
    let default = include_str!("../policies/default.toml");
    fs::write(&document, default).unwrap();
    let diagnosis = with(policy, name);
    assert_eq!(diagnosis.code, 0, "{:#}", diagnosis.value);
    assert_eq!(diagnosis.state("policy"), "ok");
    // One that lets scripts read everything, and so the bait too.
    let read = format!("read = [\n  \"{}\",", place.path("tmp").display());
    fs::write(&document, default.replacen("read = [", &read, 1)).unwrap();
    let diagnosis = with(policy, name);
    assert_eq!(diagnosis.code, 0, "{:#}", diagnosis.value);
    diagnosis.assert("files-read", "degraded", &["the policy allows it"]);
    assert_eq!(diagnosis.state("files-write"), "ok");
}

#[test]
fn wrappers_are_named_with_what_they_mean() {
    let place = Place::new();
    let with = |value: &str| {
        let value = value.to_owned();
        place.diagnosis(move |command| {
            command.env("RUSTC_WRAPPER", value);
        })
    };
    for name in ["sccache", "wrap"] {
        symlink("/bin/true", place.path("bin").join(name)).unwrap();
    }
    let diagnosis = place.diagnosis(|_| {});
    diagnosis.assert("rustc-wrapper", "ok", &["No compiler wrapper", "plain `cargo`"]);
    let diagnosis = with("");
    assert_eq!(diagnosis.code, 4);
    diagnosis.assert("rustc-wrapper", "missing", &["refuses", "Unset RUSTC_WRAPPER"]);
    with("cargo-brig").assert("rustc-wrapper", "ok", &["names cargo-brig"]);
    with("sccache").assert("rustc-wrapper", "degraded", &["daemon", "not cached"]);
    with("wrap").assert("rustc-wrapper", "ok", &["calls the compiler wrapper `wrap`"]);
    with("no-such-wrapper").assert("rustc-wrapper", "degraded", &["is not there"]);
    fs::create_dir(place.path("home/.cargo")).unwrap();
    fs::write(place.path("home/.cargo/config.toml"), "[build]\nrustc-wrapper = \"sccache\"\n")
        .unwrap();
    place.diagnosis(|_| {}).assert("rustc-wrapper", "degraded", &["sccache"]);
}

#[test]
fn the_program_in_the_path_is_compared_and_the_toolchain_is_run() {
    let place = Place::new();
    let with_path = |path: &str| {
        let path = path.to_owned();
        place.diagnosis(move |command| {
            command.env("PATH", path);
        })
    };
    place.diagnosis(|_| {}).assert("program-in-path", "ok", &["is this program"]);
    let diagnosis = with_path("/nowhere");
    assert_eq!(diagnosis.code, 0);
    diagnosis.assert("program-in-path", "degraded", &["no cargo-brig in PATH", "bin` to PATH"]);
    diagnosis.assert("cargo", "degraded", &["cannot be run", "Install Rust"]);
    diagnosis.assert("rustc", "degraded", &["cannot be run"]);
    fs::create_dir(place.path("other")).unwrap();
    copy("/bin/true", &place.path("other/cargo-brig"));
    let other = format!("{}:{}", place.path("other").display(), place.path("bin").display());
    with_path(&other).assert(
        "program-in-path",
        "degraded",
        &["other/cargo-brig", "another program"],
    );
    // A copy is as good.
    copy(TOOL, &place.path("other/cargo-brig"));
    with_path(&other).assert("program-in-path", "ok", &[]);

    // Cargo as it calls its subcommands.
    let output = succeed(clean_command(support::cargo()).args(["brig", "doctor", "--format=json"]));
    let diagnosis: Value = serde_json::from_slice(&output.stdout).unwrap();
    let checks = diagnosis["checks"].as_array().unwrap();
    let cargo = checks.iter().find(|check| check["id"] == "cargo").unwrap();
    let version = stdout(&succeed(clean_command(support::cargo()).arg("--version")));
    assert!(cargo["meaning"].as_str().unwrap().contains(version.trim()), "{cargo:#}");
}

#[test]
fn a_build_under_way_does_not_hear_of_its_script() {
    let place = Place::new();
    let session = place.path("session");
    fs::create_dir(&session).unwrap();
    let diagnosis = place.diagnosis(|command| {
        command.env("CARGO_BRIG_SESSION", &session);
    });
    assert_eq!(diagnosis.state("script"), "ok");
    assert_eq!(fs::read_dir(session).unwrap().count(), 0);
}

#[test]
fn a_person_is_told_the_worst_first_and_no_more_than_asked() {
    let place = Place::new();
    let text = stdout(&succeed(&mut place.doctor(&[])));
    assert!(text.starts_with("Build scripts can be jailed here"), "{text}");
    assert!(text.contains("\n  Linux ") && text.contains("files-read, files-list"), "{text}");
    assert!(
        !text.contains('\x1b') && !text.contains("Missing") && text.lines().count() < 40,
        "{text}"
    );
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    let all = stdout(&succeed(&mut place.doctor(&["--all"])));
    assert!(
        all.contains("\n  files-read: No script can read a file outside: Landlock refuses it.\n")
    );
    assert!(all.lines().count() > text.lines().count());

    let denied = LANDLOCK.map(|call| Deny(call, None, libc::EPERM));
    let mut command = place.doctor(&[]);
    under(command.env("KUBERNETES_SERVICE_HOST", "10.0.0.1"), &denied, false);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", shown(&output));
    let text = stdout(&output);
    let place = |word: &str| text.find(word).unwrap_or_else(|| panic!("no {word} in {text}"));
    assert!(text.starts_with("Build scripts cannot be jailed here\n"), "{text}");
    assert!(place("\nMissing (2)\n  landlock: ") < place("\n      do: "), "{text}");
    // As the README has it.
    let told = &text[place("Missing (2)\n")..=place("\n  script: ")];
    assert!(include_str!("../README.md").contains(told), "{told}");
    assert!(place("\n  script: ") < place("\nIn order ("), "{text}");
    assert!(place("\nIn order (") < place("\nNot tried ("), "{text}");
}

#[test]
fn colours_are_for_terminals() {
    let place = Place::new();
    // script(1) makes a terminal.
    let terminal = |setting: &[(&str, &str)]| {
        let mut command = place.command(Path::new("script"));
        command.args(["-qec", "cargo-brig doctor", "/dev/null"]).envs(setting.iter().copied());
        stdout(&succeed(&mut command))
    };
    assert!(terminal(&[]).contains("\x1b[1m"));
    for setting in [("NO_COLOR", "1"), ("CARGO_TERM_COLOR", "never")] {
        assert!(!terminal(&[setting]).contains('\x1b'), "{setting:?}");
    }
    let forced = succeed(place.doctor(&[]).env("CARGO_TERM_COLOR", "always"));
    assert!(stdout(&forced).contains("\x1b[1m"));
    let data = succeed(place.doctor(&["--format", "json"]).env("CARGO_TERM_COLOR", "always"));
    assert!(!stdout(&data).contains('\x1b'));
}

#[test]
fn a_wrong_command_line_is_a_usage_error() {
    let place = Place::new();
    for arguments in [&["--format", "xml"][..], &["--fix"], &["me"]] {
        let output = place.doctor(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", shown(&output));
        assert!(output.stdout.is_empty());
    }
    let help = stdout(&succeed(&mut place.doctor(&["--help"])));
    assert!(help.contains("4 they cannot") && !help.contains("--attempt"), "{help}");
    // Without bait there is no script to be.
    let output = place.doctor(&["--attempt", &json!({}).to_string()]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", shown(&output));
}
