//! What build scripts may do: the document, as written, and the grants that one unit gets from it.
//!
//! Nothing here knows of Landlock, seccomp or processes.

pub mod allowing;
pub mod builtin;
pub mod collection;
pub mod diagnostic;
pub mod document;
mod doubtful;
pub mod endpoint;
pub mod grants;
pub mod instructions;
pub mod layers;
pub mod library_path;
pub mod limits;
pub mod link_arguments;
pub mod link_search;
pub mod merge;
pub mod outputs;
pub mod pattern;
pub mod placeholders;
mod reader;
pub mod resolve;
pub mod schema;
mod syntax;
mod written;

pub use builtin::Builtin;
pub use collection::Collected;
pub use document::{Document, Mode};
pub use grants::{Grant, Grants, Hidden, Redirected, Right};
pub use layers::Layers;
pub use limits::{Limit, Limits};
pub use merge::Policy;
