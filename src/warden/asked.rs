//! The environment variables that a script's processes ask for.
//!
//! A library that is preloaded into them keeps the names in a book ([`protocol`]) and says where that
//! is; it is read when a process is about to end or to execute another program, and at the script's
//! end. What is found there is what the script wants to be found, so it is bounded, and a lower bound:
//! of processes whose requests cannot be seen, or not all of them, the record says why.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;

use serde::Serialize;

use super::argument;
use super::processes::Processes;
use crate::digest;
use crate::policy::Grants;
use crate::preload::protocol;
use crate::process::{Exit, Process};
use crate::sys::Notification;

/// So many different names are kept.
const NAMES: usize = 10_000;
/// So many times one process's asking for one name is kept.
const REQUESTS: usize = 1_000_000;
/// So much of a book is read at first; few are longer.
const FIRST: usize = protocol::TEXT + 2048;

/// Programs that copy their whole environment when they start, by their files' names without the
/// version: shells, and what hands variables on to a language or a file of its own.
const WALKERS: &[&str] = &[
    "ash", "bash", "busybox", "csh", "dash", "fish", "ksh", "lksh", "mksh", "rbash", "sh", "tcsh",
    "yash", "zsh", // shells
    "cargo", "env", "gmake", "java", "make", "node", "perl", "php", "python", "ruby", "tclsh",
];

/// Why a process's requests are not, or not all, known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
enum Reason {
    /// It has no interpreter, and so nothing is preloaded.
    #[serde(rename = "static program")]
    Static,
    /// Its loader did not open the library: somebody has changed `LD_PRELOAD`, for instance.
    #[serde(rename = "did not load the library")]
    NotLoaded,
    /// What that forbids a process, the library does not call; and of those that were there before, it does not
    /// know which has it.
    #[serde(rename = "has a seccomp filter of its own")]
    Filters,
    /// See [`WALKERS`].
    #[serde(rename = "walks the environment itself")]
    Walks,
    /// A limit was reached.
    #[serde(rename = "too many names")]
    TooMany,
    /// Nothing could be read any more.
    #[serde(rename = "ended by a signal")]
    Signal,
    /// Of this the warden is not notified, only of `exit_group`(2).
    #[serde(rename = "ended by its last thread")]
    LastThread,
}

/// Where there is a seccomp filter that is not the jail's: then the library tells nothing any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Filter {
    #[default]
    Nowhere,
    /// Some other process had installed one when this one ran its program.
    Elsewhere,
    /// It has installed one, or comes from a process that has.
    Own,
}

/// What is known of a process.
#[derive(Clone, Debug, Default)]
struct State {
    /// What it runs, if that is of the script's.
    program: Option<Program>,
    /// Whether that was its parent's program, and it has not executed one itself.
    inherited: bool,
    /// Where its book is.
    book: Option<u64>,
    /// Whether it was read at the very end.
    ended: bool,
    filter: Filter,
    reasons: BTreeSet<Reason>,
}

#[derive(Clone, Copy, Debug)]
struct Program {
    dynamic: bool,
    loaded: bool,
    walks: bool,
}

impl State {
    /// Of a new process.
    fn child(&self) -> Self {
        let Self { program, filter, .. } = *self;
        Self { program, filter, inherited: true, ..Self::default() }
    }

    /// What can be said of its program when it is done.
    fn program_ends(&mut self) {
        let Some(Program { dynamic, loaded, walks }) = self.program else { return };
        if !loaded {
            self.reasons.insert(if dynamic { Reason::NotLoaded } else { Reason::Static });
        }
        if walks {
            self.reasons.insert(Reason::Walks);
        }
        if self.filter != Filter::Nowhere && self.book.is_none() {
            self.reasons.insert(Reason::Filters);
        }
    }
}

/// See the file's description.
#[derive(Debug)]
pub struct Asked<'a> {
    grants: &'a Grants,
    /// In the order in which they were first heard of, with the processes that asked.
    names: Vec<(Box<[u8]>, Vec<u32>)>,
    /// Their places. The script chooses the names: a hash that it cannot foresee.
    places: HashMap<Box<[u8]>, u32>,
    requests: HashSet<(u32, u32)>,
    /// By process.
    states: Vec<State>,
    buffer: Vec<u8>,
}

