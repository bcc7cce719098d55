//! Where the attacks are tried: a workspace with a package for each, a home directory, and what lies and
//! runs outside. All of it is in one directory, and made anew before each run.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CString, OsStr, OsString};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cargo_brig::preload::protocol;
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{self, AddressFamily, NetlinkAddr, SockFlag, SockProtocol, SockType};
use nix::unistd::{Pid, geteuid};
use tempfile::TempDir;

use crate::case::{Case, Effect, Listener, Policy, Who};
use crate::support::{TOOL, cargo, clean_command, stdout, succeed, walk};

/// `nobody`, an ordinary user.
pub(crate) const USER: u32 = 65534;
/// Somebody whose files only capabilities open.
const ANOTHER: u32 = 12345;

/// What is typed is known to this case alone.
const TYPED: &str = "read_what_is_typed";
/// What a variable holds, to these.
const IN_VARIABLE: [&str; 6] = [
    "read_variable",
    "read_all_variables",
    "read_the_parents_variables",
    "read_everybodys_variables",
    "read_the_parents_memory",
    "read_fingerprints",
];
/// Files in the home directory, and which case looks for what is in them.
const AT_HOME: [(&str, &str); 9] = [
    (".ssh/id_ed25519", "read_private_key"),
    (".cargo/credentials.toml", "read_cargo_credentials"),
    (".cargo/config.toml", "read_cargo_configuration"),
    (".aws/credentials", "read_cloud_credentials"),
    (".netrc", "read_netrc"),
    (".docker/config.json", "read_container_credentials"),
    (".git-credentials", "read_git_credentials"),
    (".bash_history", "read_shell_history"),
    (".mozilla/firefox/cookies.sqlite", "read_browser_cookies"),
];

const SCRIPT: &str = "\
#![no_main]
unsafe extern \"C\" {
    fn execl(path: *const i8, ...) -> i32;
}
#[unsafe(no_mangle)]
extern \"C\" fn main() -> i32 {
    unsafe { execl(c\"../attack\".as_ptr(), c\"attack\".as_ptr(), core::ptr::null::<i8>()) }
}
";

/// A compiler's wrapper by which the one script of all packages is compiled once.
const WRAPPER: &str = r#"#!/bin/sh
name= before=
for word; do
    case $before in
    --crate-name) name=$word ;;
    --out-dir) directory=$word ;;
    -C) case $word in extra-filename=*) name_ends=${word#*=} ;; esac ;;
    esac
    case $word in */script.rs) source=$word ;; esac
    before=$word
done
[ "$name" = build_script_script ] || exec "$@"
once=$KEPT_WORLD/bin/script
if ! [ -e "$once" ]; then
    "$@" || exit
    cp "$directory/build_script_script$name_ends" "$once.$$" && exec mv "$once.$$" "$once"
fi
made=$directory/build_script_script$name_ends
cp "$once" "$made.new" && mv "$made.new" "$made" && echo "$made: $source" >"$made.d"
"#;

