//! The built-in policies: the files in `policies/` of the source, which the same parser reads.

use super::document::{Document, Error, Rules};

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
}

impl Builtin {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Default, Self::Strict, Self::Farm];

    /// The name by which a document extends it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Strict => "strict",
            Self::Farm => "farm",
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
        }
    }

    /// Its text.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Default => include_str!("../../policies/default.toml"),
            Self::Strict => include_str!("../../policies/strict.toml"),
            Self::Farm => include_str!("../../policies/farm.toml"),
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

    /// The system's directories and files: what the default policy names by absolute paths for reading
    /// and for executing.
    #[must_use]
    pub fn directories() -> Vec<String> {
        let documents = Self::Default.documents().unwrap_or_default();
        let rules = documents.into_iter().flat_map(|document| {
            let Rules { read, execute, .. } = document.common;
            read.into_iter().chain(execute).map(|rule| rule.text)
        });
        rules.filter(|rule| rule.starts_with('/')).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let farm = Builtin::Farm.documents().unwrap();
        assert!(farm.last().unwrap().locked.is_some());
    }
}
