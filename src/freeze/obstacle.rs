//! Why an override would not stand in for a script.

/// See the file's description.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Obstacle {
    /// An override goes by it.
    #[error("its manifest has no `links` key, by which Cargo finds an override")]
    NoLinks,
    /// Cargo's own settings of a target.
    #[error("its `links` key is `{links}`, which is a setting of Cargo's at the same place")]
    Setting {
        /// The key.
        links: String,
    },
    /// The recorded run.
    #[error("its last run failed")]
    Failed,
    /// A run by another tool.
    #[error("its record names no target")]
    NoTarget,
    /// Too many instructions, or one that this cargo-brig does not know.
    #[error("its record does not have all that it told Cargo")]
    Incomplete,
    /// The package's crate wants the directory.
    #[error(
        "its crate uses OUT_DIR (`include!` or `env!`), which a script that does not run does not fill"
    )]
    OutDirInCrate,
    /// It was not compiled yet, or something else was cleaned away.
    #[error(
        "its crate was not compiled, or what rustc wrote of that is gone, so that it is not known \
         whether it uses OUT_DIR; build it with `cargo brig build`"
    )]
    NotCompiled,
    /// An instruction names a place in the build directory.
    #[error("`{instruction}` names a place in the build directory, which `cargo clean` removes")]
    BuildDir {
        /// The instruction.
        instruction: String,
    },
    /// Nothing in an override says the same.
    #[error("`{instruction}` cannot be said in an override")]
    Unsupported {
        /// The instruction.
        instruction: String,
    },
    /// Two runs.
    #[error("its runs for several profiles or features told Cargo different things")]
    Differs,
    /// Two packages.
    #[error("its `links` key is also that of `{by}`, of which there is a record too")]
    Taken {
        /// The other.
        by: String,
    },
}