/// A package that does nothing wrong, and whose files others are after.
const VICTIM: &str = "\
fn main() {
    let out = std::env::var(\"OUT_DIR\").unwrap();
    std::fs::copy(\"secret\", format!(\"{out}/secret\")).unwrap();
    println!(\"cargo::rerun-if-env-changed=FORGE_TOKEN\");
}
";

const SOURCES: [(&str, &str); 15] = [
    ("attack.h", include_str!("attack.h")),
    ("alone.c", include_str!("alone.c")),
    ("descriptors.c", include_str!("descriptors.c")),
    ("files.c", include_str!("files.c")),
    ("instructions.c", include_str!("instructions.c")),
    ("keeper.c", include_str!("keeper.c")),
    ("kernel_calls.c", include_str!("kernel_calls.c")),
    ("launcher_files.c", include_str!("launcher_files.c")),
    ("links_and_races.c", include_str!("links_and_races.c")),
    ("main.c", include_str!("main.c")),
    ("network.c", include_str!("network.c")),
    ("processes.c", include_str!("processes.c")),
    ("secrets.c", include_str!("secrets.c")),
    ("terminal.c", include_str!("terminal.c")),
    ("warden.c", include_str!("warden.c")),
];

/// What stands in place of what an attack is about to change.
type Snapshot = BTreeMap<PathBuf, String>;

/// The place, and who tries the attacks.
pub(crate) struct World {
    _dir: TempDir,
    root: PathBuf,
    cases: Vec<Case>,
    user: Option<u32>,
    /// Where the toolchain is, and whether it has to be shown to the user elsewhere.
    sysroot: PathBuf,
    is_bound: bool,
    lock: Option<String>,
    run: u32,
}

/// What stands by during one run.
struct Beside {
    process: Option<Child>,
    told: Vec<String>,
    tcp: Option<TcpListener>,
    udp: Option<UdpSocket>,
    netlink: Option<(OwnedFd, u32)>,
    stream: Option<UnixListener>,
    datagram: Option<UnixDatagram>,
    /// What the case's directory and package, and the process, were like.
    outside: Snapshot,
    package: Snapshot,
    state: String,
}

impl World {
    pub(crate) fn new(cases: Vec<Case>) -> Self {
        let dir = tempfile::Builder::new().prefix("brig-attacks-").tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        let sysroot = succeed(clean_command("rustc").args(["--print", "sysroot"]));
        let sysroot = PathBuf::from(stdout(&sysroot).trim());
        let mut look = Command::new("test");
        look.arg("-x").arg(sysroot.join("bin/rustc"));
        let is_bound = geteuid().is_root() && !look.uid(USER).gid(USER).status().unwrap().success();
        let world =
            Self { _dir: dir, root, cases, user: None, sysroot, is_bound, lock: None, run: 0 };
        for directory in ["bin", "sources", "workspace", "toolchain"] {
            fs::create_dir(world.path(directory)).unwrap();
        }
        for (name, text) in SOURCES {
            fs::write(world.path("sources").join(name), text).unwrap();
        }
        let mut gcc = clean_command("gcc");
        gcc.args(["-O1", "-pthread", "-w", "-o"]).arg(world.path("workspace/attack"));
        let is_c = |name: &&str| Path::new(name).extension() == Some(OsStr::new("c"));
        gcc.args(SOURCES.map(|(name, _)| name).iter().filter(|name| is_c(name))).arg("-lrt");
        succeed(gcc.current_dir(world.path("sources")));
        fs::write(world.path("sources/plugin.c"), include_str!("plugin.c")).unwrap();
        let mut gcc = clean_command("gcc");
        gcc.args(["-shared", "-fPIC", "-w", "-o"]).arg(world.path("workspace/plugin.so"));
        gcc.arg(format!("-DWORLD=\"{}\"", world.root.display()));
        succeed(gcc.arg(world.path("sources/plugin.c")));
        // Each script gets a copy of it.
        let mut strip = clean_command("strip");
        succeed(strip.arg("-o").arg(world.path("bin/cargo-brig")).arg(TOOL));
        let wrapper = world.path("bin/wrapper");
        fs::write(&wrapper, WRAPPER).unwrap();
        fs::set_permissions(wrapper, fs::Permissions::from_mode(0o755)).unwrap();
        world.check_names();
        world
    }

    /// The attacks that the program has are the cases.
    fn check_names(&self) {
        let all: BTreeSet<String> = crate::all().map(|case| case.name.to_owned()).collect();
        let listed = succeed(Command::new(self.path("workspace/attack")).arg("list"));
        let listed: BTreeSet<String> = stdout(&listed).lines().map(str::to_owned).collect();
        assert_eq!(all, listed, "the attacks of the program are not the cases");
        assert_eq!(all.len(), crate::all().count(), "two cases have one name");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    fn outside(&self, case: &Case) -> PathBuf {
        self.root.join("outside").join(case.name)
    }

    fn package(&self, case: &Case) -> PathBuf {
        self.root.join("workspace").join(case.name)
    }

    /// From now on this user tries them.
    pub(crate) fn give_to(&mut self, user: u32) {
        self.user = Some(user);
    }

    /// Names the world, this run of it, and nothing else on the machine.
    fn id(&self) -> String {
        let name = self.root.file_name().unwrap().to_str().unwrap();
        format!("{name}-{}", self.run)
    }

    fn secret(&self, name: &str) -> String {
        format!("s3cret-{name}-{}", self.id())
    }

    /// The cases that this user can try.
    fn tried(&self) -> impl Iterator<Item = (usize, &Case)> {
        let is_root = self.user.is_none() && geteuid().is_root();
        self.cases.iter().enumerate().filter(move |(_, case)| match case.who {
            Who::Anybody => true,
            Who::Root => is_root,
            Who::OrdinaryUser => self.user.is_some(),
        })
    }

    /// Makes everything as it was, but for what has been compiled.
    fn restore(&mut self) {
        self.run += 1;
        for name in ["outside", "home", "jobserver"] {
            remove(&self.path(name));
        }
        let workspace = self.path("workspace");
        for entry in fs::read_dir(&workspace).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if !["target", "attack", "plugin.so", "script.rs"].contains(&name) {
                remove(&path);
            }
        }
        let script = workspace.join("script.rs");
        if fs::read(&script).ok().as_deref() != Some(SCRIPT.as_bytes()) {
            fs::write(&script, SCRIPT).unwrap();
        }
        self.restore_target();
        self.make_workspace();
        for (name, of) in AT_HOME {
            let text = match name {
                ".cargo/credentials.toml" => {
                    format!("[registry]\ntoken = \"{}\"\n", self.secret(of))
                }
                ".cargo/config.toml" => format!("# {}\n", self.secret(of)),
                _ => format!("{}\n", self.secret(of)),
            };
            self.write(&format!("home/{name}"), &text);
        }
        for name in [
            ".bashrc",
            ".cargo/bin/nothing",
            ".cargo/registry/src/index/other-1.0.0/build.rs",
            ".config/autostart/nothing",
            ".config/cargo-brig/nothing",
            ".config/systemd/user/nothing",
        ] {
            self.write(&format!("home/{name}"), "mine\n");
        }
        self.write("outside/shared/file", &"\0".repeat(65536));
        self.write("outside/shared/shortened", "as long as it is\n");
        self.write("outside/shared/mode", "mine\n");
        self.write("log", "");
        for case in &self.cases {
            self.make_outside(case);
        }
        if let Some(user) = self.user {
            give(&self.root, user);
        }
        fs::set_permissions(&self.root, fs::Permissions::from_mode(0o755)).unwrap();
        for (_, case) in self.tried() {
            self.prepare_as_root(case);
        }
    }

    /// What scripts have left, and what they have changed of others' and of their own.
    fn restore_target(&self) {
        let debug = self.path("workspace/target/debug");
        for directory in ["build", ".fingerprint", "deps"] {
            let Ok(entries) = fs::read_dir(debug.join(directory)) else { continue };
            for entry in entries {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_str().unwrap();
                let of = name.strip_prefix("lib").unwrap_or(name);
                if ["victim-", "own_"].iter().any(|start| of.starts_with(start)) {
                    remove(&path);
                } else if directory == "build" {
                    remove(&path.join("out"));
                }
            }
        }
        drop(fs::remove_file(debug.join("planted")));
    }

    fn make_workspace(&self) {
        let names = self.cases.iter().map(|case| case.name).chain(["victim"]);
        let members: Vec<&str> = names.collect();
        self.write(
            "workspace/Cargo.toml",
            &format!(
                "[workspace]\nresolver = \"3\"\nmembers = {members:?}\n\
                 [profile.dev]\ndebug = false\nincremental = false\n"
            ),
        );
        for name in &members {
            let script = if *name == "victim" { "build.rs" } else { "../script.rs" };
            self.write(
                &format!("workspace/{name}/Cargo.toml"),
                &format!(
                    "[package]\nname = {name:?}\nversion = \"1.2.3\"\nedition = \"2024\"\n\
                     build = {script:?}\n"
                ),
            );
            self.write(&format!("workspace/{name}/src/lib.rs"), "// mine\n");
            let lib = self.path(&format!("workspace/{name}/src/lib.rs"));
            set_attribute(&lib, "mine");
        }
        for case in self.cases.iter().filter(|case| case.links) {
            let path = format!("workspace/{}/src/main.rs", case.name);
            self.write(&path, "fn main() {}\n");
        }
        self.write("workspace/victim/build.rs", VICTIM);
        self.write("workspace/victim/secret", &self.secret("read_a_neighbours_output"));
        self.write("workspace/bait/src/lib.rs", "// mine\n");
        for name in ["brig.toml", ".cargo/nothing", ".git/hooks/nothing", ".vscode/nothing"] {
            self.write(&format!("workspace/{name}"), "# mine\n");
        }
        if let Some(lock) = &self.lock {
            self.write("workspace/Cargo.lock", lock);
        }
    }

    fn make_outside(&self, case: &Case) {
        let (directory, secret) = (self.outside(case), self.secret(case.name));
        let name = |file: &str| format!("outside/{}/{file}", case.name);
        self.write(&name("file"), "mine\n");
        self.write(&name("secret"), &format!("{secret}\n"));
        self.write(&name("attributed"), "mine\n");
        self.write(&name(&format!("directory/{secret}-listed")), "");
        self.write(&name("program"), &format!("#!/bin/sh\necho {secret}\n"));
        let program = fs::Permissions::from_mode(0o755);
        fs::set_permissions(directory.join("program"), program).unwrap();
        fs::create_dir(directory.join("empty")).unwrap();
        symlink("file", directory.join("link")).unwrap();
        symlink(format!("/nowhere/{secret}"), directory.join("named")).unwrap();
        set_attribute(&directory.join("attributed"), &secret);
    }

    /// What only root can prepare.
    fn prepare_as_root(&self, case: &Case) {
        match case.who {
            Who::Anybody => {}
            Who::Root => {
                let closed = self.package(case).join("closed");
                fs::write(&closed, self.secret(case.name)).unwrap();
                fs::set_permissions(&closed, fs::Permissions::from_mode(0o600)).unwrap();
                chown(&closed, Some(ANOTHER), Some(ANOTHER)).unwrap();
            }
            Who::OrdinaryUser => {
                let roots = self.outside(case).join("roots");
                fs::create_dir(&roots).unwrap();
                fs::write(roots.join("file"), "mine\n").unwrap();
                let program = self.package(case).join("elevated");
                fs::copy(self.path("workspace/attack"), &program).unwrap();
                fs::set_permissions(&program, fs::Permissions::from_mode(0o4755)).unwrap();
            }
        }
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    }

    fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program.as_ref());
        let toolchain = if self.is_bound { self.path("toolchain") } else { self.sysroot.clone() };
        let path = [
            self.path("bin"),
            toolchain.join("bin"),
            "/usr/bin".into(),
            "/bin".into(),
            self.path("home/.cargo/bin"),
        ];
        let token: Vec<String> = IN_VARIABLE.iter().map(|name| self.secret(name)).collect();
        command
            .env_clear()
            .env("PATH", std::env::join_paths(path).unwrap())
            .env("HOME", self.path("home"))
            .env("CARGO_HOME", self.path("home/.cargo"))
            .env("FORGE_TOKEN", token.join(" "))
            .env("CARGO_TERM_COLOR", "always")
            .env("KEPT_WORLD", &self.root)
            .env("RUSTC_WRAPPER", self.path("bin/wrapper"))
            .env("KEPT_TYPED", self.secret(TYPED))
            .current_dir(self.path("workspace"))
            .stdin(Stdio::null());
        command
    }

    /// Cargo, with or without the jail, by the user; alone if all the processes that it sees shall be its
    /// own.
    fn cargo(&self, policy: Option<Policy>, alone: bool, port: u16, packages: &[&str]) -> Command {
        let mut words: Vec<OsString> = Vec::new();
        let mut add = |some: &[&str]| words.extend(some.iter().map(OsString::from));
        match (alone, self.is_bound) {
            (true, _) if geteuid().is_root() => {
                add(&["unshare", "-pf", "--mount-proc", "--kill-child"]);
            }
            (true, _) => add(&["unshare", "-rpf", "--mount-proc", "--kill-child"]),
            (false, true) => add(&["unshare", "-m"]),
            (false, false) => {}
        }
        if self.is_bound {
            let bind = "mount --bind \"$1\" \"$2\" && shift 2 && exec \"$@\"";
            add(&["sh", "-c", bind, "sh", self.sysroot.to_str().unwrap()]);
            add(&[self.path("toolchain").to_str().unwrap()]);
        }
        if let Some(user) = self.user {
            let user = user.to_string();
            add(&["setpriv", "--reuid", &user, "--regid", &user, "--clear-groups", "--"]);
        }
        let (attack, result) = (self.path("workspace/attack"), self.path("result"));
        add(&[attack.to_str().unwrap(), "keep", result.to_str().unwrap(), &port.to_string()]);
        add(&["cargo"]);
        if let Some(policy) = policy {
            add(&["brig", "--policy", policy.name()]);
        }
        add(&["build", "--offline", "--keep-going", "-j2"]);
        for package in packages {
            add(&["-p", package]);
        }
        let mut command = self.command(&words[0]);
        if policy.is_none() {
            command.env("KEPT_TRIES", "1500");
        }
        let log = File::options().append(true).create(true).open(self.path("log")).unwrap();
        command.args(&words[1..]).stdout(log.try_clone().unwrap()).stderr(log);
        command
    }

    /// Tries all that can be tried together, and says which had an effect.
    pub(crate) fn try_together(&mut self, policy: Option<Policy>) -> BTreeMap<&'static str, bool> {
        self.begin();
        let inherited = UdpSocket::bind("127.0.0.1:0").unwrap();
        inherited.set_nonblocking(true).unwrap();
        let port = inherited.local_addr().unwrap().port();
        self.build_victim(policy, port);
        let cases: Vec<(usize, Case)> = self.tried().map(|(index, case)| (index, *case)).collect();
        let mut beside: Vec<Beside> =
            cases.iter().map(|(index, case)| self.stand_by(*index, case)).collect();
        for ((_, case), beside) in cases.iter().zip(&mut beside) {
            beside.outside = snapshot(&self.outside(case));
            beside.package = snapshot(&self.package(case));
        }
        let shared = self.shared();
        let names: Vec<&str> = cases.iter().map(|(_, case)| case.name).collect();
        let finished = finish(&mut self.cargo(policy, false, port, &names));
        if !finished {
            let log = self.log();
            let left = names.iter().filter(|name| !log.contains(&format!("for `{name} ")));
            panic!("Cargo does not end: {:?}", left.collect::<Vec<_>>());
        }
        let owners = self.owners();
        let (log, result) = (self.log_bytes(), self.result());
        let mut called = BTreeSet::new();
        let mut bytes = [0; 256];
        while let Ok(length) = inherited.recv(&mut bytes) {
            called.insert(String::from_utf8_lossy(&bytes[..length]).into_owned());
        }
        let mut effects = BTreeMap::new();
        for ((_, case), beside) in cases.iter().zip(&mut beside) {
            let happened = match case.effect {
                Effect::Changes => snapshot(&self.outside(case)) != beside.outside,
                Effect::ChangesPackage => snapshot(&self.package(case)) != beside.package,
                Effect::Plants => owners.contains(case.name),
                Effect::Appears(directory) => self.appeared(directory, case),
                Effect::MakesDevice => self.out_dirs(case).iter().any(|out| {
                    let status = fs::symlink_metadata(out.join("device"));
                    status.is_ok_and(|status| status.file_type().is_char_device())
                }),
                Effect::ChangesShared(file) => self.shared()[file] != shared[file],
                Effect::Leaks => self.is_known(&self.secret(case.name), case),
                Effect::Disturbs => state(beside.process.as_ref().unwrap()) != beside.state,
                Effect::Survives => self.survives(case, policy.is_none()),
                Effect::Receives(Listener::Inherited) => called.contains(case.name),
                Effect::Receives(_) => beside.is_called(),
                Effect::Leaves(what) => self.inspect(case).contains(what),
                Effect::Types => says(&result, "typed ", case.name),
                Effect::Displays => says(&result, "displayed ", case.name),
                Effect::Sets(what) => {
                    result.lines().any(|line| line.starts_with("terminal ") && line.contains(what))
                }
                Effect::Escapes => {
                    let sequences = ["\u{1b}]52;c;b3duZWQ=\u{7}", "\u{9d}52;c;b3duZWQ=\u{7}"];
                    sequences.iter().any(|sequence| {
                        let wanted = format!("{sequence}{}\n", case.name);
                        log.windows(wanted.len()).any(|part| part == wanted.as_bytes())
                    })
                }
                Effect::Ends | Effect::Holds => {
                    unreachable!("{} is tried alone", case.name)
                }
            };
            effects.insert(case.name, happened);
            // What it left in the kernel goes with it.
            self.inspect_if_needed(case);
        }
        effects
    }

    /// Tries each in a run of its own, and says which had an effect.
    pub(crate) fn try_alone(&mut self, policy: Option<Policy>) -> BTreeMap<&'static str, bool> {
        let cases: Vec<(usize, Case)> = self.tried().map(|(index, case)| (index, *case)).collect();
        let mut effects = BTreeMap::new();
        for (index, case) in cases {
            self.begin();
            self.tell(index, &case, &[]);
            let mut cargo = self.cargo(policy, true, 9, &[case.name]);
            let finished = finish(&mut cargo);
            let log = self.log();
            let happened = match case.effect {
                Effect::Ends => {
                    let result = self.result();
                    !finished
                        || !result.contains("bystander lives")
                        || !result.contains("command exit")
                        // The script's parent, of which Cargo tells.
                        || log.contains("SIGKILL") && !log.contains("the build script")
                }
                Effect::Holds => self.out_dirs(&case).iter().any(|out| out.join("held").exists()),
                _ => unreachable!("{} is tried together with others", case.name),
            };
            if happened && policy.is_some() {
                eprintln!("{}, {policy:?}: {} {log}", case.name, self.result());
            }
            effects.insert(case.name, happened);
        }
        effects
    }

    fn begin(&mut self) {
        self.restore();
        if self.lock.is_none() {
            let mut cargo = clean_command(cargo());
            cargo.args(["generate-lockfile", "--offline"]);
            succeed(cargo.current_dir(self.path("workspace")));
            let lock = self.path("workspace/Cargo.lock");
            self.lock = Some(fs::read_to_string(&lock).unwrap());
            if let Some(user) = self.user {
                give(&lock, user);
            }
        }
        drop(fs::remove_file(self.path("result")));
    }

    fn build_victim(&self, policy: Option<Policy>, port: u16) {
        assert!(finish(&mut self.cargo(policy, false, port, &["victim"])), "{}", self.log());
        assert!(self.result().contains("command exit 0"), "{}{}", self.result(), self.log());
    }

    fn log_bytes(&self) -> Vec<u8> {
        fs::read(self.path("log")).unwrap()
    }

    /// What Cargo has said.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&self.log_bytes()).into_owned()
    }

    fn result(&self) -> String {
        let bytes = fs::read(self.path("result")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Writes what the attack is told.
    fn tell(&self, index: usize, case: &Case, further: &[String]) {
        let victim = fs::read_dir(self.path("workspace/target/debug/build"));
        let victim = victim.into_iter().flatten().map(|entry| entry.unwrap().path());
        let victim = victim.filter(|path| path.join("out").exists());
        let victim =
            victim.filter(|path| path.file_name().unwrap().as_bytes().starts_with(b"victim-"));
        let key = 0x4000_0000 + (std::process::id() & 0xffff) * 0x1000;
        let key = key + u32::try_from(index).unwrap();
        let mut told = vec![
            format!("world={}", self.root.display()),
            format!("id={}", self.id()),
            format!("index={index}"),
            format!("key={key}"),
            format!("program={}", self.path("bin/cargo-brig").display()),
            format!("asked={}", protocol::NUMBER),
            format!("real_path={}", protocol::REAL_PATH),
        ];
        told.extend(victim.map(|path| format!("victim={}", path.display())));
        if ["read_key", "read_shared_memory"].contains(&case.name) {
            told.push(format!("secret={}", self.secret(case.name)));
        }
        told.extend_from_slice(further);
        let name = format!("workspace/{}/told", case.name);
        self.write(&name, &(told.join("\n") + "\n"));
        if let Some(user) = self.user {
            give(&self.path(&name), user);
        }
    }

    /// Starts what stands by.
    fn stand_by(&self, index: usize, case: &Case) -> Beside {
        let mut beside = Beside {
            process: None,
            told: Vec::new(),
            tcp: None,
            udp: None,
            netlink: None,
            stream: None,
            datagram: None,
            outside: Snapshot::new(),
            package: Snapshot::new(),
            state: String::new(),
        };
        if case.beside {
            let mut command = self.command(self.path("workspace/attack"));
            let shown = self.path(&format!("{}.shown", case.name));
            drop(fs::remove_file(&shown));
            command.args(["bystander"]).arg(shown).arg(self.outside(case));
            command.arg(self.secret(case.name)).env("BYSTANDER_TOKEN", self.secret(case.name));
            if let Some(user) = self.user {
                command.uid(user).gid(user);
            }
            let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            let mut line = String::new();
            BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
            let (variable, descriptor) = line.trim().split_once(' ').unwrap();
            beside.told.push(format!("bystander={}", child.id()));
            beside.told.push(format!("variable={variable}"));
            beside.told.push(format!("descriptor={descriptor}"));
            beside.state = state(&child);
            beside.process = Some(child);
        }
        if let Effect::Receives(listener) = case.effect {
            beside.listen(listener, &self.outside(case), &format!("{}-{}", self.id(), case.name));
        }
        self.tell(index, case, &beside.told);
        if let Some(user) = self.user {
            for socket in ["stream", "datagram"] {
                let path = self.outside(case).join(socket);
                if path.exists() {
                    give(&path, user);
                }
            }
        }
        if ["read_key", "read_shared_memory", "send_to_a_queue"].contains(&case.name) {
            succeed(&mut self.inspector(case, "before"));
        }
        beside
    }

    fn inspector(&self, case: &Case, what: &str) -> Command {
        let mut command = self.command(self.path("workspace/attack"));
        command.args(["inspect", what]).current_dir(self.package(case));
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        command
    }

    /// What is left in the kernel; it is taken away.
    fn inspect(&self, case: &Case) -> String {
        stdout(&succeed(&mut self.inspector(case, "after")))
    }

    fn inspect_if_needed(&self, case: &Case) {
        if ["read_key", "read_shared_memory"].contains(&case.name) {
            self.inspect(case);
        }
    }

    fn shared(&self) -> BTreeMap<&'static str, (u64, u32)> {
        let of = |name| {
            let status = fs::metadata(self.path("outside/shared").join(name)).unwrap();
            (name, (status.len(), status.mode()))
        };
        ["shortened", "mode"].map(of).into()
    }

    /// Whose text is in a file anywhere but in the own `OUT_DIR`.
    fn owners(&self) -> BTreeSet<String> {
        const START: &[u8] = b"owned by ";
        let mut owners = BTreeSet::new();
        let mut look = |path: &Path| {
            let status = fs::symlink_metadata(path);
            if !status.is_ok_and(|status| status.is_file() && status.len() <= 65536) {
                return;
            }
            let bytes = fs::read(path).unwrap_or_default();
            for at in 0..bytes.len().saturating_sub(START.len()) {
                let Some(name) = bytes[at..].strip_prefix(START) else { continue };
                let Some(end) = name.iter().position(|byte| *byte == b'\n') else { continue };
                let name = String::from_utf8_lossy(&name[..end]).into_owned();
                let out = path.components().any(|part| part.as_os_str() == "out");
                let own = path.to_string_lossy().contains(&format!("/build/{name}-"));
                if !(out && own) {
                    owners.insert(name);
                }
            }
        };
        for directory in ["workspace", "home", "outside/shared"] {
            walk(&self.path(directory), &mut look);
        }
        for entry in fs::read_dir(self.path("bin")).unwrap() {
            let path = entry.unwrap().path();
            look(&path);
        }
        drop(fs::remove_file(self.path("bin/cargo-brig.planted")));
        owners
    }

    fn appeared(&self, directory: &str, case: &Case) -> bool {
        let path = Path::new(directory).join(format!("{}-{}", self.id(), case.name));
        fs::remove_file(path).is_ok()
    }

    /// Its directories of output, with and without the jail.
    fn out_dirs(&self, case: &Case) -> Vec<PathBuf> {
        let build = fs::read_dir(self.path("workspace/target/debug/build")).unwrap();
        let start = format!("{}-", case.name);
        let of_case =
            |path: &PathBuf| path.file_name().unwrap().as_bytes().starts_with(start.as_bytes());
        let paths = build.map(|entry| entry.unwrap().path()).filter(of_case);
        paths.map(|path| path.join("out")).filter(|path| path.exists()).collect()
    }

    fn is_known(&self, secret: &str, case: &Case) -> bool {
        let secret = secret.as_bytes();
        self.out_dirs(case).iter().any(|out| {
            let loot = fs::read(out.join("loot")).unwrap_or_default();
            loot.windows(secret.len()).any(|part| part == secret)
        })
    }

    /// Whether one of its processes runs. Where one is to be expected it is waited for.
    fn survives(&self, case: &Case, expected: bool) -> bool {
        let name = format!("{}-survivor-{}\0", self.id(), case.name);
        let limit = Instant::now() + Duration::from_secs(if expected { 10 } else { 0 });
        let mut found = false;
        loop {
            for entry in fs::read_dir("/proc").unwrap() {
                let path = entry.unwrap().path();
                let line = fs::read(path.join("cmdline")).unwrap_or_default();
                if line.starts_with(name.as_bytes()) {
                    found = true;
                    let pid = path.file_name().unwrap().to_str().unwrap().parse().unwrap();
                    kill(Pid::from_raw(pid), Signal::SIGKILL).ok();
                }
            }
            if found || Instant::now() >= limit {
                return found;
            }
            std::thread::yield_now();
        }
    }
}

