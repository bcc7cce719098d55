//! Which instructions are relayed to Cargo, and which would run code outside the jail.
//!
//! Each refusal below was seen to work as an attack under plain Cargo: a loader or tool variable in
//! rustc's environment, an argument file in one of rustc's arguments, a link argument that makes the
//! linker driver load or execute something. Nothing here depends on the policy document.

use crate::instruction::{Instruction, Kind, LinkFlag};
use crate::policy::pattern;

/// What becomes of one instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is written out again for Cargo.
    Relay,
    /// It is left out, and the unit goes on.
    Omit(&'static str),
    /// It is left out, and the unit fails.
    Withhold(&'static str),
}

/// Variables that make rustc, a wrapper, the linker driver or a tool that these start load or
/// execute something else (ld.so(8), gcc(1) "ENVIRONMENT", bash(1), and the tools' own manuals).
const STEERING_VARIABLES: &[&str] = &[
    "LD_*",
    "DYLD_*",
    "GLIBC_TUNABLES",
    "GCONV_PATH",
    "LOCPATH",
    "NLSPATH",
    "PATH",
    "SHELL",
    "BASH_ENV",
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
    "RUSTC_LOG",
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
    "__CARGO_*",
];

const CONTROL: &str = "a control character in it separates arguments in the file by which rustc hands \
                       long command lines to the linker driver";

const ARGUMENT_FILE: &str = "a value that begins with `@` becomes an argument file of rustc or of \
                             the linker, which can name a linker of the script's choosing";

/// Judges one instruction. `is_withheld` tells whether a variable was kept from the script.
#[must_use]
pub fn judge(instruction: &Instruction, is_withheld: impl Fn(&str) -> bool) -> Decision {
    match instruction.kind() {
        Kind::Cfg(value) | Kind::CheckCfg(value) if value.starts_with('@') => {
            Decision::Withhold(ARGUMENT_FILE)
        }
        Kind::LinkLib(value) | Kind::LinkSearch(value) => flag_value(value),
        Kind::Flags(flags) => flags
            .iter()
            .map(|flag| match flag {
                LinkFlag::Lib(value) | LinkFlag::Search(value) => flag_value(value),
            })
            .find(|decision| *decision != Decision::Relay)
            .unwrap_or(Decision::Relay),
        Kind::LinkArg(arg)
        | Kind::LinkArgBins(arg)
        | Kind::LinkArgTests(arg)
        | Kind::LinkArgExamples(arg)
        | Kind::LinkArgBenches(arg)
        | Kind::LinkArgBin { arg, .. }
        | Kind::LinkArgCdylib { arg, .. } => link_argument(arg),
        Kind::Env { name, .. } if is_steering(name) => Decision::Withhold(
            "the variable steers the loader, the compiler or the linker, which run outside the jail",
        ),
        // Cargo would write the variable's value in clear into `target/`.
        Kind::RerunIfEnvChanged(name) if is_withheld(name) => {
            Decision::Omit("the variable is kept from build scripts")
        }
        _ => Decision::Relay,
    }
}

fn is_steering(name: &str) -> bool {
    STEERING_VARIABLES.iter().any(|steering| pattern::matches(steering.as_bytes(), name.as_bytes()))
}

/// A value of `-l` or `-L`: rustc hands what follows `KIND=` on to the linker.
fn flag_value(value: &str) -> Decision {
    if value.chars().any(char::is_control) {
        return Decision::Withhold(CONTROL);
    }
    let bare = value.split_once('=').map_or(value, |(_, bare)| bare);
    if value.starts_with('@') || bare.starts_with('@') {
        Decision::Withhold(ARGUMENT_FILE)
    } else {
        Decision::Relay
    }
}

/// Options of gcc, clang and the linkers that load code or execute a program, without their dashes.
const LOADING_OPTIONS: &[&str] = &[
    "B",
    "prefix",
    "fcompare-debug",
    "load",
    "mllvm",
    "fuse-ld",
    "specs",
    "wrapper",
    "fplugin",
    "fpass-plugin",
    "plugin",
    "load-pass-plugin",
    "lto-plugin",
    "ld-path",
    "gcc-toolchain",
    "config",
];

/// A link argument, in any of the disguises in which a linker driver takes it: alone, after `-Wl,`
/// or `-Xlinker`, joined by commas or by `=`.
fn link_argument(argument: &str) -> Decision {
    if argument.chars().any(char::is_control) {
        return Decision::Withhold(CONTROL);
    }
    let words = argument
        .strip_prefix("-Wl,")
        .or_else(|| argument.strip_prefix("-Xlinker="))
        .or_else(|| argument.strip_prefix("-Xlinker"))
        .unwrap_or(argument);
    for word in words.split([',', ' ']) {
        if word.starts_with('@') {
            return Decision::Withhold(ARGUMENT_FILE);
        }
        let Some(option) = word.strip_prefix("--").or_else(|| word.strip_prefix('-')) else {
            continue;
        };
        let name = option.split_once('=').map_or(option, |(name, _)| name);
        let loads = LOADING_OPTIONS.contains(&name)
            // `-B` takes its directory joined; `-Bstatic` and its kin are the linker's own.
            || (option.starts_with('B')
                && !["Bstatic", "Bdynamic", "Bsymbolic", "Bsymbolic-functions", "Bgroup", "Bno-symbolic"]
                    .contains(&option))
            || option.starts_with("mllvm") && option.contains("load")
            // These write a file of any name.
            || ["o", "output", "Map", "dependency-file", "time"].contains(&name)
            || (option.starts_with('o') && word.len() > 2 && option.as_bytes()[1] == b'/');
        if loads {
            return Decision::Withhold(
                "the option makes the linker driver load code, execute a program or write a file \
                 outside the jail",
            );
        }
    }
    Decision::Relay
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instruction::{Line, parse};

    fn decide(line: &str) -> Decision {
        let Line::Instruction(instruction) = parse(line.as_bytes()) else {
            panic!("{line} is not an instruction");
        };
        judge(&instruction, |name| name == "GITHUB_TOKEN")
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
            "cargo::rustc-link-arg=-fplugin=/x.so",
            "cargo::rustc-link-arg=-Wl,-plugin,/x.so",
            "cargo::rustc-link-arg=-Wl,--plugin=/x.so",
            "cargo::rustc-link-arg=-Wl,-z,now,@/x",
            "cargo::rustc-link-arg=--prefix=/x",
            "cargo::rustc-link-arg=-Wl,-mllvm,-load=/x.so",
            "cargo::rustc-link-arg=-Wl,-Map=/x",
            "cargo::rustc-link-arg=-o",
            "cargo::rustc-link-arg=-o/x",
            "cargo::rustc-link-arg=-fcompare-debug=-fplugin=/x.so",
            "cargo::rustc-link-arg=-lz\t-specs=/x",
            "cargo::rustc-link-search=native=/x\t-specs=/x",
            "cargo::rustc-env=CLIPPY_ARGS=-Clinker=/x",
            "cargo::rustc-env=GCC_COMPARE_DEBUG=-fplugin=/x.so",
            "cargo::rustc-env=DEPENDENCIES_OUTPUT=/x",
        ] {
            assert!(matches!(decide(line), Decision::Withhold(_)), "{line}");
        }
    }

    #[test]
    fn what_packages_need_is_relayed() {
        for line in [
            "cargo::rustc-link-arg=-Wl,-z,relro,-z,now",
            "cargo::rustc-link-arg=-Wl,-rpath,$ORIGIN/../lib",
            "cargo::rustc-link-arg=-Wl,--version-script=/p/exports.map",
            "cargo::rustc-link-arg=-Tlink.x",
            "cargo::rustc-link-arg=-Bstatic",
            "cargo::rustc-link-arg=-nostartfiles",
            "cargo::rustc-link-lib=static=z",
            "cargo::rustc-link-search=native=/t/out",
            "cargo::rustc-flags=-l z -L /t/out",
            "cargo::rustc-env=GIT_HASH=@mine",
            "cargo::rustc-env=RUSTC_VERSION=1.95",
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
