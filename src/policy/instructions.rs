//! Which instructions are relayed to Cargo, and which would run code outside the jail.
//!
//! Each refusal was seen to work as an attack under plain Cargo (`tests/instructions.rs`): a loader or
//! tool variable in rustc's environment, an argument file in one of rustc's arguments, a link argument
//! that makes the linker driver load or execute something, a directory in which rustc or a loader
//! finds something to execute.
//!
//! What is not withheld, because nothing tells it from what packages need:
//!
//! - `metadata` whatever it says. It becomes `DEP_*` in the environment of dependents' scripts, and one
//!   that executes a program or includes a header named there does so in its own jail. What it
//!   compiles goes into the user's program, as the package's own code does.
//! - Variables of any other name. A program that reads one as the name of what it executes, be it a wrapper
//!   of rustc or a procedural macro of the same package, is not known here.
//! - Code that is linked into the user's program, and so runs in `cargo run` and `cargo test`, where
//!   no jail is: by `rustc-link-lib`, by an object or a linker script as an argument.

use std::borrow::Cow;
use std::fmt::Display;

use crate::instruction::{Instruction, Kind, LinkFlag};
use crate::policy::link_search::{LinkSearch, Searched};
use crate::policy::{link_arguments, link_search, pattern};
use crate::terminal;

/// What becomes of one instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is written out again for Cargo.
    Relay,
    /// It is left out, and the unit goes on.
    Omit(&'static str),
    /// It is left out, and the unit fails.
    Withhold(Cow<'static, str>),
}

/// Judges the instructions of one script.
pub struct Judge<'a> {
    /// Tells whether a variable of this name was kept from the script.
    pub is_withheld: &'a dyn Fn(&str) -> bool,
    /// Tells whether the script may read what an absolute path leads to.
    pub may_read: link_arguments::MayRead<'a>,
    /// The directories that were relayed so far, to be judged when the script has ended.
    pub searched: Searched,
}