impl Beside {
    fn listen(&mut self, listener: Listener, directory: &Path, name: &str) {
        let abstract_address =
            |kind: &str| SocketAddr::from_abstract_name(format!("{name}-{kind}"));
        match listener {
            Listener::Tcp => {
                let socket = TcpListener::bind("127.0.0.1:0").unwrap();
                socket.set_nonblocking(true).unwrap();
                self.told.push(format!("tcp={}", socket.local_addr().unwrap().port()));
                self.tcp = Some(socket);
            }
            Listener::Udp => {
                let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
                socket.set_nonblocking(true).unwrap();
                self.told.push(format!("udp={}", socket.local_addr().unwrap().port()));
                self.udp = Some(socket);
            }
            Listener::Netlink => {
                let socket = socket::socket(
                    AddressFamily::Netlink,
                    SockType::Raw,
                    SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC,
                    SockProtocol::NetlinkUserSock,
                );
                let (socket, number) = (socket.unwrap(), 0x4000_0000 + std::process::id());
                socket::bind(socket.as_raw_fd(), &NetlinkAddr::new(number, 0)).unwrap();
                self.told.push(format!("netlink={number}"));
                self.netlink = Some((socket, number));
            }
            Listener::Stream | Listener::AbstractStream => {
                let socket = if listener == Listener::Stream {
                    UnixListener::bind(directory.join("stream")).unwrap()
                } else {
                    UnixListener::bind_addr(&abstract_address("stream").unwrap()).unwrap()
                };
                socket.set_nonblocking(true).unwrap();
                self.stream = Some(socket);
            }
            Listener::Datagram | Listener::AbstractDatagram => {
                let socket = if listener == Listener::Datagram {
                    UnixDatagram::bind(directory.join("datagram")).unwrap()
                } else {
                    UnixDatagram::bind_addr(&abstract_address("datagram").unwrap()).unwrap()
                };
                socket.set_nonblocking(true).unwrap();
                self.datagram = Some(socket);
            }
            Listener::Inherited => {}
        }
    }

