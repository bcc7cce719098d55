//! The outputs of a compilation, as far as the ruleset cannot tell them from those of others.
//!
//! Only a compilation has any. For it the warden makes every change of a name, of metadata and of a
//! file's content, and looks at the real path first.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use nix::errno::Errno;

use crate::policy::Grants;
use crate::policy::outputs::Owner;

/// See the file's description.
#[derive(Clone, Debug, Default)]
pub struct Outputs<'g> {
    grants: Option<&'g Grants>,
    /// What it has made under a name that could be anybody's.
    made: Arc<Mutex<HashSet<Vec<u8>>>>,
}

impl<'g> Outputs<'g> {
    /// The outputs that these grants tell of.
    #[must_use]
    pub fn new(grants: &'g Grants) -> Self {
        Self { grants: grants.outputs.is_some().then_some(grants), made: Arc::default() }
    }

    /// Whether there is something to be told apart.
    #[must_use]
    pub fn are_judged(&self) -> bool {
        self.grants.is_some()
    }

    fn owner<'p>(&self, path: &'p [u8]) -> (Owner, &'p [u8]) {
        let outputs = self.grants.and_then(|grants| grants.outputs.as_ref());
        outputs.map_or((Owner::Elsewhere, path), |outputs| outputs.owner(path))
    }

    /// Whether what is at this real path is nobody else's.
    ///
    /// # Errors
    /// `EACCES` if it is.
    pub fn may_change(&self, path: &[u8]) -> Result<(), Errno> {
        match self.owner(path) {
            (Owner::Elsewhere | Owner::Own, _) => Ok(()),
            (Owner::Temporary, name) => {
                let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
                if made.contains(name) { Ok(()) } else { Err(Errno::EACCES) }
            }
            (Owner::Foreign, _) => Err(Errno::EACCES),
        }
    }

    /// Whether something new may get this real path.
    ///
    /// # Errors
    /// `EACCES` if not.
    pub fn may_make(&self, path: &[u8]) -> Result<(), Errno> {
        match self.owner(path) {
            (Owner::Temporary, name) if name.len() == path.len() => Ok(()),
            _ => self.may_change(path),
        }
    }

    /// Something new has got this real path.
    pub fn made(&self, path: &[u8]) {
        if let (Owner::Temporary, name) = self.owner(path)
            && name.len() == path.len()
        {
            self.made.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_vec());
        }
    }

    /// Nothing has this real path any more.
    pub fn gone(&self, path: &[u8]) {
        if self.are_judged() {
            self.made.lock().unwrap_or_else(PoisonError::into_inner).remove(path);
        }
    }
}
