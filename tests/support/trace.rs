//! What strace saw of a script: the uses of paths, as the record names them.
//!
//! strace prints every string in hexadecimal (`-xx`), so that nothing in a name can be taken for its
//! own words, and beside each descriptor the path that it stands for (`-y`). A path that the script
//! opened is that of the descriptor which the kernel returned; every other one is made absolute and
//! free of symbolic links by what is there when the trace is read. So it is read right after the run.
//!
//! strace does not tell whether an open made the file. Below the directories that a script can write
//! to, which are empty at its start, it can be told from the calls before.

#![allow(dead_code, unreachable_pub, reason = "every test program uses another part of it")]

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};
use std::process::Command;

/// The calls that are traced: those that use a name, and those by which the working directory of a
/// process can be told, which strace does not print for the older calls.
const CALLS: &str = "trace=open,openat,openat2,creat,mkdir,mkdirat,rmdir,unlink,unlinkat,rename,\
                     renameat,renameat2,link,linkat,symlink,symlinkat,mknod,mknodat,truncate,\
                     execve,execveat,chdir,fchdir,fork,vfork,clone,clone3";
/// So many links in one path are one too many (`path_resolution(7)`).
const MOST_LINKS: usize = 40;

/// Uses, and how often each was made.
pub type Uses = BTreeMap<Use, u64>;

/// One use of one path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Use {
    /// The record's word for it.
    pub kind: &'static str,
    /// Absolute, without symbolic links.
    pub path: PathBuf,
    /// The record's word for it.
    pub outcome: String,
}

/// strace with its options, to be followed by the program and its arguments.
pub fn strace(trace: &Path) -> Vec<OsString> {
    let mut words: Vec<OsString> = ["strace", "-f", "--seccomp-bpf", "-qq", "-y", "-xx"]
        .iter()
        .chain(&["-s", "0", "-e", CALLS, "-e", "signal=none", "-o"])
        .map(OsString::from)
        .collect();
    words.push(trace.into());
    words.push("--".into());
    words
}

/// Says why strace cannot be used here, if it cannot.
pub fn must_work() {
    let mut command = Command::new("strace");
    command.args(["--seccomp-bpf", "-f", "-o", "/dev/null", "true"]);
    let output = command.output().expect("strace is installed (tests/prepare)");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// One call, its end put together with its beginning.
#[derive(Debug)]
struct Call<'a> {
    pid: &'a str,
    text: String,
}

/// Every use of a path in a trace of a program that was started in `directory`. What the script can
/// write to, but for devices, lies below `writable`.
pub fn uses(trace: &str, directory: &Path, writable: &[&Path]) -> Uses {
    let calls = calls(trace);
    let mut reader = Reader {
        directories: HashMap::new(),
        files: Files { writable, made: BTreeMap::new() },
        uses: Uses::new(),
    };
    if let Some(first) = calls.first() {
        reader.directories.insert(first.pid.to_owned(), directory.to_owned());
    }
    for call in &calls {
        reader.read(call);
    }
    reader.uses
}

/// What is there at some time of the run.
struct Files<'a> {
    writable: &'a [&'a Path],
    /// What has been made below `writable`, and whether it is a directory.
    made: BTreeMap<PathBuf, bool>,
}

impl Files<'_> {
    fn is_writable(&self, path: &Path) -> bool {
        self.writable.iter().any(|root| path.starts_with(root) && path != *root)
    }

    /// Whether a path is a directory; none if nothing is there.
    fn is_directory(&self, path: &Path) -> Option<bool> {
        match self.made.get(path) {
            None if !self.is_writable(path) => fs::metadata(path).ok().map(|found| found.is_dir()),
            found => found.copied(),
        }
    }

    fn make(&mut self, path: &Path, is_directory: bool) {
        if self.is_writable(path) {
            self.made.insert(path.to_owned(), is_directory);
        }
    }

    /// Takes away what is there, and what is below it.
    fn take(&mut self, path: &Path) -> BTreeMap<PathBuf, bool> {
        let (taken, left) = std::mem::take(&mut self.made)
            .into_iter()
            .partition(|(other, _)| other.starts_with(path));
        self.made = left;
        taken
    }

    fn put(&mut self, taken: BTreeMap<PathBuf, bool>, from: &Path, to: &Path) {
        let moved = taken.into_iter().map(|(path, is_directory)| {
            let rest = path.strip_prefix(from).unwrap();
            let path = if rest.as_os_str().is_empty() { to.to_owned() } else { to.join(rest) };
            (path, is_directory)
        });
        self.made.extend(moved);
    }

    fn rename(&mut self, from: &Path, to: &Path, exchange: bool) {
        let (moved, replaced) = (self.take(from), self.take(to));
        self.put(moved, from, to);
        if exchange {
            self.put(replaced, to, from);
        }
    }
}