    fn is_called(&self) -> bool {
        let mut bytes = [0; 256];
        self.tcp.as_ref().is_some_and(|it| it.accept().is_ok())
            || self.udp.as_ref().is_some_and(|it| it.recv(&mut bytes).is_ok())
            || self.stream.as_ref().is_some_and(|it| it.accept().is_ok())
            || self.datagram.as_ref().is_some_and(|it| it.recv(&mut [0; 256]).is_ok())
            || self
                .netlink
                .as_ref()
                .is_some_and(|(it, _)| nix::unistd::read(it, &mut [0; 256]).is_ok())
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            drop(process.kill());
            drop(process.wait());
        }
    }
}

/// Whether a command has ended in time.
fn finish(command: &mut Command) -> bool {
    let mut child = command.spawn().unwrap();
    let here = command.get_current_dir().unwrap();
    let limit = Instant::now() + Duration::from_mins(10);
    let mut is_stopped = false;
    while Instant::now() < limit && !is_stopped {
        if child.try_wait().unwrap().is_some() {
            return true;
        }
        // Nobody is told of the end and of a stop at once.
        std::thread::sleep(Duration::from_millis(20));
        is_stopped = is_cargo_stopped(here);
    }
    for entry in fs::read_dir("/proc").unwrap() {
        let process = entry.unwrap().path();
        let line = fs::read(process.join("cmdline")).unwrap_or_default();
        match fs::read_link(process.join("cwd")) {
            Ok(path) if path.starts_with(here) => {
                eprintln!("runs: {} {}", path.display(), String::from_utf8_lossy(&line));
            }
            _ => {}
        }
    }
    drop(child.kill());
    drop(child.wait());
    false
}

