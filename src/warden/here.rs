//! Holding threads on the processor that the calling thread runs on.

use nix::sched::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};
use nix::unistd::Pid;

/// A thread that is held on this thread's processor as long as this lives.
#[derive(Debug)]
pub struct Here {
    thread: Pid,
    before: CpuSet,
}

impl Here {
    /// Holds a thread; 0 is the calling one. None if that is not possible, or the thread may not run
    /// here.
    #[must_use]
    pub fn hold(thread: u32) -> Option<Self> {
        let thread = Pid::from_raw(i32::try_from(thread).ok()?);
        let before = sched_getaffinity(thread).ok()?;
        let cpu = sched_getcpu().ok()?;
        if !before.is_set(cpu).ok()? {
            return None;
        }
        let mut here = CpuSet::new();
        here.set(cpu).ok()?;
        sched_setaffinity(thread, &here).ok()?;
        Some(Self { thread, before })
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        // It fails only if the thread is gone.
        sched_setaffinity(self.thread, &self.before).ok();
    }
}
