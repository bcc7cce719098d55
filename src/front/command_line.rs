//! A Cargo command line, read just far enough: which command, in which directories, how loud.
//!
//! Nothing is changed or reordered: Cargo gets the arguments as they came.

use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;

/// Commands that compile nothing, so that there is nothing to look at.
const NON_BUILDING: &[&str] = &[
    "add",
    "clean",
    "config",
    "fetch",
    "generate-lockfile",
    "git-checkout",
    "help",
    "info",
    "init",
    "locate-project",
    "login",
    "logout",
    "metadata",
    "new",
    "owner",
    "pkgid",
    "read-manifest",
    "remove",
    "report",
    "rm",
    "search",
    "tree",
    "uninstall",
    "update",
    "vendor",
    "verify-project",
    "version",
    "yank",
];
/// Options of Cargo itself, before the command, that take a value.
const GLOBAL_WITH_VALUE: &[&str] = &["-C", "-Z", "--color", "--config"];

/// See the file's description.
#[derive(Debug)]
pub struct CommandLine {
    /// `+toolchain`.
    toolchain: Option<OsString>,
    /// Everything for Cargo, up to `--`.
    arguments: Vec<OsString>,
    /// Index of the command in `arguments`.
    command: Option<usize>,
}

impl CommandLine {
    /// Reads the arguments that stand after `cargo brig`.
    #[must_use]
    pub fn parse(arguments: &[OsString]) -> Self {
        let mut arguments: Vec<OsString> =
            arguments.iter().take_while(|argument| *argument != "--").cloned().collect();
        let has_toolchain =
            arguments.first().is_some_and(|first| first.as_bytes().starts_with(b"+"));
        let toolchain = has_toolchain.then(|| arguments.remove(0));
        let mut command = None;
        let mut index = 0;
        while let Some(argument) = arguments.get(index) {
            if GLOBAL_WITH_VALUE.iter().any(|option| argument == option) {
                index += 1;
            } else if !argument.as_bytes().starts_with(b"-") {
                command = Some(index);
                break;
            }
            index += 1;
        }
        Self { toolchain, arguments, command }
    }

    /// The command's name.
    #[must_use]
    pub fn command(&self) -> Option<&str> {
        self.arguments.get(self.command?)?.to_str()
    }

    /// The toolchain argument, as a list of none or one.
    #[must_use]
    pub fn toolchain(&self) -> &[OsString] {
        self.toolchain.as_slice()
    }

    /// The toolchain and the options before the command.
    pub fn global(&self) -> impl Iterator<Item = &OsStr> {
        let before = &self.arguments[..self.command.unwrap_or(0)];
        let after = self.pairs(&["--config", "-Z"]);
        let before = before.iter().map(OsString::as_os_str);
        // Those that stand after the command count as well; what stands before is there once.
        let command = self.command.unwrap_or(0);
        let after = after.into_iter().filter(move |(index, _)| *index > command);
        self.toolchain
            .iter()
            .map(OsString::as_os_str)
            .chain(before)
            .chain(after.flat_map(|(_, words)| words))
    }

    /// `--manifest-path` and its value, for `cargo metadata`.
    pub fn manifest(&self) -> impl Iterator<Item = &OsStr> {
        self.pairs(&["--manifest-path"]).into_iter().flat_map(|(_, words)| words)
    }

    /// Every occurrence of an option with its value, as written, and where.
    fn pairs(&self, options: &[&str]) -> Vec<(usize, Vec<&OsStr>)> {
        let mut pairs = Vec::new();
        for (index, argument) in self.arguments.iter().enumerate() {
            for option in options {
                let Some(rest) = argument.as_bytes().strip_prefix(option.as_bytes()) else {
                    continue;
                };
                let joined =
                    rest.starts_with(b"=") || (!option.starts_with("--") && !rest.is_empty());
                if joined {
                    pairs.push((index, vec![argument.as_os_str()]));
                } else if rest.is_empty()
                    && let Some(value) = self.arguments.get(index + 1)
                {
                    pairs.push((index, vec![argument.as_os_str(), value.as_os_str()]));
                }
            }
        }
        pairs
    }