/// Whether a Cargo that stands there has been stopped (`proc_pid_stat`(5)).
fn is_cargo_stopped(directory: &Path) -> bool {
    fs::read_dir("/proc").unwrap().flatten().any(|process| {
        let stat = fs::read_to_string(process.path().join("stat")).unwrap_or_default();
        let is_stopped = stat.contains("(cargo) T ");
        is_stopped && fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd == directory)
    })
}

/// Whether a line that begins so names who owns it, in what follows up to the next kind of line.
fn says(result: &str, kind: &str, name: &str) -> bool {
    let wanted = format!("owned by {name}");
    let mut is_kind = false;
    for line in result.lines() {
        let kinds = ["typed ", "displayed "];
        if let Some(found) = kinds.iter().find(|found| line.starts_with(**found)) {
            is_kind = *found == kind;
        }
        if is_kind && line.split_once(&wanted).is_some_and(|(_, rest)| rest.trim().is_empty()) {
            return true;
        }
    }
    false
}

/// How a process runs, and what it shows.
fn state(child: &Child) -> String {
    let proc = PathBuf::from(format!("/proc/{}", child.id()));
    let read = |name: &str| fs::read_to_string(proc.join(name)).unwrap_or_default();
    let stat = read("stat");
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let field = |number: usize| (*fields.get(number).unwrap_or(&"")).to_owned();
    let running = match field(0).as_str() {
        "R" | "S" | "D" => "lives".to_owned(),
        other => other.to_owned(),
    };
    let status = read("status");
    let allowed = status.lines().find(|line| line.starts_with("Cpus_allowed:"));
    let priority = Command::new("ionice").args(["-p", &child.id().to_string()]).output().unwrap();
    let line = read("cmdline");
    let shown = fs::read(line.split('\0').nth(2).unwrap_or_default()).unwrap_or_default();
    format!(
        "{running} nice {} policy {} {allowed:?} {} {} {} {} {shown:?}",
        field(16),
        field(38),
        stdout(&priority),
        read("limits"),
        read("oom_score_adj"),
        read("coredump_filter"),
    )
}

