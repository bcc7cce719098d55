//! `cargo brig policy init`: a `brig.toml` to begin with, and the lines by which plain Cargo uses the
//! jail.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::{Error, print, workspace};
use crate::exit::Ending;
use crate::policy::layers::WORKSPACE;

/// The document, but for the policy that it extends.
const TEXT: &str = "\
# What the build scripts of this workspace's packages and dependencies may do, beside what the policy
# that is extended here grants. `cargo brig policy show` shows all of it, `cargo brig policy check` finds
# mistakes.
extends = \"BASE\"

# What these crates are known to need beyond `strict`; `cargo brig policy crates` lists them:
#
# crates = [\"openssl-sys\"]

# Rules for all of them:
#
# [files]
# read = [\"{home}/.config/tool\"]     # also execute, write
#
# [environment]
# pass = [\"BUILD_NUMBER\"]            # also withhold, set = { NAME = \"value\" }

# Rules for one package, from a denial's sentence or `cargo brig show PACKAGE`:
#
# [[package]]
# name = \"openssl-sys\"
# version = \">=0.9\"
# files.read = [\"/srv/openssl\"]
# instructions.allow = [\"rustc-link-arg=-fuse-ld=lld\"]
";

/// The lines for `.cargo/config.toml` (The Cargo Book, \"Configuration\", `build.rustc-wrapper`).
const CARGO_CONFIG: &str = "\
# Every build script runs in the jail, with plain `cargo build` too.
[build]
rustc-wrapper = \"cargo-brig\"
";

/// Writes `brig.toml`, and with `cargo_config` those lines, if no such file is there; else they are
/// printed. A `brig.toml` that is there stays, and is a failure only where nothing else was wanted.
///
/// # Errors
/// [`Error::Exists`] if there is a `brig.toml`; that a file cannot be written.
pub fn run(strict: bool, cargo_config: bool) -> Result<Ending, Error> {
    let root = workspace().unwrap_or_else(|| PathBuf::from("."));
    let base = if strict { "strict" } else { "default" };
    let path = root.join(WORKSPACE);
    match create(&path, &TEXT.replace("BASE", base)) {
        Ok(()) => print(&format!("wrote {}\n", path.display()))?,
        Err(Error::Exists { path }) if cargo_config => {
            print(&format!("{} is there already, and stays as it is\n", path.display()))?;
        }
        Err(error) => return Err(error),
    }
    if cargo_config {
        let path = root.join(".cargo/config.toml");
        match create(&path, CARGO_CONFIG) {
            Ok(()) => print(&format!("wrote {}\n", path.display()))?,
            Err(Error::Exists { path }) => {
                let there = path.display();
                print(&format!("{there} is there already; add to it:\n\n{CARGO_CONFIG}"))?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Ending::Code(0))
}

/// Makes a file that is not there yet, whole or not at all.
fn create(path: &Path, text: &str) -> Result<(), Error> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AlreadyExists => Error::Exists { path: path.to_owned() },
        _ => Error::Write { path: path.to_owned(), source },
    };
    let directory = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(directory).map_err(failed)?;
    let beside = path.with_extension(format!("toml.{}", std::process::id()));
    let written = File::create_new(&beside)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        // A rename would put it in the place of another.
        .and_then(|()| fs::hard_link(&beside, path));
    drop(fs::remove_file(&beside));
    written.map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Document;

    #[test]
    fn what_is_written_is_a_policy_with_its_examples_too() {
        for base in ["default", "strict"] {
            let text = TEXT.replace("BASE", base);
            let document = Document::parse("brig.toml", &text).unwrap();
            assert_eq!(document.extends.map(crate::policy::Builtin::name), Some(base));
            let examples: Vec<&str> = text
                .lines()
                .filter_map(|line| line.strip_prefix("# "))
                .filter(|line| line.starts_with('[') || line.contains(" = "))
                .collect();
            let examples = examples.join("\n");
            let document = Document::parse("brig.toml", &examples).unwrap();
            assert_eq!(document.packages.len(), 1);
        }
    }

    #[test]
    fn nothing_is_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sub/brig.toml");
        create(&path, "a").unwrap();
        assert!(matches!(create(&path, "b"), Err(Error::Exists { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), "a");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }
}