/// The calls in the order in which they began. So a process's first call comes after that which made
/// it, whatever the order in which strace heard of their ends.
fn calls(trace: &str) -> Vec<Call<'_>> {
    const UNFINISHED: &str = " <unfinished ...>";
    let mut calls: Vec<Call> = Vec::new();
    let mut unfinished: HashMap<&str, usize> = HashMap::new();
    for line in trace.lines() {
        let (pid, text) = line.split_once(' ').unwrap_or_else(|| panic!("no process: {line}"));
        let text = text.trim_start();
        if text.starts_with("+++") || text.starts_with("---") {
            continue;
        }
        if let Some(text) = text.strip_suffix(UNFINISHED) {
            unfinished.insert(pid, calls.len());
            calls.push(Call { pid, text: text.to_owned() });
        } else if let Some(text) = text.strip_prefix("<... ") {
            let (_, rest) = text.split_once(" resumed>").unwrap();
            let begun = unfinished.remove(pid).unwrap_or_else(|| panic!("never begun: {line}"));
            calls[begun].text.push_str(rest);
        } else {
            calls.push(Call { pid, text: text.to_owned() });
        }
    }
    calls
}

/// What a call returned.
enum Returned<'a> {
    /// A number, and the path of the descriptor that it is.
    Done(&'a str, Option<PathBuf>),
    /// The name of an errno.
    Failed(&'a str),
}

struct Reader<'a> {
    /// Working directories by process.
    directories: HashMap<String, PathBuf>,
    files: Files<'a>,
    uses: Uses,
}

