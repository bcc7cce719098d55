//! Planted links: symbolic links that a script has left in `OUT_DIR` and that lead to where it may not
//! read.
//!
//! The jail judges where a link leads when the script itself follows it. Others follow it without
//! a jail: rustc (`include!`), an archiver, a person's `cp -L`. A link to what the script may
//! read gives them nothing that it could not have copied. Links to missing files count as well, because
//! one that writes to the link makes the file. Hard links to files outside the kernel refuses
//! (`LANDLOCK_ACCESS_FS_REFER`).

use std::fs::{self, FileType};
use std::io;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;

use crate::access::printable;
use crate::finding::Finding;
use crate::policy::{Grants, Right};
use crate::sys;

/// So many are told of that fail the unit, and so many others.
const TOLD: usize = 10;

/// The links below `out_dir` that lead to what `grants` do not let a script read, as findings; and the
/// directories of which nobody can say what is in them.
#[must_use]
pub fn links_in(out_dir: &Path, grants: &Grants) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut directories = vec![out_dir.to_owned()];
    while let Some(directory) = directories.pop() {
        let entries = match sys::uninterrupted(|| entries(&directory)) {
            Ok(entries) => entries,
            Err(error) if directory == out_dir && error.kind() == io::ErrorKind::NotFound => break,
            Err(error) => {
                // Whoever knows a name in it can still follow that.
                note(&mut findings, unlisted(out_dir, &directory, &error));
                continue;
            }
        };
        for (path, kind) in entries {
            if kind.is_dir() {
                directories.push(path);
            } else if kind.is_symlink()
                && let Some(finding) = judge(out_dir, &path, grants)
            {
                note(&mut findings, finding);
            }
        }
    }
    findings
}

fn entries(directory: &Path) -> io::Result<Vec<(PathBuf, FileType)>> {
    fs::read_dir(directory)?
        .map(|entry| entry.and_then(|entry| Ok((entry.path(), entry.file_type()?))))
        .collect()
}

/// Keeps a finding, unless there are many of its kind.
fn note(findings: &mut Vec<Finding>, finding: Finding) {
    let alike = findings.iter().filter(|other| other.fatal == finding.fatal).count();
    if alike < TOLD {
        findings.push(finding);
    }
}

fn unlisted(root: &Path, directory: &Path, error: &io::Error) -> Finding {
    let name = printable(&directory.strip_prefix(root).unwrap_or(directory).to_string_lossy());
    Finding {
        code: "planted-link".to_owned(),
        message: format!(
            "left the directory `{name}` in OUT_DIR, which cannot be listed ({error}): a link in it could \
             lead to what it may not read"
        ),
        fatal: true,
        rule: None,
    }
}

/// What is wrong with a link.
fn judge(root: &Path, path: &Path, grants: &Grants) -> Option<Finding> {
    // Nobody can follow one that leads nowhere.
    let target = lead(path, LONGEST_CHAIN).ok()?;
    // A directory that may be listed, and be read but for the build directory in it, is the
    // package's or the workspace's.
    let is_granted = grants.covers(Right::Read, &target)
        || grants.files.iter().any(|grant| grant.path == target);
    // The kernel's own links lead each process that follows them to itself.
    let is_of_proc = target.starts_with("/proc");
    if is_granted && !is_of_proc {
        return None;
    }
    let shown = |path: &Path| printable(&path.to_string_lossy());
    let link = shown(path.strip_prefix(root).unwrap_or(path));
    let to = shown(&target);
    Some(Finding {
        code: "planted-link".to_owned(),
        message: format!(
            "left the symbolic link `{link}` in OUT_DIR, which leads to `{to}`: it may not read that, and \
             whoever follows the link may"
        ),
        fatal: !is_of_proc,
        rule: None,
    })
}

/// As the kernel follows (`path_resolution(7)`).
const LONGEST_CHAIN: usize = 40;

/// Where a link leads, without symbolic links, whether anything is there or not.
fn lead(link: &Path, chain: usize) -> io::Result<PathBuf> {
    match fs::canonicalize(link) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        other => return other,
    }
    let chain = chain.checked_sub(1).ok_or(Errno::ELOOP)?;
    let parent = link.parent().unwrap_or(Path::new("/"));
    let target = parent.join(fs::read_link(link)?);
    // As much of it as is there; the rest is names that somebody can make.
    let mut missing = Vec::new();
    let mut there = target.as_path();
    loop {
        if there.is_symlink() {
            let mut leads = lead(there, chain)?;
            leads.extend(missing.iter().rev());
            return Ok(leads);
        }
        if let Ok(mut path) = fs::canonicalize(there) {
            path.extend(missing.iter().rev());
            return Ok(path);
        }
        match (there.components().next_back(), there.parent()) {
            (Some(Component::Normal(name)), Some(parent)) => {
                missing.push(name);
                there = parent;
            }
            _ => return Err(io::ErrorKind::NotFound.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::policy::Grant;

    #[test]
    fn links_are_judged_by_where_they_lead() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        let out = root.join("out");
        fs::create_dir_all(out.join("deep")).unwrap();
        fs::create_dir(root.join("package")).unwrap();
        fs::write(root.join("secret"), "").unwrap();
        let grant = |right, path: &str| Grant { right, path: root.join(path), place: None };
        let proc = Grant { right: Right::Read, path: "/proc".into(), place: None };
        let files = vec![grant(Right::Write, "out"), grant(Right::Read, "package"), proc];
        let grants = Grants { files, ..Grants::default() };

        for (link, to) in [
            ("inside", "deep"),
            ("deep/package", "../../package/x/y"),
            ("a", "b"),
            ("b", "c"),
            ("self", "self"),
            ("up", "nothing/../../secret"),
        ] {
            symlink(to, out.join(link)).unwrap();
        }
        assert_eq!(links_in(&out, &grants), []);
        assert_eq!(links_in(&out.join("absent"), &grants), []);
        let findings = links_in(&out.join("x".repeat(300)), &grants);
        assert!(findings[0].fatal && findings[0].message.contains("cannot be listed"));
        for (link, to) in [
            ("deep/secret", "../../secret"),
            ("absolute", root.join("secret").to_str().unwrap()),
            ("missing", "../nothing"),
            ("far", "../nothing/far"),
            ("chain", "missing/x"),
            ("proc", "/proc/self/environ"),
        ] {
            symlink(to, out.join(link)).unwrap();
            let mut findings = links_in(&out, &grants);
            findings.retain(|finding| finding.message.contains(&format!("link `{link}` ")));
            assert_eq!(findings.len(), 1, "{link}");
            assert_eq!(findings[0].fatal, link != "proc", "{link}");
        }

        // Links of one kind leave room for those of the other.
        fs::remove_dir_all(&out).unwrap();
        fs::create_dir_all(out.join("deep")).unwrap();
        for number in 0..3 * TOLD {
            symlink("/proc/self/environ", out.join(format!("{number}"))).unwrap();
            symlink("../../secret", out.join(format!("deep/{number}"))).unwrap();
        }
        let fatal = links_in(&out, &grants).iter().filter(|finding| finding.fatal).count();
        assert_eq!((links_in(&out, &grants).len(), fatal), (2 * TOLD, TOLD));
    }
}
