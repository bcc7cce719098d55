//! `cargo brig audit`: does every build script do only what the team has approved?
//!
//! The modules, in the order in which data flows:
//!
//! - [`behaviour`]: what one package's script is known to do, in words that are the same everywhere
//! - [`baseline`]: `brig.lock`, the behaviour that was approved
//! - [`report`]: one audit, with everything that a format needs
//! - [`formats`]: how a report is written

pub mod baseline;
pub mod behaviour;
pub mod formats;
pub mod report;
