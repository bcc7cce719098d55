//! The documents that decide for a build, and where they are: the machine's, the user's, the
//! workspace's, and one that was named.
//!
//! From the bottom: the built-in policy that the uppermost document with an `extends` names; then the
//! machine's, the user's, the workspace's and the named one. What one of them takes in of the collection
//! lies right below it, and is as much its owner's. See [`super::merge`] for what comes of them.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use super::builtin::Builtin;
use super::document::{Document, Error as DocumentError, Mode, Place};

/// The machine's document.
pub const MACHINE: &str = "/etc/cargo-brig/policy.toml";
/// The name of a workspace's.
pub const WORKSPACE: &str = "brig.toml";

/// Whose a document is, from the bottom up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// This program's.
    Builtin,
    /// The machine's.
    Machine,
    /// The user's.
    User,
    /// The workspace's.
    Workspace,
    /// Named for this build.
    Named,
}

impl Owner {
    /// As a message speaks of it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Builtin => "built in",
            Self::Machine => "of the machine",
            Self::User => "of the user",
            Self::Workspace => "of the workspace",
            Self::Named => "named for this build",
        }
    }
}

/// One document, and whose it is.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Whose it is.
    pub owner: Owner,
    /// What it says.
    pub document: Document,
}

/// See the file's description.
#[derive(Clone, Debug)]
pub struct Layers {
    /// From the bottom up.
    pub layers: Vec<Layer>,
    /// The built-in policy at the bottom.
    pub base: Builtin,
    /// Whether the machine's document takes every loosening from the others.
    pub locked: bool,
}

/// Where to look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// The directory below which the user's lies (`XDG_CONFIG_HOME`).
    pub config_home: Option<PathBuf>,
    /// Where Cargo was started: the workspace's lies there or above.
    pub directory: Option<PathBuf>,
    /// A built-in policy's name, or a path.
    pub named: Option<PathBuf>,
}

/// Why there is no policy.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A document.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// The named one, if it is none of the built-in ones either.
    #[error(
        "there is no policy `{}`: it is neither a document nor one of the built-in policies ({})",
        .path.display(),
        Builtin::names()
    )]
    None {
        /// Where the document would be.
        path: PathBuf,
    },
    /// The path of the named one.
    #[error("the path of the policy, `{}`, is not absolute", .path.display())]
    Relative {
        /// The path.
        path: PathBuf,
    },
    /// What a locked policy forbids.
    #[error("{by}: the policy is locked, and does not let anybody make it permissive")]
    Permissive {
        /// Who asks for it.
        by: String,
    },
    /// A document that is not the machine's is locked.
    #[error("{}:{}: only the policy of the machine, `{MACHINE}`, can be locked", .place.file, .place.line)]
    Locked {
        /// Where.
        place: Place,
    },
}

impl Places {
    /// The user's document.
    #[must_use]
    pub fn user(&self) -> Option<PathBuf> {
        Some(self.config_home.as_ref()?.join("cargo-brig/policy.toml"))
    }

    /// The workspace's document: the first one on the way up to the directory with the `Cargo.lock`. What
    /// lies above that, in a directory for everybody's temporary files for instance, is not the
    /// workspace's; and a package of a registry is never on this way, because Cargo is not started there.
    #[must_use]
    pub fn workspace(&self) -> Option<PathBuf> {
        for directory in self.directory.as_deref()?.ancestors() {
            let path = directory.join(WORKSPACE);
            // What cannot be read stops every script.
            if fs::symlink_metadata(&path).is_ok() {
                return Some(path);
            }
            if directory.join("Cargo.lock").is_file() {
                return None;
            }
        }
        None
    }

    /// The directory below which a user keeps configuration.
    #[must_use]
    pub fn config_home(xdg: Option<&OsStr>, home: Option<&OsStr>) -> Option<PathBuf> {
        let absolute = |path: &&OsStr| Path::new(path).is_absolute();
        let home = home.filter(absolute).map(|home| Path::new(home).join(".config"));
        xdg.filter(absolute).map(PathBuf::from).or(home)
    }
}

