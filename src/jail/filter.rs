//! The seccomp filter: the table of system calls, compiled to a program for the kernel.
//!
//! The script's first process installs it just before it executes the script; children inherit it.
//! It never opens up: what it does not know, it refuses. Installing it, and answering what it
//! notifies of, is for others.
//!
//! The kernel checks, translates and, for each number, tries a program when it is installed
//! (`seccomp_prepare_filter`). That time grows with the length of the program and of the way
//! through it, and each script pays it. So the program is a binary search over the number, and
//! equal answers share an instruction. Per call the difference to a list hardly shows: the kernel
//! remembers which numbers are always allowed.

use std::collections::BTreeMap;

use libc::sock_filter;

use super::numbers;
use super::rule::{
    ALLOW, Action, Case, Comparison, NEWFSTATAT, NOTIFY, Rule, SEALED_SENDMSG, STATX, UNHEARD,
};
use super::syscalls::{Architecture, SystemCall, TOPICS};

/// Where the kernel puts what a program may look at (`struct seccomp_data`, seccomp(2)).
mod data {
    /// The system call number.
    pub(super) const NUMBER: u32 = 0;
    /// The architecture.
    pub(super) const ARCHITECTURE: u32 = 4;

    /// The lower half of an argument; the upper half is 4 bytes further, as both architectures are
    /// little-endian.
    pub(super) const fn argument(index: u8) -> u32 {
        16 + 8 * index as u32
    }
}

/// A filter program, ready to be installed.
#[derive(Clone, Debug)]
pub struct Program(Vec<sock_filter>);

impl Program {
    /// The instructions, for the `sock_fprog` of seccomp(2).
    #[must_use]
    pub fn instructions(&self) -> &[sock_filter] {
        &self.0
    }
}

/// The number of sendmsg(2), as the table has it.
#[cfg(target_arch = "x86_64")]
const SENDMSG_NUMBER: u32 = 46;
/// See above.
#[cfg(target_arch = "aarch64")]
const SENDMSG_NUMBER: u32 = 211;

/// The calls that look at a name, and neither at a file's content nor at its attributes.
const LOOKS: &[&str] = &[
    "access",
    "faccessat",
    "faccessat2",
    "lstat",
    "newfstatat",
    "readlink",
    "readlinkat",
    "stat",
    "statfs",
    "statx",
];

/// What is not to exist for a script.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hides {
    /// Everything that is there exists.
    #[default]
    Nothing,
    /// Some paths do not.
    Paths,
    /// Nor do processes that are not the script's, by path or number.
    Processes,
}

/// What a policy asks of the filter besides the table.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asks {
    /// What is not to exist for the script.
    pub hides: Hides,
    /// What is only looked at is nothing to be told of.
    pub overlooks: bool,
    /// It is given sockets over IP.
    pub network: bool,
    /// It is given sockets by which it could listen.
    pub sockets: bool,
}

impl Asks {
    /// The rule of a call.
    fn rule(self, call: &SystemCall) -> Rule {
        let of_a_process =
            if self.hides == Hides::Processes { numbers::rule(call.name) } else { None };
        match of_a_process.unwrap_or(call.rule) {
            _ if self.overlooks && LOOKS.contains(&call.name) => ALLOW,
            // A path beside `AT_EMPTY_PATH` counts: what it finds would not be hidden.
            NEWFSTATAT | STATX if self.hides >= Hides::Paths => NOTIFY,
            // A socket that has no address is given one: listen(2), and `SO_PASSCRED` in unix(7).
            _ if self.sockets && call.name == "listen" => UNHEARD,
            rule => rule,
        }
    }
}

/// The filter for scripts of this program's own architecture.
#[must_use]
pub fn compile(asks: Asks) -> Program {
    compile_for(Architecture::NATIVE, asks)
}

/// A filter for the time after the listener is handed over: what does that is refused (`HAND_OVER`). By
/// a socket over IP such a message would reach whoever it is addressed to.
#[must_use]
pub fn seal() -> Program {
    let first = SENDMSG_NUMBER;
    let mut code = Code::default();
    code.search(&[
        Range { first: 0, rule: ALLOW },
        Range { first, rule: SEALED_SENDMSG },
        Range { first: first + 1, rule: ALLOW },
    ]);
    code.put(load(data::NUMBER));
    code.finish()
}

/// The filter for scripts of an architecture.
#[must_use]
pub fn compile_for(architecture: Architecture, asks: Asks) -> Program {
    let mut code = Code::default();
    code.search(&ranges(architecture, asks));
    let native = code.put(load(data::NUMBER));
    // A 32-bit entry has other numbers, so the architecture is looked at before the number.
    let other = code.answer(UNKNOWN);
    code.branch(libc::BPF_JEQ, architecture.audit(), native, other);
    code.put(load(data::ARCHITECTURE));
    code.finish()
}

/// The answer to a number or an entry that the table does not have.
const UNKNOWN: Action = Action::Deny(libc::ENOSYS);

/// Numbers from `first` up to the next range.
struct Range {
    first: u32,
    rule: Rule,
}

/// All numbers, in order: those of the table, and gaps between and behind them that are refused.
/// The last range reaches up to `u32::MAX`, and so takes in the x32 entry, which is bit 30 of the
/// number.
fn ranges(architecture: Architecture, asks: Asks) -> Vec<Range> {
    let rules: BTreeMap<u32, Rule> = TOPICS
        .iter()
        .flat_map(|topic| topic.calls)
        .filter_map(|call| Some((call.number(architecture)?, asks.rule(call))))
        .collect();
    let unknown = Rule::Always(UNKNOWN);
    let mut ranges: Vec<Range> = Vec::new();
    let mut push = |first, rule| {
        if ranges.last().is_none_or(|last| last.rule != rule) {
            ranges.push(Range { first, rule });
        }
    };
    let mut next = 0;
    for (number, rule) in rules {
        if number > next {
            push(next, unknown);
        }
        push(number, rule);
        next = number + 1;
    }
    push(next, unknown);
    ranges
}

