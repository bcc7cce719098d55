//! Keeps the history of the shop's papers in a Git repository, through the `libgit2`
//! which `libgit2-sys` builds with the `cc` crate from the sources that it carries.
//! Its `libz-sys` asks pkg-config for the machine's zlib.

use std::path::Path;

use git2::{Error, IndexEntry, IndexTime, Repository, Signature, Time};

/// Makes a repository in `dir`, commits a paper to it, and returns the commit's
/// identifier, which depends on nothing but the arguments.
pub fn keep(dir: &Path, name: &str, paper: &[u8]) -> Result<String, Error> {
    let repository = Repository::init_bare(dir)?;
    let mut index = repository.index()?;
    index.add_frombuffer(&entry(name), paper)?;
    let tree = repository.find_tree(index.write_tree()?)?;
    let clerk = Signature::new("Clerk", "clerk@shop.example", &Time::new(1_000_000_000, 0))?;
    let commit = repository.commit(Some("HEAD"), &clerk, &clerk, name, &tree, &[])?;
    Ok(commit.to_string())
}

fn entry(name: &str) -> IndexEntry {
    const FILE: u32 = 0o100_644;
    IndexEntry {
        ctime: IndexTime::new(0, 0),
        mtime: IndexTime::new(0, 0),
        dev: 0,
        ino: 0,
        mode: FILE,
        uid: 0,
        gid: 0,
        file_size: 0,
        id: git2::Oid::ZERO_SHA1,
        flags: 0,
        flags_extended: 0,
        path: name.into(),
    }
}