/// Whether a program is one of [`WALKERS`], with a version (`python3.12`) or without.
fn walks(program: &[u8]) -> bool {
    let name = program.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let version = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'-');
    let end = name.iter().rposition(|byte| !version(byte)).map_or(0, |last| last + 1);
    WALKERS.iter().any(|walker| walker.as_bytes() == &name[..end])
}

fn word(header: &[u8], index: usize) -> u32 {
    let bytes = header[4 * index..].first_chunk().copied().unwrap_or_default();
    u32::from_ne_bytes(bytes)
}

/// The names in a book, of which the text may be cut off, in the order in which they were put there.
///
/// # Panics
/// If it is shorter than [`fill`] says that one is.
pub fn names(book: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (table, text) = (&book[..protocol::HEADER], &book[protocol::TEXT..]);
    let places = table.as_chunks().0.iter().map(|place| u16::from_ne_bytes(*place));
    let mut places: Vec<u16> = places.filter(|place| *place != 0).collect();
    places.sort_unstable();
    places.into_iter().filter_map(|place| {
        let name = text.get(usize::from(place) - 1..)?;
        let name = &name[..name.iter().take(protocol::LONGEST + 1).position(|byte| *byte == 0)?];
        (!name.is_empty()).then_some(name)
    })
}

impl<'a> Asked<'a> {
    /// Measures by these grants what was asked for.
    #[must_use]
    pub fn new(grants: &'a Grants) -> Self {
        Self {
            grants,
            names: Vec::new(),
            places: HashMap::new(),
            requests: HashSet::new(),
            states: Vec::new(),
            buffer: Vec::new(),
        }
    }

    /// Whether this path is the library's, which is ours and no input of the script's.
    #[must_use]
    pub fn is_library(&self, path: &[u8]) -> bool {
        self.grants.library.as_ref().is_some_and(|library| library.as_os_str().as_bytes() == path)
    }

    /// Hears of a process, perhaps for the first time.
    pub fn meets(&mut self, process: u32, processes: &Processes) {
        let mut next = self.states.len();
        while next <= process as usize {
            let parent = u32::try_from(next).ok().and_then(|id| processes.parent(id));
            let parent = parent.and_then(|parent| self.states.get(parent as usize));
            self.states.push(parent.map(State::child).unwrap_or_default());
            next += 1;
        }
    }

    fn state(&mut self, process: u32) -> &mut State {
        &mut self.states[process as usize]
    }

    /// A process has become this program.
    pub fn executed(&mut self, process: u32, program: &[u8], dynamic: bool) {
        let state = self.state(process);
        // A child that executes a program at once has asked for nothing worth a word.
        if !state.inherited {
            state.program_ends();
        }
        let program = Some(Program { dynamic, loaded: false, walks: walks(program) });
        let reasons = std::mem::take(&mut state.reasons);
        let filter = if state.filter == Filter::Own { Filter::Own } else { Filter::Nowhere };
        *state = State { program, filter, reasons, ..State::default() };
    }

    /// A process installs a filter. Who has not told where its book is by now does not tell any more.
    pub fn filters(&mut self, process: u32, processes: &mut Processes) {
        self.state(process).filter = Filter::Own;
        for (living, _) in processes.living() {
            self.meets(living, processes);
            let state = self.state(living);
            if state.filter == Filter::Nowhere {
                state.filter = Filter::Elsewhere;
            }
        }
    }

    /// Whether a process has a filter.
    #[must_use]
    pub fn has_filter(&self, process: u32) -> bool {
        self.states.get(process as usize).is_some_and(|state| state.filter == Filter::Own)
    }

    /// A process has opened the library.
    pub fn loads(&mut self, process: u32) {
        if let Some(program) = &mut self.state(process).program {
            program.loaded = true;
        }
    }

