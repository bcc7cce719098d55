//! Whether the crate of a package uses what the script left in `OUT_DIR`. rustc writes down which
//! variables a crate was compiled with (`env!`), and which files (`include!`): in a `.d` file beside what
//! it makes.

use std::fs;
use std::path::Path;

use super::obstacle::Obstacle;
use crate::completeness;
use crate::stored::StoredUnit;

/// Looks at what rustc wrote of this build.
///
/// # Errors
/// Why an override would not do.
pub fn check(unit: &StoredUnit<'_>) -> Result<(), Obstacle> {
    let given = unit.variables.iter().find(|(name, _)| &***name == "OUT_DIR");
    let out_dirs: Vec<&str> =
        given.into_iter().map(|(_, value)| &**value).chain([&*unit.out_dir]).collect();
    let names = crates(unit);
    let mut is_compiled = false;
    for path in completeness::dep_infos(Path::new(&*unit.out_dir)) {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let name = stem.rsplit_once('-').map_or(&*stem, |(name, _hash)| name);
        is_compiled |= names.iter().any(|known| known == name);
        let Ok(text) = fs::read_to_string(&path) else { return Err(Obstacle::NotCompiled) };
        if text.lines().any(|line| is_use(line, &out_dirs)) {
            return Err(Obstacle::OutDirInCrate);
        }
    }
    if is_compiled { Ok(()) } else { Err(Obstacle::NotCompiled) }
}

/// `# env-dep:OUT_DIR=PATH`, or a rule about a file in it: `PATH:`, with `\ ` for a blank.
fn is_use(line: &str, out_dirs: &[&str]) -> bool {
    let is_below = |path: &str, out_dir: &&str| {
        path.strip_prefix(*out_dir).is_some_and(|rest| rest.starts_with('/'))
    };
    match line.strip_prefix("# env-dep:OUT_DIR=") {
        Some(value) => {
            let value = value.replace("\\\\", "\\");
            out_dirs.contains(&value.as_str())
        }
        None if line.starts_with('#') => false,
        None => line.strip_suffix(':').is_some_and(|path| {
            let path = path.replace("\\ ", " ");
            out_dirs.iter().any(|out_dir| is_below(&path, out_dir))
        }),
    }
}

/// The names of the package's crates, as rustc has them: its own, and those that the manifest gives.
fn crates(unit: &StoredUnit<'_>) -> Vec<String> {
    let manifest = Path::new(&*unit.manifest_dir).join("Cargo.toml");
    let manifest: toml::Table =
        fs::read_to_string(manifest).ok().and_then(|text| text.parse().ok()).unwrap_or_default();
    let lib = manifest.get("lib").into_iter();
    let bins = manifest.get("bin").and_then(toml::Value::as_array).into_iter().flatten();
    let of_targets = lib.chain(bins).filter_map(|target| target.get("name")?.as_str());
    of_targets.chain([&*unit.package]).map(|name| name.replace('-', "_")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_use_is_known_by_the_whole_path() {
        for (line, expected) in [
            ("# env-dep:OUT_DIR=/t/b é/out", true),
            ("# env-dep:OUT_DIR=/t/b é/out2", false),
            ("# env-dep:OUT_DIR", false),
            ("/t/b\\ é/out/x.rs:", true),
            ("/t/b\\ é/outer/x.rs:", false),
            ("/t/lib.rlib: src/lib.rs /t/b\\ é/out/x.rs", false),
        ] {
            assert_eq!(is_use(line, &["/t/b é/out"]), expected, "{line}");
        }
    }
}
