//! Changes that are under way for callers that may die meanwhile.
//!
//! A process that has waited for another's end finds everything that the other did done, and nothing
//! done later. So a change is not begun for a caller that is gone, and while one is under way whose
//! caller is gone, nobody's next call is looked at.

use std::os::fd::BorrowedFd;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::sys;

/// See the file's description.
#[derive(Debug, Default)]
pub struct UnderWay {
    /// The notifications that asked for them.
    calls: Mutex<Vec<u64>>,
    ended: Condvar,
}

/// One change, as long as this lives.
#[derive(Debug)]
pub struct Change<'a> {
    under_way: &'a UnderWay,
    call: u64,
}

impl UnderWay {
    fn calls(&self) -> MutexGuard<'_, Vec<u64>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a change; none if the caller is gone.
    #[must_use]
    pub fn begin(&self, listener: BorrowedFd<'_>, call: u64) -> Option<Change<'_>> {
        self.calls().push(call);
        let change = Change { under_way: self, call };
        // Only now: whoever looked before this was in the list has looked before the caller's death, or
        // finds it dead here.
        sys::is_waiting(listener, call).then_some(change)
    }

    /// Waits for the changes of callers that are gone.
    pub fn wait_for_the_dead(&self, listener: BorrowedFd<'_>) {
        let mut calls = self.calls();
        while calls.iter().any(|call| !sys::is_waiting(listener, *call)) {
            calls = self.ended.wait(calls).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        self.under_way.calls().retain(|call| *call != self.call);
        self.under_way.ended.notify_all();
    }
}