    /// A process says where its book is.
    pub fn told(&mut self, call: &Notification, mut process: u32, processes: &Processes) {
        let [address, size, version, ..] = call.arguments;
        if size != protocol::SIZE as u64 || version != protocol::VERSION {
            return;
        }
        self.state(process).book = Some(address);
        // A child of vfork(2) writes into its parent's, who will not tell of it again. A child of
        // fork(2) has one of its own at the same address, and its parent's is empty or told of.
        while self.state(process).inherited
            && let Some(parent) = processes.parent(process)
        {
            self.state(parent).book.get_or_insert(address);
            process = parent;
        }
    }

    /// Reads the book of a process, one of whose threads waits.
    pub fn read(&mut self, thread: u32, process: u32) {
        let Some(address) = self.states[process as usize].book else { return };
        let mut book = std::mem::take(&mut self.buffer);
        if let Some(overflow) = fill(&mut book, thread, address) {
            for (count, name) in names(&book).enumerate() {
                let few = count < protocol::NAMES as usize;
                if !few || !self.add(name, process) {
                    self.state(process).reasons.insert(Reason::TooMany);
                    break;
                }
            }
            if overflow {
                self.state(process).reasons.insert(Reason::TooMany);
            }
        }
        self.buffer = book;
    }

    /// Reads the book of a process that is about to end.
    pub fn ends(&mut self, thread: u32, process: u32) {
        self.read(thread, process);
        self.state(process).ended = true;
    }

    /// Reads the books of the processes that are left when the script has ended.
    pub fn read_rest(&mut self, processes: &mut Processes) {
        for (process, pid) in processes.living() {
            self.meets(process, processes);
            if !self.state(process).ended {
                self.read(pid, process);
            }
        }
    }

    /// Whether there was space for it.
    fn add(&mut self, name: &[u8], process: u32) -> bool {
        let place = if let Some(place) = self.places.get(name) {
            *place
        } else {
            let Some(place) =
                u32::try_from(self.names.len()).ok().filter(|_| self.names.len() < NAMES)
            else {
                return false;
            };
            self.names.push((name.into(), Vec::new()));
            self.places.insert(name.into(), place);
            place
        };
        if self.requests.contains(&(place, process)) {
            return true;
        }
        if self.requests.len() >= REQUESTS {
            return false;
        }
        self.requests.insert((place, process));
        self.names[place as usize].1.push(process);
        true
    }

    /// Writes what is known, as a JSON object.
    ///
    /// # Errors
    /// Of `out`.
    pub fn write(&mut self, out: &mut impl Write, processes: &mut Processes) -> io::Result<()> {
        let count = processes.count();
        if let Some(last) = count.checked_sub(1).and_then(|last| u32::try_from(last).ok()) {
            self.meets(last, processes);
        }
        self.names.iter_mut().for_each(|(_, processes)| processes.sort_unstable());
        let unseen = processes.all().flat_map(|process| self.unseen(process)).collect();
        let given: BTreeSet<&OsStr> =
            self.grants.environment.iter().map(|(name, _)| name.as_os_str()).collect();
        let asked = self.names.iter().map(|(name, processes)| {
            let (os_name, text) = (OsStr::from_bytes(name), String::from_utf8_lossy(name));
            let state = if given.contains(os_name) {
                "given"
            } else if self.grants.withheld.iter().any(|withheld| withheld == os_name) {
                "withheld"
            } else {
                "absent"
            };
            let name_hex = matches!(text, Cow::Owned(_)).then(|| digest::hex(name));
            Request { name: text, name_hex, state, processes }
        });
        let asked = asked.collect();
        let given = given.iter().map(|name| name.to_string_lossy()).collect();
        Ok(serde_json::to_writer(out, &Written { given, asked, unseen })?)
    }