/// Everything about what lies below a directory, but when it was read.
fn snapshot(directory: &Path) -> Snapshot {
    let mut found = Snapshot::new();
    let mut left = vec![directory.to_owned()];
    while let Some(path) = left.pop() {
        let Ok(status) = fs::symlink_metadata(&path) else { continue };
        // The bystander makes and removes a file in it all the time.
        let times = if path.ends_with("directory") { 0 } else { status.ctime_nsec() };
        let contents = if status.is_file() {
            fs::read(&path).unwrap_or_default()
        } else if status.is_symlink() {
            fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()
        } else {
            Vec::new()
        };
        if status.is_dir() && !path.ends_with("directory") {
            left.extend(fs::read_dir(&path).into_iter().flatten().map(|it| it.unwrap().path()));
        }
        let (mode, uid, gid) = (status.mode(), status.uid(), status.gid());
        let (inode, links) = (status.ino(), status.nlink());
        let text = format!("{mode:o} {uid} {gid} {inode} {links} {times} {contents:?}");
        found.insert(path, text);
    }
    found
}

fn remove(path: &Path) {
    let Ok(status) = fs::symlink_metadata(path) else { return };
    if status.is_dir() {
        open_directories(path);
        fs::remove_dir_all(path).unwrap();
    } else {
        fs::remove_file(path).unwrap();
    }
}

