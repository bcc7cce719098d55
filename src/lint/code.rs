//! The closed set of lints: for each a name that stays the same in every version, how much it matters,
//! what to do about it, and whose advice that is.

use serde::Serialize;

/// How much a lint matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// It works, and could be better.
    Note,
    /// It is wrong, or will be on some machine.
    Warning,
}

impl Level {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
        }
    }
}

/// Which lint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Code {
    /// Tried to reach a network.
    Network,
    /// Wrote, or tried to, where Cargo does not look after it.
    WritesOutsideOutDir,
    /// Two runs with the same inputs gave different results.
    DiffersBetweenRuns,
    /// An instruction is part of another line.
    SwallowedInstruction,
    /// A key that Cargo does not know has become metadata.
    KeyBecomesMetadata,
    /// Paths or flags of the machine that builds, for another that runs.
    HostPathInCrossBuild,
    /// A declared path does not exist.
    RerunsAlways,
    /// Nothing is declared.
    RerunsOnAnyChange,
    /// A file was read and not declared.
    UndeclaredFile,
    /// A variable was asked for and not declared.
    UndeclaredVariable,
    /// A `cfg` that the package asks for and rustc does not expect.
    CfgWithoutCheckCfg,
    /// Outputs that name the home directory.
    HomeDirectoryInOutput,
    /// `cargo:` where `cargo::` can be used.
    OldSyntax,
}

impl Code {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 13] = [
        Self::Network,
        Self::WritesOutsideOutDir,
        Self::DiffersBetweenRuns,
        Self::SwallowedInstruction,
        Self::KeyBecomesMetadata,
        Self::HostPathInCrossBuild,
        Self::RerunsAlways,
        Self::RerunsOnAnyChange,
        Self::UndeclaredFile,
        Self::UndeclaredVariable,
        Self::CfgWithoutCheckCfg,
        Self::HomeDirectoryInOutput,
        Self::OldSyntax,
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::WritesOutsideOutDir => "writes-outside-out-dir",
            Self::DiffersBetweenRuns => "differs-between-runs",
            Self::SwallowedInstruction => "swallowed-instruction",
            Self::KeyBecomesMetadata => "key-becomes-metadata",
            Self::HostPathInCrossBuild => "host-path-in-cross-build",
            Self::RerunsAlways => "reruns-always",
            Self::RerunsOnAnyChange => "reruns-on-any-change",
            Self::UndeclaredFile => "undeclared-file",
            Self::UndeclaredVariable => "undeclared-variable",
            Self::CfgWithoutCheckCfg => "cfg-without-check-cfg",
            Self::HomeDirectoryInOutput => "home-directory-in-output",
            Self::OldSyntax => "old-syntax",
        }
    }

    /// How much it matters.
    #[must_use]
    pub fn level(self) -> Level {
        match self {
            Self::Network
            | Self::WritesOutsideOutDir
            | Self::DiffersBetweenRuns
            | Self::SwallowedInstruction
            | Self::KeyBecomesMetadata
            | Self::HostPathInCrossBuild
            | Self::RerunsAlways
            | Self::UndeclaredFile
            | Self::UndeclaredVariable
            | Self::CfgWithoutCheckCfg => Level::Warning,
            Self::RerunsOnAnyChange | Self::HomeDirectoryInOutput | Self::OldSyntax => Level::Note,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn help(self) -> &'static str {
        match self {
            Self::Network => {
                "put what it fetches into the package, or look for it on the system: builds must work \
                 without a network, as on docs.rs and in distributions"
            }
            Self::WritesOutsideOutDir => {
                "write below OUT_DIR only: everything else is shared with other builds, lies in a \
                 read-only registry, or is what `cargo package` refuses to see changed"
            }
            Self::DiffersBetweenRuns => {
                "leave out times, random numbers, addresses and the order of hash maps and directories; \
                 take the time from SOURCE_DATE_EPOCH if there must be one"
            }
            Self::SwallowedInstruction => {
                "end every line with a newline, `println!` and not `print!`: an instruction has to begin \
                 its line"
            }
            Self::KeyBecomesMetadata => {
                "after one colon, Cargo takes every key that it does not know for metadata, without a \
                 word; correct the key, or write `cargo::`, which refuses unknown keys"
            }
            Self::HostPathInCrossBuild => {
                "ask for the target's libraries: a sysroot, PKG_CONFIG_SYSROOT_DIR, or the `cc` crate, by \
                 TARGET; the host's are for another machine"
            }
            Self::RerunsAlways => {
                "declare only what exists: a path that does not is always newer for Cargo, and the script \
                 and all that depends on its package is built again each time"
            }
            Self::RerunsOnAnyChange => {
                "print `cargo::rerun-if-changed=build.rs`, and one for each file that it reads: a script \
                 that declares nothing runs again after any change in its package"
            }
            Self::UndeclaredFile => {
                "print `cargo::rerun-if-changed=PATH` for it, or for a directory, which stands for all \
                 below it: without that, the build does not notice that it changes"
            }
            Self::UndeclaredVariable => {
                "print `cargo::rerun-if-env-changed=NAME`, also for one that is not set: without that, \
                 the build does not notice that it changes"
            }
            Self::CfgWithoutCheckCfg => {
                "print `cargo::rustc-check-cfg=cfg(NAME)`, also where the cfg is not set (`cargo:` if \
                 rust-version is below 1.77): rustc warns of others since 1.80"
            }
            Self::HomeDirectoryInOutput => {
                "build with relative paths, or map them (`-ffile-prefix-map=OLD=NEW` for C, \
                 `--remap-path-prefix` for rustc): what is built in another home directory differs, and \
                 tells whose it was"
            }
            Self::OldSyntax => {
                "print `cargo::`, which Cargo has known since 1.77: it refuses keys that it does not \
                 know, where `cargo:` makes metadata of them"
            }
        }
    }

    /// Whose advice it is.
    #[must_use]
    pub fn source(self) -> &'static str {
        match self {
            Self::Network => "https://docs.rs/about/builds",
            Self::WritesOutsideOutDir | Self::KeyBecomesMetadata | Self::SwallowedInstruction => {
                "https://doc.rust-lang.org/cargo/reference/build-scripts.html#outputs-of-the-build-script"
            }
            Self::DiffersBetweenRuns => "https://reproducible-builds.org/docs/source-date-epoch/",
            Self::HostPathInCrossBuild => {
                "https://doc.rust-lang.org/cargo/reference/environment-variables.html#environment-variables-cargo-sets-for-build-scripts"
            }
            Self::RerunsAlways
            | Self::RerunsOnAnyChange
            | Self::UndeclaredFile
            | Self::UndeclaredVariable => {
                "https://doc.rust-lang.org/cargo/reference/build-scripts.html#change-detection"
            }
            Self::CfgWithoutCheckCfg => {
                "https://doc.rust-lang.org/rustc/check-cfg/cargo-specifics.html"
            }
            Self::HomeDirectoryInOutput => "https://reproducible-builds.org/docs/build-path/",
            Self::OldSyntax => {
                "https://doc.rust-lang.org/cargo/reference/build-scripts.html#life-cycle-of-a-build-script"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_different_and_help_is_one_line() {
        let names: std::collections::BTreeSet<_> = Code::ALL.map(Code::name).into();
        assert_eq!(names.len(), Code::ALL.len());
        assert!(Code::ALL.is_sorted());
        for code in Code::ALL {
            assert!(!code.help().contains(['\n', '\t']) && !code.help().contains("  "));
            assert!(code.source().starts_with("https://"), "{code:?}");
        }
    }
}