    /// The reasons, now that all have ended.
    fn unseen(&self, process: &Process) -> Vec<Unseen> {
        let mut state = self.states[process.id as usize].clone();
        state.program_ends();
        if state.program.is_some_and(|program| program.loaded) && !state.ended {
            let by_itself = matches!(process.exit, Some(Exit::Code(_)));
            state.reasons.insert(if by_itself { Reason::LastThread } else { Reason::Signal });
        }
        let unseen = |reason| Unseen { process: process.id, reason };
        state.reasons.into_iter().map(unseen).collect()
    }
}

/// Reads a book as far as it is used; whether there was too much for it. None if there is no book.
#[must_use]
pub fn fill(book: &mut Vec<u8>, thread: u32, address: u64) -> Option<bool> {
    book.resize(FIRST, 0);
    argument::bytes(thread, address, book).ok()?;
    let header = &book[protocol::HEADER..protocol::TEXT];
    let used = usize::try_from(word(header, protocol::USED)).ok()?;
    let overflow = word(header, protocol::OVERFLOW) != 0;
    if word(header, protocol::TOLD) == 0 {
        return None;
    }
    book.resize(protocol::TEXT + used.min(protocol::TEXT_SIZE), 0);
    if book.len() > FIRST {
        let rest = address.checked_add(FIRST as u64)?;
        argument::bytes(thread, rest, &mut book[FIRST..]).ok()?;
    }
    Some(overflow)
}

#[derive(Serialize)]
struct Written<'a> {
    given: Vec<Cow<'a, str>>,
    asked: Vec<Request<'a>>,
    unseen: Vec<Unseen>,
}

#[derive(Serialize)]
struct Request<'a> {
    name: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name_hex: Option<String>,
    state: &'static str,
    processes: &'a [u32],
}

#[derive(Serialize)]
struct Unseen {
    process: u32,
    reason: Reason,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walkers_are_known_by_name_with_any_version() {
        for program in ["/bin/sh", "/usr/bin/python3.12", "bash", "/x/ruby3.1", "/usr/bin/ksh93"] {
            assert!(walks(program.as_bytes()), "{program}");
        }
        for program in ["/usr/bin/bashful", "/bin/sh/gcc", "/bin/true", "", "/", "/usr/bin/3"] {
            assert!(!walks(program.as_bytes()), "{program}");
        }
    }

    /// A book with these words in its table and this text.
    fn book(places: &[u16], text: &[u8]) -> Vec<u8> {
        let mut book = vec![0; protocol::TEXT];
        for (index, place) in places.iter().enumerate() {
            book[6 * index..][..2].copy_from_slice(&place.to_ne_bytes());
        }
        book.extend(text);
        book
    }

    #[test]
    fn names_come_in_the_order_of_the_text() {
        let book = book(&[6, 1, 3], b"A\0BC\0DEF\0unfinished");
        let found: Vec<&[u8]> = names(&book).collect();
        assert_eq!(found, [&b"A"[..], b"BC", b"DEF"]);
    }

    #[test]
    fn a_book_that_makes_no_sense_has_few_names_or_none() {
        let endless = vec![b'x'; 1000];
        for (places, text) in [
            (&[u16::MAX, 9, 1000][..], &b"A\0"[..]),
            (&[1, 2, 700], &endless),
            (&[1, 2, 3], b"\0\0\0"),
            (&[1], b""),
        ] {
            assert_eq!(names(&book(places, text)).count(), 0, "{places:?}");
        }
    }

    #[test]
    fn what_is_no_book_is_not_read() {
        let own = std::process::id();
        let mut buffer = Vec::new();
        assert_eq!(fill(&mut buffer, own, 8), None);
        assert_eq!(fill(&mut buffer, own, u64::MAX - 1), None);
        let mut memory = vec![0_u8; protocol::SIZE];
        let address = |memory: &[u8]| memory.as_ptr().expose_provenance() as u64;
        assert_eq!(fill(&mut buffer, own, address(&memory)), None);
        let header = protocol::HEADER;
        memory[header + 4 * protocol::TOLD] = 1;
        memory[header + 4 * protocol::USED..][..4].fill(0xff);
        assert_eq!(fill(&mut buffer, own, address(&memory)), Some(false));
        assert_eq!(buffer.len(), protocol::SIZE);
    }
}
