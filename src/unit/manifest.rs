//! A package's name and version, read from its manifest ("The Manifest Format", The Cargo Book).
//!
//! For a compilation, whose environment a build script writes to: `CARGO_PKG_NAME` is not to be believed
//! there. Scripts are told by Cargo alone.

use std::fs;
use std::path::Path;

use toml::Table;

/// The name and the version of the package in a directory, whose workspace's root is there or above, as
/// far as `root`. None if there is no manifest, or none that Cargo would take.
#[must_use]
pub fn package_in(directory: &Path, root: &Path) -> Option<(String, String)> {
    let manifest = read(directory)?;
    let package = manifest.get("package").or_else(|| manifest.get("project"))?.as_table()?;
    let name = package.get("name")?.as_str()?.to_owned();
    let version = match package.get("version") {
        None => None,
        Some(version) => match version.as_str() {
            Some(version) => Some(version.to_owned()),
            None => Some(inherited(directory, root)?),
        },
    };
    // Cargo's own default.
    Some((name, version.unwrap_or_else(|| "0.0.0".to_owned())))
}

fn read(directory: &Path) -> Option<Table> {
    fs::read_to_string(directory.join("Cargo.toml")).ok()?.parse().ok()
}

/// What `version.workspace = true` stands for.
fn inherited(directory: &Path, root: &Path) -> Option<String> {
    let above = directory.ancestors().take_while(|path| path.starts_with(root));
    let workspaces = above.filter_map(read);
    let mut versions = workspaces.filter_map(|manifest| {
        let package = manifest.get("workspace")?.as_table()?.get("package")?.as_table()?.clone();
        Some(package.get("version")?.as_str()?.to_owned())
    });
    versions.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_what_its_manifest_says() {
        let dir = tempfile::tempdir().unwrap();
        let member = dir.path().join("a/b");
        fs::create_dir_all(&member).unwrap();
        let write = |path: &Path, text: &str| fs::write(path.join("Cargo.toml"), text).unwrap();
        let of = |path: &Path| package_in(path, dir.path());
        assert_eq!(of(&member), None);
        write(dir.path(), "[workspace.package]\nversion = \"3.0.0\"\n");
        let found = |version: &str| Some(("b".to_owned(), version.to_owned()));
        write(&member, "[package]\nname = \"b\"\nversion = \"1.2.3\"\n");
        assert_eq!(of(&member), found("1.2.3"));
        write(&member, "package = { name = \"b\", version.workspace = true }\n");
        assert_eq!(of(&member), found("3.0.0"));
        assert_eq!(package_in(&member, &member), None);
        write(&member, "[project]\nname = \"b\"\n");
        assert_eq!(of(&member), found("0.0.0"));
        write(&member, "[package\n");
        assert_eq!(of(&member), None);
    }
}