impl Reader<'_> {
    fn read(&mut self, call: &Call) {
        // A process that was killed has no answer any more, nor has a call that is begun anew.
        let Some((head, answer)) = call.text.rsplit_once(" = ") else { return };
        let Some(returned) = returned(answer) else { return };
        let (name, arguments) = head.trim_end().split_once('(').unwrap();
        let arguments = split(arguments.strip_suffix(')').unwrap());
        let argument = |index: usize| arguments.get(index).copied().unwrap_or_default();
        match name {
            "fork" | "vfork" | "clone" | "clone3" => {
                if let Returned::Done(child, _) = returned {
                    self.directories.insert(child.to_owned(), self.directory(call));
                }
            }
            "chdir" | "fchdir" => {
                let directory = if name == "chdir" {
                    self.path(call, None, argument(0), true)
                } else {
                    descriptor(argument(0))
                };
                if let (Returned::Done(..), Some(directory)) = (returned, directory) {
                    self.directories.insert(call.pid.to_owned(), directory);
                }
            }
            "open" => self.open(call, (None, argument(0)), argument(1), returned),
            "creat" => self.open(call, (None, argument(0)), "O_WRONLY|O_CREAT|O_TRUNC", returned),
            "openat" => {
                self.open(call, (Some(argument(0)), argument(1)), argument(2), returned);
            }
            "openat2" => {
                let flags = argument(2).split_once("flags=").unwrap().1;
                let flags = flags.split([',', '}']).next().unwrap();
                self.open(call, (Some(argument(0)), argument(1)), flags, returned);
            }
            "execve" => self.execute(call, (None, argument(0)), &returned),
            "execveat" if argument(1) == "\"\"" => {
                if let Some(program) = descriptor(argument(0)) {
                    self.executed(program, &returned);
                }
            }
            "execveat" => self.execute(call, (Some(argument(0)), argument(1)), &returned),
            "truncate" => {
                let path = self.path(call, None, argument(0), true);
                self.keep("write", path, outcome(&returned));
            }
            _ => self.name(call, name, &argument, &returned),
        }
    }

    /// The calls that make, remove and rename, which follow no link at the end of the path.
    fn name<'a>(
        &mut self,
        call: &Call,
        name: &str,
        argument: &impl Fn(usize) -> &'a str,
        returned: &Returned,
    ) {
        let uses: &[(&str, Option<usize>, usize)] = match name {
            "mkdir" | "mknod" => &[("create", None, 0)],
            "mkdirat" | "mknodat" => &[("create", Some(0), 1)],
            "symlink" => &[("create", None, 1)],
            "symlinkat" => &[("create", Some(1), 2)],
            "unlink" | "rmdir" => &[("remove", None, 0)],
            "unlinkat" => &[("remove", Some(0), 1)],
            "rename" => &[("rename", None, 0), ("rename", None, 1)],
            "renameat" | "renameat2" => &[("rename", Some(0), 1), ("rename", Some(2), 3)],
            "link" => &[("link", None, 0), ("create", None, 1)],
            "linkat" => &[("link", Some(0), 1), ("create", Some(2), 3)],
            _ => panic!("a call that was not asked for: {call:?}"),
        };
        let follow = name == "linkat" && argument(4).contains("AT_SYMLINK_FOLLOW");
        let mut paths = Vec::new();
        for (kind, directory, path) in uses {
            // Of what is not there no link is made: its new name is not even looked at.
            let old = paths.first().filter(|_| name.starts_with("link"));
            if old.is_some_and(|old: &PathBuf| self.files.is_directory(old).is_none()) {
                continue;
            }
            let directory = directory.map(argument);
            let path = self.path(call, directory, argument(*path), follow && *kind == "link");
            self.keep(kind, path.clone(), outcome(returned));
            paths.extend(path);
        }
        if matches!(returned, Returned::Failed(_)) {
            return;
        }
        match (name, &*paths) {
            ("rename" | "renameat" | "renameat2", [from, to]) => {
                self.files.rename(from, to, argument(4).contains("RENAME_EXCHANGE"));
            }
            ("unlink" | "rmdir" | "unlinkat", [path]) => drop(self.files.take(path)),
            (_, [.., path]) => self.files.make(path, name.starts_with("mkdir")),
            _ => {}
        }
    }

    fn open(
        &mut self,
        call: &Call,
        (directory, path): (Option<&str>, &str),
        flags: &str,
        returned: Returned,
    ) {
        let flags: Vec<&str> = flags.split('|').collect();
        let has = |flag: &str| flags.contains(&flag);
        if has("O_PATH") {
            return;
        }
        let outcome = outcome(&returned);
        let path = match returned {
            // None for a pipe, for instance.
            Returned::Done(_, path) => path,
            Returned::Failed(_) => {
                self.path(call, directory, path, !has("O_NOFOLLOW") && !has("O_EXCL"))
            }
        };
        let Some(path) = path else { return };
        let is_directory = self.files.is_directory(&path);
        let is_made = has("O_CREAT") && (is_directory.is_none() || outcome == "EEXIST");
        if is_made && outcome == "allowed" {
            self.files.make(&path, false);
        }
        if is_made {
            return self.keep("create", Some(path), outcome);
        }
        if !has("O_WRONLY") {
            let lists = is_directory == Some(true) || has("O_DIRECTORY") && outcome == "allowed";
            let kind = if lists { "list" } else { "read" };
            self.keep(kind, Some(path.clone()), outcome.clone());
        }
        if has("O_WRONLY") || has("O_RDWR") || has("O_TRUNC") {
            self.keep("write", Some(path), outcome);
        }
    }

    fn execute(
        &mut self,
        call: &Call,
        (directory, path): (Option<&str>, &str),
        returned: &Returned,
    ) {
        if let Some(program) = self.path(call, directory, path, true) {
            self.executed(program, returned);
        }
    }

    fn executed(&mut self, program: PathBuf, returned: &Returned) {
        if matches!(returned, Returned::Done(..))
            && let Some(interpreter) = interpreter(&program)
        {
            self.executed(interpreter, returned);
        }
        let outcome = match outcome(returned) {
            // Its interpreter is missing. Only the caller sees that error.
            outcome if outcome == "not-found" && program.exists() => "failed".to_owned(),
            outcome => outcome,
        };
        self.keep("execute", Some(program), outcome);
    }

    fn keep(&mut self, kind: &'static str, path: Option<PathBuf>, outcome: String) {
        if let Some(path) = path {
            *self.uses.entry(Use { kind, path, outcome }).or_default() += 1;
        }
    }

    fn directory(&self, call: &Call) -> PathBuf {
        let directory = self.directories.get(call.pid);
        directory.unwrap_or_else(|| panic!("nobody made this process: {call:?}")).clone()
    }

    /// A path argument, resolved; none if it is empty, or its pointer or directory was bad.
    fn path(
        &self,
        call: &Call,
        directory: Option<&str>,
        path: &str,
        follow: bool,
    ) -> Option<PathBuf> {
        let mut path = string(path).filter(|path| !path.as_os_str().is_empty())?;
        if path.is_relative() {
            let directory = match directory {
                Some(directory) => descriptor(directory)?,
                None => self.directory(call),
            };
            path = directory.join(path);
        }
        Some(resolve(&path, follow))
    }
}

