//! `cargo brig policy crates`: which documents the collection has, and what one of them says.

use super::{Error, print};
use crate::exit::Ending;
use crate::policy::collection::{ALL, Collected};

/// Lists them, or prints the one of a package.
///
/// # Errors
/// [`Error::NotCollected`], [`Error::Output`].
pub fn run(name: Option<&str>) -> Result<Ending, Error> {
    match name {
        None => {
            let longest = ALL.iter().map(|collected| collected.name.len()).max().unwrap_or(0);
            let line = |collected: &Collected| {
                format!("{:longest$}  {}\n", collected.name, collected.about())
            };
            print(&ALL.iter().map(line).collect::<String>())?;
        }
        Some(name) => {
            let collected = Collected::of_name(name);
            let collected =
                collected.ok_or_else(|| Error::NotCollected { name: name.to_owned() })?;
            print(collected.text)?;
        }
    }
    Ok(Ending::Code(0))
}
