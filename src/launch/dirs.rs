//! The directories that a run of a script has besides its package's and `OUT_DIR`.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use crate::finding::Finding;
use crate::policy::resolve::{self, Private};
use crate::policy::{Grants, Policy, Right};
use crate::preload::{self, Preload};
use crate::private_dir::{self, PrivateDir};
use crate::redirect::{self, Redirects};
use crate::session::Lent;
use crate::unit::Unit;

/// Directories that cannot be made, or a policy that cannot be resolved.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `TMPDIR` or `HOME`.
    #[error(transparent)]
    PrivateDir(#[from] private_dir::Error),
    /// The library's.
    #[error(transparent)]
    Preload(#[from] preload::Error),
    /// Private copies.
    #[error(transparent)]
    Redirect(#[from] redirect::Error),
    /// The policy's meaning for the unit.
    #[error(transparent)]
    Resolve(#[from] resolve::Error),
}

/// See the file's description.
#[derive(Debug)]
pub struct Dirs {
    tmp: PrivateDir,
    home: PrivateDir,
    /// With the library that is preloaded.
    pub preload: Option<Preload>,
    redirects: Redirects,
}

impl Dirs {
    /// Prepares them, and says what a policy means for a unit that has them: below `parent` if there is
    /// one, where they have the same names each time; else with what is lent, as long as the unit may not
    /// write there.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn prepare(
        parent: Option<&Path>,
        lent: Lent,
        unit: &Unit,
        policy: &Policy,
        wrapper: Option<&OsStr>,
    ) -> Result<(Self, Grants), Error> {
        let dirs = match parent {
            Some(parent) => Self::below(parent)?,
            None => Self::with(lent, unit)?,
        };
        let grants = dirs.grants(policy, unit, wrapper)?;
        let (mut dirs, mut grants) = if dirs.are_at_risk(&grants) {
            let dirs = Self::with(Lent::default(), unit)?;
            let grants = dirs.grants(policy, unit, wrapper)?;
            (dirs, grants)
        } else {
            (dirs, grants)
        };
        dirs.redirects = Redirects::prepare(unit, dirs.private(), &mut grants)?;
        Ok((dirs, grants))
    }

    /// The directories that the script can fill.
    #[must_use]
    pub fn filled<'a>(&'a self, unit: &'a Unit, grants: &'a Grants) -> Vec<&'a Path> {
        let copies = grants.redirected.iter().map(|redirected| redirected.copy.as_path());
        [unit.out_dir.as_path(), self.tmp.path()].into_iter().chain(copies).collect()
    }

    /// Removes them, and says what the script has left in copies of other directories.
    #[must_use]
    pub fn end(self, grants: &Grants) -> Vec<Finding> {
        self.redirects.findings(grants)
    }

    fn with(lent: Lent, unit: &Unit) -> Result<Self, Error> {
        let home = lent.home.filter(|home| is_empty(home)).map(PrivateDir::lent);
        let preload = match lent.library.and_then(Preload::lent) {
            Some(preload) => Some(preload),
            None => Preload::new(&[unit.temporary(), unit.run_dir(), Path::new("/tmp")])?,
        };
        Ok(Self {
            tmp: PrivateDir::new_in(unit.temporary(), "tmp")?,
            home: home.map_or_else(|| PrivateDir::new_in(unit.temporary(), "home"), Ok)?,
            preload,
            redirects: Redirects::default(),
        })
    }

    fn below(parent: &Path) -> Result<Self, Error> {
        let [tmp, home] = ["tmp", "home"].map(|name| PrivateDir::at(&parent.join(name)));
        let preload = Preload::at(&parent.join("asked"))?;
        Ok(Self { tmp: tmp?, home: home?, preload, redirects: Redirects::default() })
    }

    fn grants(
        &self,
        policy: &Policy,
        unit: &Unit,
        wrapper: Option<&OsStr>,
    ) -> Result<Grants, Error> {
        Ok(resolve::resolve(policy.clone(), unit, self.private(), wrapper)?)
    }

    fn private(&self) -> Private<'_> {
        let library = self.preload.as_ref().map(Preload::directory);
        Private { tmp: self.tmp.path(), home: self.home.path(), library }
    }

    /// Whether a script could write to what is lent to others too.
    fn are_at_risk(&self, grants: &Grants) -> bool {
        let library = self.preload.as_ref().filter(|preload| preload.is_lent());
        let home = Some(&self.home).filter(|home| home.is_lent());
        let lent = [home.map(PrivateDir::path), library.map(Preload::directory)];
        lent.into_iter().flatten().any(|path| grants.covers(Right::Write, path))
    }
}

/// Whether nothing is in a directory: a script that may write to `/tmp` can leave something there for others.
fn is_empty(directory: &Path) -> bool {
    fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_none())
}