/// Variables that make rustc, a wrapper, the linker driver or a tool that these start load or
/// execute something else, or write to a file of that name (ld.so(8), gcc(1) "ENVIRONMENT", bash(1), and the
/// tools' own manuals and sources: gcc's `prefix.c` for `BINUTILS_ROOT`, LLVM's `Signals.cpp` for its
/// symbolizer).
const STEERING_VARIABLES: &[&str] = &[
    "LD_*",
    "DYLD_*",
    "GLIBC_TUNABLES",
    "GCONV_PATH",
    "LOCPATH",
    "NLSPATH",
    "PATH",
    "SHELL",
    "ENV",
    "BASHOPTS",
    "SHELLOPTS",
    "COMPILER_PATH",
    "LIBRARY_PATH",
    "GCC_EXEC_PREFIX",
    "COLLECT_*",
    "LPATH",
    "LTO_*",
    "CCC_OVERRIDE_OPTIONS",
    "CLANG_CONFIG_FILE_*",
    "LLD_*",
    "LDEMULATION",
    "LDFLAGS",
    "TMPDIR",
    "TMP",
    "TEMP",
    "HOME",
    "XDG_*",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_LINKER",
    "RUSTC_LOG*",
    "RUSTC_ICE",
    "RUSTUP_*",
    "RUST_TARGET_PATH",
    "SYSROOT",
    "CARGO_BRIG_*",
    "CARGO_HOME",
    "CARGO_TARGET_*_LINKER",
    "SCCACHE_*",
    "CCACHE_*",
    "DISTCC_*",
    "ICECC_*",
    "PYTHON*",
    "PERL5*",
    "PERLLIB",
    "RUBY*",
    "NODE_OPTIONS",
    "JAVA_TOOL_OPTIONS",
    "NIX_*",
    "GCC_*",
    "DEPENDENCIES_OUTPUT",
    "SUNPRO_DEPENDENCIES",
    "CLIPPY_*",
    "MIRI_*",
    "MAKE",
    "MAKEFLAGS",
    "MFLAGS",
    "GNUMAKEFLAGS",
    "CARGO_MAKEFLAGS",
    "MOLD_*",
    "WILD_*",
    "ZIG_*_DIR",
    "ZIG_LIBC",
    "EM_*",
    "EMCC_*",
    "DEVELOPER_DIR",
    "SDKROOT",
    "OPENSSL_CONF",
    "OPENSSL_ENGINES",
    "OPENSSL_MODULES",
    "MALLOC_CONF",
    "CC_LOG_DIAGNOSTICS_FILE",
    "CC_PRINT_*",
    "__CARGO_*",
    "*SAN_OPTIONS",
    "*_SYMBOLIZER_PATH",
    "AS_SECURE_LOG_FILE",
    "BASH_*",
    "BINUTILS_*",
    "BROWSER",
    "CARGO",
    "CARGO_BUILD_RUSTC*",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET_DIR",
    "CARGO_CONFIG*",
    "CARGO_ENCODED_*",
    "CARGO_MANIFEST_DIR",
    "CARGO_MANIFEST_PATH",
    "CARGO_TARGET_*_RUNNER",
    "CARGO_TARGET_*_RUSTFLAGS",
    "CARGO_TARGET_DIR",
    "CDPATH",
    "CLANG_CRASH_*",
    "CLANG_NO_DEFAULT_CONFIG",
    "CLANG_SPAWN_CC1",
    "COR_*",
    "CORECLR_*",
    "DOTNET_*",
    "DYLINT_*",
    "EDITOR",
    "FORCE_*_DIAGNOSTICS*",
    "FPATH",
    "GIT_ALTERNATE_*",
    "GIT_ASKPASS",
    "GIT_COMMON_DIR",
    "GIT_CONFIG*",
    "GIT_DIR",
    "GIT_EDITOR",
    "GIT_EXEC_PATH",
    "GIT_EXTERNAL_DIFF",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PAGER",
    "GIT_PROXY_COMMAND",
    "GIT_SEQUENCE_EDITOR",
    "GIT_SSH*",
    "GIT_TEMPLATE_DIR",
    "GIT_TRACE*",
    "GIT_WORK_TREE",
    "GNUTARGET",
    "IFS",
    "JAVA_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "LLVM_DISABLE_*",
    "LLVM_ENABLE_*",
    "LLVM_OVERRIDE_*",
    "LLVM_PROFILE_*",
    "LLVM_SYMBOLIZER_*",
    "LUA_*",
    "NODE_PATH",
    "OUT_DIR",
    "PAGER",
    "PHPRC",
    "PHP_INI_SCAN_DIR",
    "PROMPT_COMMAND",
    "PS1",
    "PS4",
    "RUSTC",
    "RUSTDOC",
    "RUSTDOCFLAGS",
    "RUSTFLAGS",
    "RUSTFMT",
    "TERMINFO*",
    "VISUAL",
    "ZDOTDIR",
    "_JAVA_OPTIONS",
];

const STEERING: &str =
    "the variable steers the loader, the compiler or the linker, which run outside the jail";
const ARGUMENT_FILE: &str = "a value that begins with `@` becomes an argument file of rustc or of \
                             the linker, which can name a linker of the script's choosing";
const TERMINAL: &str = "an escape sequence in it steers the terminal on which Cargo shows it";
const NO_LIBRARY: &str = "it is not `[KIND[:MODIFIERS]=]NAME` with a kind that rustc links and a name that \
                          no linker takes for an option";

fn withhold(reason: &dyn Display) -> Decision {
    Decision::Withhold(Cow::Owned(reason.to_string()))
}

