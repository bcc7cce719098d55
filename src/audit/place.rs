//! Where the files of a workspace's audits are, for the verbs that build nothing.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use crate::config::Config;
use crate::front::command_line::CommandLine;
use crate::front::roots;
use crate::show::{self, find};

/// See the file's description.
#[derive(Debug)]
pub struct Place {
    /// The workspace's root.
    pub root: PathBuf,
    /// Where Cargo builds.
    pub target: PathBuf,
}

impl Place {
    /// The place that these options mean.
    ///
    /// # Errors
    /// If Cargo knows of no workspace there.
    pub fn of(
        target_dir: Option<&PathBuf>,
        manifest_path: Option<&PathBuf>,
    ) -> Result<Self, show::Error> {
        let mut words = vec![OsString::from("metadata")];
        for (option, value) in [("--target-dir", target_dir), ("--manifest-path", manifest_path)] {
            words.extend(value.iter().flat_map(|v| [option.into(), v.as_os_str().to_owned()]));
        }
        let command_line = CommandLine::parse(&words);
        let directory = env::current_dir().unwrap_or_default();
        let config = Config::load(&directory, &[]);
        let (mut roots, workspace) = roots::find(&command_line, &directory, &config);
        match workspace {
            Some(root) if !roots.is_empty() => Ok(Self { root, target: roots.swap_remove(0) }),
            _ => Err(find::no_workspace(&command_line)),
        }
    }
}
