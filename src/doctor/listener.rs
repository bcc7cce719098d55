//! The seccomp filter by itself: the jail's own, installed by a probe whose calls are answered here
//! as the warden answers a script's.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::prctl;
use serde::{Deserialize, Serialize};

use super::probe::{self, PATIENCE, Probe};
use super::reason;
use crate::jail::filter;
use crate::sys::{self, Answer};
use crate::warden::status::Status;
use crate::warden::{argument, hand_over};

/// What came of a step; none if it was not come to.
pub type Step = Option<Result<(), Errno>>;

/// What came of it all.
#[derive(Debug, Default)]
pub struct Listener {
    /// The filter is installed, and its listener has come here.
    pub installed: Step,
    /// A call was notified.
    pub notified: Step,
    /// The caller's memory was read, and the right path stood there.
    pub memory: Step,
    /// What `/proc` says of the caller: its program, its working directory and its status.
    pub procfs: Step,
    /// The caller was given a descriptor, and has read from it what it should.
    pub descriptor: Step,
    /// The listener is woken on the caller's processor.
    pub wakes: Step,
    /// A descriptor of the process.
    pub pidfd: Step,
    /// Its exit status, by that descriptor.
    pub status: Step,
}

/// What the probe says.
#[derive(Debug, Serialize, Deserialize)]
enum Said {
    NoFilter(i32),
    /// What it read, from the file that it was given for one that does not exist.
    Read(Result<String, i32>),
}

/// Tries everything. The probe asks for a file below `directory` that does not exist, and is given
/// another. With what was seen comes why it could not be seen to the end, if so.
#[must_use]
pub fn listen(directory: &Path) -> (Listener, Option<String>) {
    let mut seen = Listener::default();
    let why = listen_into(directory, &mut seen).err();
    (seen, why)
}

fn listen_into(directory: &Path, seen: &mut Listener) -> Result<(), String> {
    const TEXT: &str = "handed over";
    let (asked, given) = (directory.join("asked"), directory.join("given"));
    fs::write(&given, TEXT).map_err(|error| reason(&error))?;
    let (ours, theirs) = hand_over::pair().map_err(|error| reason(&error))?;
    let program = filter::compile(filter::Asks::default());
    let path = asked.clone();
    let work = move || {
        let installed = prctl::set_no_new_privs()
            .map_err(io::Error::from)
            .and_then(|()| sys::install_filter(program.instructions()))
            .and_then(|listener| theirs.send(&listener));
        if let Err(error) = installed {
            return Said::NoFilter(error.raw_os_error().unwrap_or(libc::EIO));
        }
        let mut text = String::new();
        let read = File::open(path).and_then(|mut file| file.read_to_string(&mut text));
        Said::Read(read.map(|_| text).map_err(|error| error.raw_os_error().unwrap_or(libc::EIO)))
    };
    let probe = Probe::start(work).map_err(|error| reason(&error))?;
    let pid = probe.pid.as_raw().unsigned_abs();
    let descriptor = sys::process_descriptor(pid);
    seen.pidfd = Some(descriptor.as_ref().map(drop).map_err(|errno| *errno));
    if let Ok(listener) = ours.receive() {
        seen.installed = Some(Ok(()));
        let wakes = sys::wake_listener_on_same_cpu(listener.as_fd());
        seen.wakes = Some(wakes.map_err(|error| errno(&error)));
        answer_all(&listener, &asked, &given, seen);
    }
    match probe.finish().map_err(|error| reason(&error))? {
        Said::NoFilter(number) => seen.installed = Some(Err(Errno::from_raw(number))),
        Said::Read(read) => {
            let read = read.map_err(Errno::from_raw).and_then(|text| expect(text == TEXT));
            // That it could not be handed over says more than that it did not come.
            let handed = seen.descriptor.unwrap_or(Ok(()));
            seen.descriptor = Some(handed.and(read));
        }
    }
    if let Ok(descriptor) = descriptor {
        // Ended by exit code 0, and reaped.
        let status = sys::exit_status(descriptor.as_fd());
        seen.status = Some(status.and_then(|status| expect(status == 0)));
    }
    Ok(())
}

/// Answers until the probe has ended: an open(2) of `asked` gets a descriptor of `given`, and
/// everything else goes on.
fn answer_all(listener: &OwnedFd, asked: &Path, given: &Path, seen: &mut Listener) {
    let listener = listener.as_fd();
    let until = Instant::now() + PATIENCE;
    while probe::wait_for(listener, until).is_some_and(|events| events.contains(PollFlags::POLLIN))
    {
        let Ok(call) = sys::receive_notification(listener) else { continue };
        let mut answer = Answer::Continue;
        if call.number == libc::SYS_openat {
            seen.notified = Some(Ok(()));
            let path = argument::string(call.pid, call.arguments[1], 4096);
            let expected = asked.as_os_str().as_bytes();
            let memory = path.and_then(|path| expect(path.as_bytes() == expected));
            seen.memory = Some(memory);
            seen.procfs = Some(look_at(call.pid));
            // Also where it is not known what the probe asks for: it asks for nothing else.
            answer = match File::open(given) {
                Ok(file) => Answer::Descriptor(file.into(), true),
                Err(error) => Answer::Fail(errno(&error)),
            };
        }
        if let Err(errno) = sys::answer_notification(listener, call.id, &answer) {
            seen.descriptor = Some(Err(errno));
            sys::answer_notification(listener, call.id, &Answer::Fail(Errno::EIO)).ok();
        }
    }
}

/// Whether it can be told of a process what the warden has to know.
fn look_at(pid: u32) -> Result<(), Errno> {
    for link in ["exe", "cwd"] {
        fs::read_link(format!("/proc/{pid}/{link}")).map_err(|error| errno(&error))?;
    }
    fs::read_dir(format!("/proc/{pid}/fd")).map_err(|error| errno(&error))?;
    Status::of(pid).map(drop)
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))
}

/// `EIO`, for an answer that came and is wrong.
fn expect(is_right: bool) -> Result<(), Errno> {
    if is_right { Ok(()) } else { Err(Errno::EIO) }
}