impl Judge<'_> {
    /// Judges one instruction.
    #[must_use]
    pub fn judge(&mut self, instruction: &Instruction) -> Decision {
        let kind = instruction.kind();
        // Messages are shown with what would steer the terminal made visible.
        let is_message = matches!(kind, Kind::Warning { .. } | Kind::Error { .. });
        if !is_message && terminal::steers(&instruction.value()) {
            return Decision::Withhold(TERMINAL.into());
        }
        match kind {
            Kind::Cfg(value) | Kind::CheckCfg(value) if value.starts_with('@') => {
                Decision::Withhold(ARGUMENT_FILE.into())
            }
            Kind::LinkLib(value) => link_library(value),
            Kind::LinkSearch(value) => self.link_search(value),
            Kind::Flags(flags) => flags
                .iter()
                .map(|flag| match flag {
                    LinkFlag::Lib(value) => link_library(value),
                    LinkFlag::Search(value) => self.link_search(value),
                })
                .find(|decision| *decision != Decision::Relay)
                .unwrap_or(Decision::Relay),
            Kind::LinkArg(arg)
            | Kind::LinkArgBins(arg)
            | Kind::LinkArgTests(arg)
            | Kind::LinkArgExamples(arg)
            | Kind::LinkArgBenches(arg)
            | Kind::LinkArgBin { arg, .. }
            | Kind::LinkArgCdylib { arg, .. } => link_arguments::judge(arg, self.may_read)
                .map_or_else(|refusal| withhold(&refusal), |()| Decision::Relay),
            Kind::Env { name, .. } if is_steering(name) => Decision::Withhold(STEERING.into()),
            // Cargo would write the variable's value in clear into `target/`.
            Kind::RerunIfEnvChanged(name) if (self.is_withheld)(name) => {
                Decision::Omit("the variable is kept from build scripts")
            }
            _ => Decision::Relay,
        }
    }

    fn link_search(&mut self, value: &str) -> Decision {
        LinkSearch::parse(value)
            .and_then(|search| self.searched.note(search))
            .map_or_else(|refusal| withhold(&refusal), |()| Decision::Relay)
    }
}

/// A value of `-l` (rustc book, "Command-line arguments"); the linker gets `-lNAME` or, for Windows, the
/// name alone. The kind `link-arg` is an argument to the linker.
fn link_library(value: &str) -> Decision {
    if value.chars().any(char::is_control) {
        return withhold(&link_search::Refusal::Separator);
    }
    let (kind, name) = value.split_once('=').unwrap_or(("dylib", value));
    if value.starts_with('@') || name.starts_with('@') {
        return Decision::Withhold(ARGUMENT_FILE.into());
    }
    let kind = kind.split_once(':').map_or(kind, |(kind, _modifiers)| kind);
    let is_linked =
        ["static", "static-nobundle", "dylib", "framework", "raw-dylib"].contains(&kind);
    if is_linked && !name.starts_with('-') {
        Decision::Relay
    } else {
        Decision::Withhold(NO_LIBRARY.into())
    }
}

