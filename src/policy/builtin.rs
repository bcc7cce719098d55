//! The built-in policies: the files in `policies/` of the source, which the same parser reads.

use super::document::{Document, Error};

/// One of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Builtin {
    /// For developers.
    #[default]
    Default,
    /// For audits and releases.
    Strict,
    /// For build farms.
    Farm,
    /// To see what a policy would deny.
    Permissive,
}

impl Builtin {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Default, Self::Strict, Self::Farm, Self::Permissive];

    /// The name by which a document extends it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Strict => "strict",
            Self::Farm => "farm",
            Self::Permissive => "permissive",
        }
    }

    /// The one of this name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|builtin| builtin.name() == name)
    }

    /// The name under which messages speak of its file.
    #[must_use]
    pub fn file(self) -> &'static str {
        match self {
            Self::Default => "policies/default.toml",
            Self::Strict => "policies/strict.toml",
            Self::Farm => "policies/farm.toml",
            Self::Permissive => "policies/permissive.toml",
        }
    }

    /// Its text.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Default => include_str!("../../policies/default.toml"),
            Self::Strict => include_str!("../../policies/strict.toml"),
            Self::Farm => include_str!("../../policies/farm.toml"),
            Self::Permissive => include_str!("../../policies/permissive.toml"),
        }
    }

    /// Itself, and what it extends, the last one first.
    ///
    /// # Errors
    /// A mistake in the source of this program.
    pub fn documents(self) -> Result<Vec<Document>, Error> {
        let mut documents = vec![Document::parse(self.file(), self.text())?];
        while let Some(base) = documents.last().and_then(|document| document.extends) {
            documents.push(Document::parse(base.file(), base.text())?);
        }
        documents.reverse();
        Ok(documents)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Mode;

    #[test]
    fn the_built_in_policies_are_policies() {
        for builtin in Builtin::ALL {
            for document in builtin.documents().unwrap() {
                assert!(document.warnings.0.is_empty(), "{}", document.warnings);
            }
            let own = builtin.documents().unwrap().pop().unwrap();
            assert_eq!(own.name.as_deref(), Some(builtin.name()));
            assert_eq!(Builtin::of_name(builtin.name()), Some(builtin));
        }
        for builtin in Builtin::ALL {
            let modes =
                builtin.documents().unwrap().into_iter().filter_map(|document| document.mode);
            let modes: Vec<Mode> = modes.map(|(mode, _)| mode).collect();
            let expected: &[Mode] =
                if builtin == Builtin::Permissive { &[Mode::Permissive] } else { &[] };
            assert_eq!(modes, expected);
        }
        let farm = Builtin::Farm.documents().unwrap();
        assert!(farm.last().unwrap().locked.is_some());
    }
}