/// A program that is written from its end: jumps only go forward, so what a jump leads to is there
/// before the jump.
#[derive(Default)]
struct Code {
    /// The last instruction first.
    reversed: Vec<sock_filter>,
    /// Where rules are applied.
    applied: Vec<(Rule, Position)>,
}

/// Where an instruction is, counted from the end of the program.
type Position = usize;

impl Code {
    /// The farthest that a conditional jump reaches, less one for an instruction that gets in
    /// between.
    const REACH: usize = 254;
    /// The farthest that a rule is jumped to, rather than put there again. Less than the reach by
    /// the longest rule, which may get in between.
    const SHARE: usize = 160;

    /// Puts an instruction before all others.
    fn put(&mut self, instruction: sock_filter) -> Position {
        self.reversed.push(instruction);
        self.reversed.len() - 1
    }

    /// How many instructions the next one has to skip to get there.
    fn distance(&self, position: Position) -> usize {
        self.reversed.len() - 1 - position
    }

    /// The position itself, or that of an unconditional jump to it, which reaches any distance.
    fn within_reach(&mut self, position: Position) -> Position {
        let distance = self.distance(position);
        if distance <= Self::REACH {
            return position;
        }
        let distance =
            u32::try_from(distance).expect("a program is shorter than 4096 instructions");
        self.put(instruction(libc::BPF_JMP | libc::BPF_JA, distance, 0, 0))
    }

    /// Puts a conditional jump on the loaded word.
    fn branch(
        &mut self,
        condition: u32,
        value: u32,
        when_true: Position,
        when_false: Position,
    ) -> Position {
        let when_true = self.within_reach(when_true);
        let when_false = self.within_reach(when_false);
        let [when_true, when_false] = [when_true, when_false]
            .map(|position| u8::try_from(self.distance(position)).expect("within reach"));
        let code = libc::BPF_JMP | condition | libc::BPF_K;
        self.put(instruction(code, value, when_true, when_false))
    }

    /// Puts a search for the range of the loaded number.
    fn search(&mut self, ranges: &[Range]) -> Position {
        if let [range] = ranges {
            return self.apply(range.rule);
        }
        let (lower, upper) = ranges.split_at(ranges.len() / 2);
        let pivot = upper[0].first;
        let upper = self.search(upper);
        let lower = self.search(lower);
        self.branch(libc::BPF_JGE, pivot, upper, lower)
    }

    /// Puts what ends in the action of a rule, unless it is there already and near.
    fn apply(&mut self, rule: Rule) -> Position {
        let known = self.applied.iter().rev().find(|(applied, _)| *applied == rule);
        if let Some((_, position)) = known
            && self.distance(*position) <= Self::SHARE
        {
            return *position;
        }
        let position = match rule {
            Rule::Always(action) => {
                self.put(instruction(libc::BPF_RET | libc::BPF_K, value(action), 0, 0))
            }
            Rule::ByArguments(cases, otherwise) => {
                let otherwise = self.answer(otherwise);
                let case = |next, case: &Case| {
                    let action = self.answer(case.action);
                    let compare =
                        |then, comparison: &Comparison| self.compare(*comparison, then, next);
                    case.when.iter().rev().fold(action, compare)
                };
                cases.iter().rev().fold(otherwise, case)
            }
        };
        self.applied.push((rule, position));
        position
    }

    fn answer(&mut self, action: Action) -> Position {
        self.apply(Rule::Always(action))
    }

    /// Puts a comparison of the halves that count, as a program calculates with 32 bits.
    fn compare(
        &mut self,
        comparison: Comparison,
        when_true: Position,
        when_false: Position,
    ) -> Position {
        let offset = data::argument(comparison.argument);
        let masks = halves(comparison.mask);
        let values = halves(comparison.value);
        let mut then = when_true;
        for (half, (mask, value)) in (0..).zip(masks.into_iter().zip(values)) {
            if mask == 0 {
                continue;
            }
            self.branch(libc::BPF_JEQ, value, then, when_false);
            if mask != u32::MAX {
                self.put(instruction(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, mask, 0, 0));
            }
            then = self.put(load(offset + 4 * half));
        }
        then
    }

    fn finish(mut self) -> Program {
        self.reversed.reverse();
        Program(self.reversed)
    }
}

/// What a program returns for an action.
fn value(action: Action) -> u32 {
    match action {
        Action::Allow => libc::SECCOMP_RET_ALLOW,
        Action::Deny(errno) => {
            // 0 would be success without doing anything, and the kernel cuts at 4095 (`MAX_ERRNO`).
            assert!((1..=4095).contains(&errno), "not an errno: {errno}");
            libc::SECCOMP_RET_ERRNO | errno.unsigned_abs()
        }
        Action::Notify => libc::SECCOMP_RET_USER_NOTIF,
    }
}

fn load(offset: u32) -> sock_filter {
    instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset, 0, 0)
}

fn instruction(code: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    let code = u16::try_from(code).expect("operation codes have 16 bits");
    sock_filter { code, jt, jf, k }
}

/// The two 32-bit halves of a value, lower first.
fn halves(value: u64) -> [u32; 2] {
    [value & u64::from(u32::MAX), value >> 32].map(|half| u32::try_from(half).expect("a half"))
}

#[cfg(test)]
mod tests;