fn is_steering(name: &str) -> bool {
    STEERING_VARIABLES.iter().any(|steering| pattern::matches(steering.as_bytes(), name.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instruction::{Line, parse};

    fn decide(line: &str) -> Decision {
        let Line::Instruction(instruction) = parse(line.as_bytes()) else {
            panic!("{line} is not an instruction");
        };
        let mut judge = Judge {
            is_withheld: &|name| name == "GITHUB_TOKEN",
            may_read: &|path| path.starts_with("/p"),
            searched: Searched::default(),
        };
        judge.judge(&instruction)
    }

    #[test]
    fn what_runs_code_outside_is_withheld() {
        for line in [
            "cargo::rustc-env=LD_PRELOAD=/x.so",
            "cargo:rustc-env=LD_AUDIT=/x.so",
            "cargo::rustc-env=PATH=/x",
            "cargo::rustc-env=COMPILER_PATH=/x",
            "cargo::rustc-env=CARGO_BRIG_RUSTC_WRAPPER=/x",
            "cargo::rustc-cfg=@/x",
            "  cargo::rustc-cfg=@/x",
            "cargo::rustc-check-cfg=@/x",
            "cargo::rustc-link-search=@/x",
            "cargo::rustc-link-search=native=@/x",
            "cargo::rustc-link-lib=@/x",
            "cargo::rustc-flags=-L @/x",
            "cargo::rustc-link-arg=@/x",
            "cargo::rustc-link-arg=-wrapper",
            "cargo::rustc-link-arg=-B/x",
            "cargo::rustc-link-arg-bins=-fuse-ld=/x",
            "cargo::rustc-link-arg-cdylib=-specs=/x",
            "cargo::rustc-cdylib-link-arg=--specs=/x",
            "cargo::rustc-link-arg=-lz\t-specs=/x",
            "cargo::rustc-link-search=native=/x\t-specs=/x",
            "cargo::rustc-link-search=-Bx",
            "cargo::rustc-link-lib=z\t-specs=/x",
            "cargo::rustc-link-lib=-specs=/x",
            "cargo::rustc-link-lib=link-arg=-wrapper",
            "cargo::rustc-link-lib=link-arg:+verbatim=-wrapper",
            "cargo::rustc-link-lib=dylib:+verbatim=@x",
            "cargo::rustc-flags=-l z -L /x -llink-arg=-wrapper",
            "cargo::rustc-link-arg-tests=-wrapper",
            "cargo::rustc-link-arg-benches=-wrapper",
            "cargo::rustc-link-arg-examples=-wrapper",
            "cargo::rustc-link-arg-bin=x=-wrapper",
            "cargo::rustc-link-arg-bin=\u{1b}]52;x\u{7}=-lz",
            "cargo::rustc-env=A=\u{1b}]52;x\u{7}",
            "cargo::rustc-env=A\u{9b}2J=",
            "cargo::metadata=A\u{9b}2J=",
            "cargo:\u{1b}[2J=x",
            "cargo::rustc-env=MAKE=/x",
            "cargo::rustc-env=RUSTC_LOG_OUTPUT_TARGET=/x",
            "cargo::rustc-env=CLIPPY_ARGS=-Clinker=/x",
            "cargo::rustc-env=GCC_COMPARE_DEBUG=-fplugin=/x.so",
            "cargo::rustc-env=DEPENDENCIES_OUTPUT=/x",
            "cargo::rustc-env=LLVM_SYMBOLIZER_PATH=/x",
            "cargo::rustc-env=FORCE_LLD_DIAGNOSTICS_CRASH=1",
            "cargo::rustc-env=BINUTILS_ROOT=/x",
            "cargo::rustc-env=BASH_FUNC_exec%%=() { x; }",
            "cargo::rustc-env=PS4=$(x)",
            "cargo::rustc-env=OUT_DIR=/x",
            "cargo::rustc-env=CARGO=/x",
            "cargo::rustc-env=UBSAN_OPTIONS=log_path=/x",
            "cargo::rustc-env=GIT_CONFIG_KEY_0=core.fsmonitor",
            "cargo::rustc-link-search=native=/x/$LIB",
            "cargo::rustc-link-search=/x/${ORIGIN}",
            "cargo::rustc-flags=-L /x/$PLATFORM",
        ] {
            assert!(matches!(decide(line), Decision::Withhold(_)), "{line}");
        }
    }

    #[test]
    fn what_packages_need_is_relayed() {
        for line in [
            "cargo::rustc-link-arg=-Wl,-z,relro,-z,now",
            "cargo::rustc-link-arg-bins=-T/p/link.x",
            "cargo::rustc-link-lib=z",
            "cargo::rustc-link-lib=:libz.so.1",
            "cargo::rustc-link-lib=static:-bundle,+whole-archive=z",
            "cargo::rustc-link-lib=framework=Security",
            "cargo::rustc-env=COLOR=\u{1b}[31mred\u{1b}[0m",
            "cargo::warning=\u{1b}]52;x",
            "cargo::rustc-link-lib=static=z",
            "cargo::rustc-link-search=native=/t/out",
            "cargo::rustc-flags=-l z -L /t/out",
            "cargo::rustc-env=GIT_HASH=@mine",
            "cargo::rustc-env=RUSTC_VERSION=1.95",
            "cargo::rustc-env=GIT_COMMIT=x",
            "cargo::rustc-env=LLVM_VERSION=1",
            "cargo::rustc-env=CARGO_TARGET_TRIPLE=x",
            "cargo::rustc-env=CLANG_VERSION=1",
            "cargo::rustc-env=BUILD_DOTNET=1",
            "cargo::rustc-cfg=feature=\"a\"",
            "cargo::rerun-if-env-changed=CC",
            "cargo::metadata=root=@x",
        ] {
            assert_eq!(decide(line), Decision::Relay, "{line}");
        }
    }

    #[test]
    fn withheld_variables_are_not_named_to_cargo() {
        let decision = decide("cargo::rerun-if-env-changed=GITHUB_TOKEN");
        assert!(matches!(decision, Decision::Omit(_)));
    }
}