/// Who is not root needs this to look into what an attack has closed.
fn open_directories(path: &Path) {
    if fs::symlink_metadata(path).is_ok_and(|status| status.is_dir()) {
        drop(fs::set_permissions(path, fs::Permissions::from_mode(0o700)));
        let entries = fs::read_dir(path).into_iter().flatten();
        entries.for_each(|entry| open_directories(&entry.unwrap().path()));
    }
}

/// Gives everything below a path to a user; what is somebody's already stays as it is, with its times.
fn give(path: &Path, user: u32) {
    let Ok(status) = fs::symlink_metadata(path) else { return };
    if status.uid() != user || status.gid() != user {
        std::os::unix::fs::lchown(path, Some(user), Some(user)).unwrap();
    }
    if status.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            give(&entry.unwrap().path(), user);
        }
    }
}

/// Sets the attribute `user.mine` (setxattr(2)).
#[expect(unsafe_code, reason = "no dependency has a wrapper")]
fn set_attribute(path: &Path, value: &str) {
    let name = CString::new(path.as_os_str().as_bytes()).unwrap();
    // SAFETY: the strings end with a NUL, and the value has the length that is said.
    let result = unsafe {
        libc::setxattr(name.as_ptr(), c"user.mine".as_ptr(), value.as_ptr().cast(), value.len(), 0)
    };
    assert_eq!(result, 0, "{}: {}", path.display(), std::io::Error::last_os_error());
}
