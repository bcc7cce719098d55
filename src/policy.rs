//! What build scripts may do: the document, as written, and the grants that one unit gets from it.
//!
//! Nothing here knows of Landlock, seccomp or processes.

pub mod document;
pub mod grants;
pub mod instructions;
pub mod limits;
pub mod link_arguments;
pub mod link_search;
pub mod pattern;
pub mod placeholders;
pub mod resolve;

pub use document::Document;
pub use grants::{Grant, Grants, Right};
pub use limits::{Limit, Limits};