fn returned(answer: &str) -> Option<Returned<'_>> {
    let answer = answer.trim();
    let (number, rest) = answer.split_once([' ', '<']).unwrap_or((answer, ""));
    match number {
        "?" => None,
        "-1" => Some(Returned::Failed(rest.split(' ').next().unwrap())),
        _ => {
            let path = descriptor(answer).filter(|path| path.is_absolute());
            Some(Returned::Done(number, path))
        }
    }
}

/// The record's word for what came of a call.
fn outcome(returned: &Returned) -> String {
    match returned {
        Returned::Done(..) => "allowed",
        Returned::Failed("ENOENT" | "ENOTDIR") => "not-found",
        Returned::Failed(errno) => errno,
    }
    .to_owned()
}

/// Arguments, split at the commas that are not within one of them.
fn split(arguments: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0_usize, 0);
    for (at, byte) in arguments.bytes().enumerate() {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth -= 1,
            b',' if depth == 0 => {
                parts.push(arguments[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(arguments[start..].trim());
    parts
}

/// A path in quotation marks.
fn string(argument: &str) -> Option<PathBuf> {
    Some(decode(argument.strip_prefix('"')?.strip_suffix('"')?))
}

/// The path beside a descriptor, or beside `AT_FDCWD`. Of a file that has no name any more there is the
/// word `(deleted)` behind it.
fn descriptor(argument: &str) -> Option<PathBuf> {
    let (_, path) = argument.split_once('<')?;
    Some(decode(path.split_once('>')?.0))
}

fn decode(text: &str) -> PathBuf {
    let bytes = text.split("\\x").skip(1).map(|digits| u8::from_str_radix(digits, 16).unwrap());
    let bytes: Vec<u8> = bytes.collect();
    assert_eq!(bytes.len() * 4, text.len(), "not hexadecimal: {text}");
    OsString::from_vec(bytes).into()
}

/// An absolute path without symbolic links, as far as it leads; from there on as it is written. The
/// last part is followed if it is told to, or if a slash follows it.
pub fn resolve(path: &Path, follow: bool) -> PathBuf {
    let bytes = path.as_os_str().as_bytes();
    let follow = follow || bytes.ends_with(b"/") || bytes.ends_with(b"/.");
    let mut rest: Vec<OsString> = parts(path);
    let mut resolved = PathBuf::from("/");
    let mut links = 0;
    while let Some(part) = rest.pop() {
        if part == ".." {
            resolved.pop();
            continue;
        }
        let next = resolved.join(&part);
        match fs::read_link(&next) {
            Ok(target) if (follow || !rest.is_empty()) && links < MOST_LINKS => {
                links += 1;
                if target.is_absolute() {
                    resolved = PathBuf::from("/");
                }
                rest.extend(parts(&target));
            }
            _ => resolved = next,
        }
    }
    resolved
}

/// The parts of a path, the last first.
fn parts(path: &Path) -> Vec<OsString> {
    let parts = path.components().rev().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        _ => None,
    });
    parts.collect()
}

/// The program that a `#!` line names (execve(2)).
fn interpreter(program: &Path) -> Option<PathBuf> {
    let text = fs::read(program).ok()?;
    let line = text.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let name = line.trim_ascii().split(u8::is_ascii_whitespace).next()?;
    Some(resolve(Path::new(OsStr::from_bytes(name)), true))
}