impl Layers {
    /// Reads all that there are.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn read(places: &Places) -> Result<Self, Error> {
        Self::read_with(Path::new(MACHINE), places)
    }

    fn read_with(machine: &Path, places: &Places) -> Result<Self, Error> {
        let mut layers = Vec::new();
        let mut add = |owner, path: Option<PathBuf>| -> Result<(), Error> {
            let document = path.map(|path| Document::read_if_there(&path)).transpose()?.flatten();
            layers.extend(document.map(|document| Layer { owner, document }));
            Ok(())
        };
        add(Owner::Machine, Some(machine.to_owned()))?;
        add(Owner::User, places.user())?;
        add(Owner::Workspace, places.workspace())?;
        let mut base = None;
        if let Some(named) = &places.named {
            base = named.to_str().and_then(Builtin::of_name);
            if base.is_none() {
                // Cargo starts each script in its package's directory, where this could be anything.
                if named.is_relative() {
                    return Err(Error::Relative { path: named.clone() });
                }
                let document = Document::read_if_there(named)?
                    .ok_or_else(|| Error::None { path: named.clone() })?;
                layers.push(Layer { owner: Owner::Named, document });
            }
        }
        Self::of(layers, base)
    }

    /// Whether any of them says that some rustc is to be in the jail.
    #[must_use]
    pub fn speak_of_rustc(&self) -> bool {
        self.layers.iter().any(|Layer { document, .. }| {
            let of_packages = document.packages.iter().map(|package| &package.rules);
            let mut all = std::iter::once(&document.common).chain(of_packages);
            all.any(|rules| rules.jails_rustc.as_ref().is_some_and(|(jails, _)| *jails))
        })
    }

    /// Of documents, from the bottom up, without the built-in ones; `base` is a built-in policy that
    /// was named.
    ///
    /// # Errors
    /// [`Error::Locked`], or a mistake in a built-in policy.
    pub fn of(layers: Vec<Layer>, base: Option<Builtin>) -> Result<Self, Error> {
        let of_machine = |layer: &&Layer| layer.owner == Owner::Machine;
        let machine = layers.iter().find(of_machine);
        let locks = |base: Builtin| -> Result<bool, Error> {
            Ok(base.documents()?.iter().any(|document| document.locked.is_some()))
        };
        let extended = machine.and_then(|layer| layer.document.extends);
        let locked = match (machine, extended) {
            (Some(layer), _) if layer.document.locked.is_some() => true,
            (_, Some(base)) => locks(base)?,
            _ => false,
        };
        let mut others = layers.iter().filter(|layer| layer.owner != Owner::Machine);
        if let Some(place) = others.find_map(|layer| layer.document.locked.clone()) {
            return Err(Error::Locked { place });
        }
        if locked {
            Self::forbid_permissive(&layers, base)?;
        }
        let base = if locked {
            extended
        } else {
            base.or_else(|| layers.iter().rev().find_map(|layer| layer.document.extends))
        };
        let base = base.unwrap_or_default();
        // Who chooses a locked policy for himself wants it as it is.
        let locked = locked || locks(base)?;
        let documents = base.documents()?.into_iter();
        let below = documents.map(|document| Layer { owner: Owner::Builtin, document });
        if locked {
            Self::forbid_permissive(&layers, Some(base))?;
        }
        let mut all = Vec::new();
        for layer in below.chain(layers) {
            for (collected, place) in &layer.document.crates {
                let taken_in = Some(place.clone());
                let document = Document { taken_in, ..collected.document()? };
                all.push(Layer { owner: layer.owner, document });
            }
            all.push(layer);
        }
        Ok(Self { layers: all, base, locked })
    }

    /// Nothing makes a locked policy permissive. To leave out what asks for it, as other loosenings are,
    /// would run scripts for people who believe that they only watch.
    fn forbid_permissive(layers: &[Layer], base: Option<Builtin>) -> Result<(), Error> {
        if base == Some(Builtin::Permissive) {
            return Err(Error::Permissive { by: "the built-in policy `permissive`".to_owned() });
        }
        for Layer { document, .. } in layers {
            if let Some((Mode::Permissive, place)) = &document.mode {
                return Err(Error::Permissive { by: format!("{}:{}", place.file, place.line) });
            }
            if document.extends == Some(Builtin::Permissive) {
                let by = format!("{}, which extends `permissive`", document.file);
                return Err(Error::Permissive { by });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_workspaces_document_is_not_above_it() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("above/root");
        fs::create_dir_all(root.join("member/src")).unwrap();
        let found = |from: &Path| {
            let places = Places { directory: Some(from.to_owned()), ..Places::default() };
            places.workspace().map(|path| path.parent().unwrap().to_owned())
        };
        fs::write(dir.path().join("above").join(WORKSPACE), "").unwrap();
        assert_eq!(found(&root.join("member/src")), Some(dir.path().join("above")));
        fs::write(root.join("Cargo.lock"), "").unwrap();
        assert_eq!(found(&root.join("member/src")), None);
        fs::write(root.join(WORKSPACE), "").unwrap();
        assert_eq!(found(&root.join("member/src")), Some(root.clone()));
        assert_eq!(found(&root), Some(root));
    }

    #[test]
    fn a_locked_policy_is_never_permissive() {
        let of = |texts: &[(Owner, &str)], base| {
            let layer = |(owner, text): &(Owner, &str)| {
                let document = Document::parse("p.toml", text).unwrap();
                Layer { owner: *owner, document }
            };
            let layers = Layers::of(texts.iter().map(layer).collect(), base);
            layers.map(|layers| layers.base).map_err(|error| error.to_string())
        };
        let farm = (Owner::Machine, "extends = \"farm\"");
        let permissive = Some(Builtin::Permissive);
        assert_eq!(of(&[], permissive), Ok(Builtin::Permissive));
        assert_eq!(of(&[(Owner::Machine, "")], permissive), Ok(Builtin::Permissive));
        for (texts, base) in [
            (&[farm][..], permissive),
            (&[farm, (Owner::Workspace, "mode = \"permissive\"")], None),
            (&[farm, (Owner::User, "extends = \"permissive\"")], None),
            (&[(Owner::Machine, "extends = \"farm\"\nmode = \"permissive\"")], None),
            (&[(Owner::Machine, "extends = \"permissive\"\nlocked = true")], None),
            (&[(Owner::Workspace, "mode = \"permissive\"")], Some(Builtin::Farm)),
        ] {
            let error = of(texts, base).unwrap_err();
            assert!(error.contains("is locked, and does not let"), "{texts:?} {error}");
        }
    }

    #[test]
    fn what_is_named_and_not_there_is_told_from_the_built_in_ones() {
        let named = |named: &str| {
            let places = Places { named: Some(named.into()), ..Places::default() };
            Layers::read_with(Path::new("/nowhere"), &places)
        };
        assert_eq!(named("strict").unwrap().base, Builtin::Strict);
        let error = named("/nowhere/strct").unwrap_err().to_string();
        assert!(error.ends_with("policies (default, strict, farm, permissive)"), "{error}");
    }

    #[test]
    fn users_documents_lie_where_the_base_directory_specification_says() {
        let of = |xdg: Option<&str>, home: Option<&str>| {
            Places::config_home(xdg.map(OsStr::new), home.map(OsStr::new))
        };
        assert_eq!(of(Some("/x"), Some("/h")), Some("/x".into()));
        assert_eq!(of(Some("x"), Some("/h")), Some("/h/.config".into()));
        assert_eq!(of(None, Some("")), None);
    }
}
