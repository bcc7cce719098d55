//! A package, as it is named on a command line.

use std::str::FromStr;

/// Which package is meant, as in `cargo build -p`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageSpec {
    /// Its name.
    pub name: String,
    /// Its version, or the beginning of it.
    pub version: Option<String>,
}

/// Not the name of a package.
#[derive(Debug, thiserror::Error)]
#[error("write `name` or `name@version`")]
pub struct NoPackageSpec;

impl FromStr for PackageSpec {
    type Err = NoPackageSpec;

    fn from_str(text: &str) -> Result<Self, NoPackageSpec> {
        let (name, version) = match text.split_once('@') {
            Some((name, version)) => (name, Some(version.to_owned())),
            None => (text, None),
        };
        let is_name = |name: &str| {
            !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_')
        };
        if !is_name(name) || version.as_deref() == Some("") {
            return Err(NoPackageSpec);
        }
        Ok(Self { name: name.to_owned(), version })
    }
}

impl PackageSpec {
    /// Whether a version is meant: `1.2` stands for `1.2.0` and `1.2.7`, as for Cargo.
    #[must_use]
    pub fn is_version(&self, version: &str) -> bool {
        self.version.as_deref().is_none_or(|wanted| {
            version.strip_prefix(wanted).is_some_and(|rest| {
                rest.is_empty() || (rest.starts_with('.') && wanted.split('.').count() < 3)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_named_as_for_cargo() {
        let spec = |text: &str| text.parse::<PackageSpec>().unwrap();
        assert!(spec("openssl-sys").is_version("0.9.1"));
        assert!(spec("a@1").is_version("1.2.3") && spec("a@1.2").is_version("1.2.3"));
        assert!(spec("a@1.2.3").is_version("1.2.3") && !spec("a@1.2").is_version("1.20.3"));
        assert!(!spec("a@1.2.3").is_version("1.2.3-rc.1"));
        for text in ["", "@1", "a@", "../x", "a b"] {
            assert!(text.parse::<PackageSpec>().is_err(), "{text}");
        }
    }
}
