//! Writing outside of `OUT_DIR`: refused by the jail, or allowed by a policy of the user's.

use super::subject::Subject;
use super::{Code, Lint};
use crate::policy::Right;
use crate::policy::placeholders::is_below;
use crate::stored::{StoredAccess, StoredOutcome};

/// What was written, or would have been.
#[must_use]
pub fn written(subject: &Subject<'_>) -> Option<Lint> {
    let stored = subject.stored;
    let allowed = stored.accesses.iter().filter(|access| access.outcome == StoredOutcome::Allowed);
    let items = stored.denials.iter().chain(allowed).filter(|access| is_outside(subject, access));
    let items = items.map(|access| {
        let denied = if access.outcome == StoredOutcome::Denied { ": denied" } else { "" };
        format!("{}{denied}", subject.shorten(&access.path))
    });
    Lint::about(
        Code::WritesOutsideOutDir,
        "writes outside of OUT_DIR, or tried to",
        items.collect(),
    )
}

fn is_outside(subject: &Subject<'_>, access: &StoredAccess<'_>) -> bool {
    if access.kind.right() != Some(Right::Write) {
        return false;
    }
    let path = &*access.path;
    let name = path.rsplit('/').next().unwrap_or_default();
    let placeholder = subject.known.split(path).map(|(placeholder, _)| placeholder);
    !matches!(placeholder, Some("{out-dir}" | "{tmp}"))
        && !["/dev", "/proc"].iter().any(|of| is_below(path, of))
        // A token of make's jobserver is no output.
        && !name.starts_with("GMfifo")
}