    /// The values of an option that takes one, in order.
    #[must_use]
    pub fn values(&self, option: &str) -> Vec<OsString> {
        self.pairs(&[option])
            .into_iter()
            .map(|(_, words)| match words[..] {
                [joined] => {
                    let rest = &joined.as_bytes()[option.len()..];
                    OsStr::from_bytes(rest.strip_prefix(b"=").unwrap_or(rest)).to_owned()
                }
                _ => words[words.len() - 1].to_owned(),
            })
            .collect()
    }

    fn has(&self, flags: &[&str]) -> bool {
        self.arguments.iter().any(|argument| flags.iter().any(|flag| argument == flag))
    }

    /// Cargo: the one that called us, or with `+toolchain` the one in `PATH`, which is rustup's and
    /// understands that.
    #[must_use]
    pub fn cargo(&self) -> Command {
        let caller = env::var_os("CARGO").filter(|_| self.toolchain.is_none());
        Command::new(caller.unwrap_or_else(|| OsString::from("cargo")))
    }

    /// Whether the command can compile something. Aliases and external commands can.
    #[must_use]
    pub fn may_build(&self) -> bool {
        self.command().is_some_and(|command| !NON_BUILDING.contains(&command))
            && !self.has(&["--help", "-h"])
    }

    /// Whether Cargo compiles the workspace's packages without `RUSTC_WRAPPER`
    /// (`src/cargo/ops/fix/mod.rs`).
    #[must_use]
    pub fn bypasses_the_wrapper(&self) -> bool {
        self.command() == Some("fix") || self.has(&["--fix"])
    }

    /// Whether this build will use a profile directory, as far as the arguments tell.
    #[must_use]
    pub fn builds_in(&self, profile_dir: &Path) -> bool {
        let profile = if let Some(profile) = self.values("--profile").pop() {
            if profile == "dev" || profile == "test" { "debug".into() } else { profile }
        } else if self.has(&["--release", "-r"]) || self.command() == Some("bench") {
            "release".into()
        } else {
            OsString::from("debug")
        };
        profile_dir.file_name() == Some(&profile)
    }

    /// Whether this command was asked to be quiet.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.has(&["-q", "--quiet"])
    }

    /// The value of `--color`.
    #[must_use]
    pub fn color(&self) -> Option<OsString> {
        self.values("--color").pop()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> CommandLine {
        CommandLine::parse(&text.split(' ').map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn the_command_is_found_behind_options() {
        assert_eq!(parse("build --release").command(), Some("build"));
        assert_eq!(parse("+nightly -Z x --config a=1 -q test -p p").command(), Some("test"));
        assert_eq!(parse("--version").command(), None);
        assert_eq!(parse("run -- build").command(), Some("run"));
    }

    #[test]
    fn values_are_found_in_both_spellings() {
        let line = parse("build --target-dir=/a --target-dir /b --config x=1 -- --target-dir /c");
        assert_eq!(line.values("--target-dir"), ["/a", "/b"]);
        assert_eq!(line.values("--config"), ["x=1"]);
        assert_eq!(line.global().collect::<Vec<_>>(), ["--config", "x=1"]);
        let line = parse("+x --config=y=2 check -Zz --manifest-path m/Cargo.toml");
        assert_eq!(line.global().collect::<Vec<_>>(), ["+x", "--config=y=2", "-Zz"]);
        assert_eq!(line.manifest().collect::<Vec<_>>(), ["--manifest-path", "m/Cargo.toml"]);
    }

    #[test]
    fn commands_are_classified() {
        assert!(parse("b").may_build() && parse("nextest run").may_build());
        assert!(!parse("metadata").may_build() && !parse("build --help").may_build());
        assert!(parse("fix --lib").bypasses_the_wrapper());
        assert!(parse("clippy --fix").bypasses_the_wrapper());
        assert!(!parse("clippy").bypasses_the_wrapper());
    }

    #[test]
    fn the_profile_directory_is_guessed() {
        assert!(parse("build").builds_in(Path::new("/t/debug")));
        assert!(parse("build -r").builds_in(Path::new("/t/x86/release")));
        assert!(parse("build --profile=fast").builds_in(Path::new("/t/fast")));
        assert!(!parse("build").builds_in(Path::new("/t/release")));
    }
}
