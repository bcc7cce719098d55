//! Attempts to reach a network.

use super::subject::Subject;
use super::{Code, Lint};
use crate::network::Attempt;

/// The attempts, whatever came of them.
#[must_use]
pub fn tried(subject: &Subject<'_>) -> Option<Lint> {
    let remarkable = subject.stored.network.iter().filter(|attempt| attempt.is_remarkable());
    let items =
        remarkable.map(|attempt: &Attempt| format!("{}: {}", attempt.tried(), attempt.outcome));
    Lint::about(Code::Network, "wants something from the network", items.collect())
}
