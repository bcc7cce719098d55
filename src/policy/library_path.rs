//! `LD_LIBRARY_PATH` as a script gets it: without directories in which its programs find nothing.
//!
//! Cargo, and rustup before it, name four directories there for every script. The loader looks into each
//! of them, and into a dozen others below it, for each library of each program (ld.so(8), "Hardware
//! capabilities"): with short-lived programs, those of a build system, that is more than half of all
//! that the warden is asked. What a script may not read helps no loader, and the toolchain's libraries
//! help none but programs that are linked with them.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::Path;

use super::grants::{Grants, Right};
use super::link_search::CAPABILITIES;
use crate::unit::Unit;

/// The variable (ld.so(8)).
pub const VARIABLE: &str = "LD_LIBRARY_PATH";

/// The value without those directories; none if there is no other.
#[must_use]
pub fn shortened(value: &OsStr, unit: &Unit, grants: &Grants) -> Option<OsString> {
    let helps = |path: &Path| {
        // An empty one is the working directory, and one that is not there can come to be.
        let Ok(real) = fs::canonicalize(path) else { return true };
        let may_read = grants.covers(Right::Read, &real)
            || grants.files.iter().any(|grant| {
                grant.right.includes(Right::Read) && is_looked_for_in(&real, &grant.path)
            });
        may_read && !unit.is_for_others_libraries(&real)
    };
    let helping: Vec<_> = env::split_paths(value).filter(|path| helps(path)).collect();
    if helping.is_empty() { None } else { env::join_paths(helping).ok() }
}

/// Whether a loader that looks into a directory finds what lies at this path.
fn is_looked_for_in(directory: &Path, path: &Path) -> bool {
    let mut below = path.strip_prefix(directory).into_iter().flatten();
    match (below.next(), below.next()) {
        (Some(_), None) => true,
        (Some(first), Some(_)) => CAPABILITIES.iter().any(|name| first == *name),
        (None, _) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Grant;
    use crate::unit::Variables;
    use std::os::unix::fs::symlink;

    #[test]
    fn what_helps_no_loader_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        for name in ["target/debug/deps", "target/debug/build/p-1/out", "toolchain/lib", "own"] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        fs::create_dir(root.join("toolchain/bin")).unwrap();
        for name in ["toolchain/bin/rustc", "toolchain/lib/libstd-0123456789abcdef.so"] {
            fs::write(root.join(name), "").unwrap();
        }
        let llvm = "libLLVM.so.22.1-rust-1.95.0-stable";
        symlink("nowhere", root.join("toolchain/lib").join(llvm)).unwrap();
        let variables: Variables = [
            ("OUT_DIR", root.join("target/debug/build/p-1/out")),
            ("CARGO_MANIFEST_DIR", root.clone()),
            ("RUSTC", root.join("toolchain/bin/rustc")),
        ]
        .map(|(name, path)| (name.into(), path.into()))
        .into_iter()
        .collect();
        let script = root.join("toolchain/bin/rustc");
        let unit = Unit::parse(variables, &script, vec!["s".into()], None).unwrap();
        let granted = |paths: &[&str]| {
            let grant = |path: &&str| {
                let right = Right::Read;
                Grant { right, path: root.join(path), place: None }
            };
            Grants { files: paths.iter().map(grant).collect(), ..Grants::default() }
        };
        let usual = ["target/debug/build/p-1/out", "toolchain", "own"];
        let deps = "target/debug/deps/libdep-0123456789abcdef.so";
        let value = |names: &[&str]| env::join_paths(names.iter().map(|n| root.join(n))).unwrap();
        let all = ["target/debug/deps", "target/debug", "toolchain/lib", "own"];
        let shortened = |grants: &[&str]| shortened(&value(&all), &unit, &granted(grants));
        assert_eq!(shortened(&usual), Some(value(&["own"])));
        assert_eq!(shortened(&usual[..2]), None);
        // What the script may load keeps its place.
        let with_dep = [&usual[..], &[deps]].concat();
        assert_eq!(shortened(&with_dep), Some(value(&["target/debug/deps", "own"])));
        let with_capable = [&usual[..], &["target/debug/glibc-hwcaps/x86-64-v3/lib.so"]].concat();
        assert_eq!(shortened(&with_capable), Some(value(&["target/debug", "own"])));
        fs::write(root.join("toolchain/lib/libz.so.1"), "").unwrap();
        assert_eq!(shortened(&usual), Some(value(&["toolchain/lib", "own"])));
        let others = OsString::from(format!("/no/such:{}:", root.join("own").display()));
        let grants = granted(&usual);
        assert_eq!(super::shortened(&others, &unit, &grants).as_ref(), Some(&others));
    }
}
