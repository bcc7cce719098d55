//! What holds of any bytes that come from a script or a user. The targets beside this file ask it of
//! bytes that a fuzzer finds; `tests/fuzzed.rs` asks it of the seeds, and of bytes that are made of
//! them, so that the targets go on compiling and stay true.

use std::path::Path;

use cargo_brig::instruction::{self, Instruction, Kind, Line};
use cargo_brig::policy::document::{Document, Error, Unnamed};
use cargo_brig::policy::instructions::Decision;
use cargo_brig::policy::layers::{Layer, Owner};
use cargo_brig::policy::{Layers, Limit, Policy};
use cargo_brig::preload::protocol;
use cargo_brig::relay::{Relay, Relayed};
use cargo_brig::show::page::{Page, Paint};
use cargo_brig::show::report;
use cargo_brig::stored::Stored;
use cargo_brig::sys::Notification;
use cargo_brig::warden::address::{Address, Message};
use cargo_brig::warden::argument::PathAt;
use cargo_brig::warden::{argument, asked, look, macros, metadata, names, numbers, open, procfs};

/// A text is a policy, or is told of by place; and no policy loosens a locked one.
pub(crate) fn policy(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let document = match Document::parse("fuzzed.toml", text) {
        Ok(document) => document,
        Err(error) => {
            let Error::Invalid(found) = &error else { panic!("{error}") };
            assert!(found.has_errors() && error.to_string().contains("fuzzed.toml:"));
            return;
        }
    };
    assert!(!document.warnings.has_errors());
    assert!(document.warnings.to_string().is_empty() == document.warnings.0.is_empty());
    let machine = Document::parse("machine.toml", "extends = \"farm\"").expect("it is one");
    let machine = Layer { owner: Owner::Machine, document: machine };
    let names: Vec<String> = document.packages.iter().map(|package| package.name.clone()).collect();
    let above = Layer { owner: Owner::Workspace, document };
    let plain =
        Layers::of(vec![machine.clone()], None).expect("the built-in policies are policies");
    // A lock is the machine's alone.
    let Ok(both) = Layers::of(vec![machine, above], None) else { return };
    for name in names.iter().map(String::as_str).chain(["any"]) {
        let (plain, both) = (Policy::of(&plain, name, "1.2.3"), Policy::of(&both, name, "1.2.3"));
        assert_eq!(both.read, plain.read);
        assert_eq!(both.execute, plain.execute);
        assert_eq!(both.write, plain.write);
        assert_eq!(both.instructions, plain.instructions);
        assert_eq!(both.set, plain.set);
        assert_eq!((both.on_denial, both.mode), (plain.on_denial, plain.mode));
        for limit in Limit::ALL {
            assert!(limit.of(&both.limits) <= limit.of(&plain.limits), "{}", limit.key());
        }
        for variable in ["MY_TOKEN", "EDITOR", "PATH"] {
            let passes = |policy: &Policy| policy.variable(variable.as_bytes()).0 == Unnamed::Pass;
            assert!(passes(&plain) || !passes(&both), "{variable}");
        }
    }
}

/// The output of a script says the same however it is cut, nothing that is withheld reaches Cargo, and
/// what reaches it is read there as what was judged. The first byte says where it is cut.
pub(crate) fn instructions(data: &[u8]) {
    let Some((cut, output)) = data.split_first() else { return };
    let relay = |pieces: &mut dyn Iterator<Item = &[u8]>| -> (Vec<u8>, Relayed) {
        let mut out = Vec::new();
        let mut relay =
            Relay::new(&mut out, |instruction: &Instruction| match instruction.kind() {
                Kind::Env { .. } | Kind::LinkArg(_) => Decision::Withhold("never".into()),
                _ => Decision::Relay,
            });
        for piece in pieces {
            relay.feed(piece).expect("it is short, and memory takes all");
        }
        let relayed = relay.finish().expect("it is short, and memory takes all");
        (out, relayed)
    };
    let (whole, relayed) = relay(&mut [output].into_iter());
    let (cut, of_cut) = relay(&mut output.chunks(usize::from(*cut).max(1)));
    assert_eq!(whole, cut);
    assert_eq!(relayed.instructions, of_cut.instructions);
    assert_eq!(relayed.withheld, of_cut.withheld);
    let mut read = Vec::new();
    for line in whole.split(|byte| *byte == b'\n') {
        match instruction::parse(line) {
            Line::Instruction(instruction) => read.push(instruction),
            Line::Invalid(invalid) => panic!("{invalid:?} was relayed"),
            Line::Plain => {}
        }
    }
    assert_eq!(read, relayed.instructions);
    let is_withheld = |instruction: &Instruction| {
        matches!(instruction.kind(), Kind::Env { .. } | Kind::LinkArg(_))
    };
    assert!(!read.iter().any(is_withheld));
}

/// A record is one, or an error; and what `cargo brig show` makes of one steers no terminal.
pub(crate) fn record(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let Ok(stored) = serde_json::from_str::<Stored>(text) else { return };
    for all in [false, true] {
        let mut page = Page::new(Paint::none());
        report::render(&mut page, &stored, Path::new("brig.json"), all);
        let steers = |c: char| c.is_control() && c != '\n';
        assert!(!page.text().contains(steers), "{}", page.text().escape_debug());
    }
}

/// Whatever stands in a notification, and in the memory of who made the call, is decoded within its bounds
/// or refused. The first bytes are the call's number and its arguments, each a number or a place in the
/// memory that the rest is.
pub(crate) fn notification(data: &[u8]) {
    const ARGUMENT: usize = 3;
    let Some((head, memory)) = data.split_at_checked(2 + 6 * ARGUMENT) else { return };
    let memory = Memory::new(memory);
    let mut arguments = [0; 6];
    for (argument, bytes) in arguments.iter_mut().zip(head[2..].chunks_exact(ARGUMENT)) {
        let value = u64::from(u16::from_le_bytes([bytes[1], bytes[2]]));
        *argument = match bytes[0] % 4 {
            0 => value,
            1 => memory.place(value),
            2 => !value,
            _ => value << 48 | value,
        };
    }
    let number = i64::from(u16::from_le_bytes([head[0], head[1]]) % 512);
    let call = Notification { id: 0, pid: std::process::id(), number, arguments };

    for at in arguments {
        let path = argument::path(call.pid, at).unwrap_or_default();
        assert!(path.as_bytes().len() < protocol::PATH_MAX);
    }
    sockets(&call);
    files(&call);
    book(&call);
    let text = String::from_utf8_lossy(&memory.bytes[..memory.length]);
    for (_, _, name) in macros::libraries(&text) {
        assert!(!name.contains('/'), "{name:?}");
    }
    assert!(procfs::unescaped(&memory.bytes[..memory.length]).len() <= memory.length);
}

/// What a caller's memory is in [`notification`]: the words in it that begin with `fe ed` lead to places in it.
struct Memory {
    bytes: Vec<u8>,
    length: usize,
}

impl Memory {
    fn new(data: &[u8]) -> Self {
        let mut bytes = data.to_vec();
        bytes.resize(data.len().max(protocol::SIZE), 0);
        let mut memory = Self { bytes, length: data.len() };
        for start in (0..data.len() / 8).map(|word| 8 * word) {
            let word: [u8; 8] = memory.bytes[start..start + 8].try_into().expect("they are 8");
            if let [0xfe, 0xed, low, high, 0, 0, 0, 0] = word {
                let place = memory.place(u64::from(u16::from_le_bytes([low, high])));
                memory.bytes[start..start + 8].copy_from_slice(&place.to_ne_bytes());
            }
        }
        memory
    }

    fn place(&self, offset: u64) -> u64 {
        self.bytes.as_ptr().expose_provenance() as u64 + offset
    }
}

/// Addresses, and messages with their questions to a name server.
fn sockets(call: &Notification) {
    let [_, at, length, ..] = call.arguments;
    if let Ok(address) = Address::read(call, at, length) {
        assert_eq!(address.port, address.ip.map(|ip| ip.port()));
        assert!(address.path.is_none() || address.family == libc::AF_UNIX);
        let is_known = [libc::AF_INET, libc::AF_INET6, libc::AF_UNIX].contains(&address.family);
        assert_eq!(address.text.is_some(), is_known);
    }
    for message in Message::all(call).into_iter().flatten() {
        for most in [0, 1, 300, 100_000] {
            let content = message.content(call, most).unwrap_or_default();
            assert!(content.len() <= most);
        }
        if let Some(host) = message.host(call) {
            assert!(!host.is_empty() && host.chars().count() <= 255, "{host:?}");
        }
    }
}

/// Calls on files, and on processes.
fn files(call: &Notification) {
    if let Some(request) = metadata::Request::of(call.number)
        && let Ok(metadata::Change::SetAttribute(name, value, _)) = request.change(call)
    {
        assert!(name.as_bytes().len() < 256 && value.len() <= 64 * 1024);
    }
    let opened = open::Request::of(call);
    let named = names::Request::of(call.number).is_some();
    let looked = look::Request::of(call.number);
    // One call asks for one thing.
    assert!(usize::from(opened.is_some()) + usize::from(named) + usize::from(looked.is_some()) < 2);
    if let Some(look::Request { at: PathAt(directory, path), link, .. }) = looked {
        assert!(directory.is_none_or(|directory| directory < path));
        assert!(!look::names_nothing(call) || directory.is_some());
        let _: bool = link.is_followed(call);
    }
    drop(numbers::answer(call));
}

/// What a process has asked for in its book.
fn book(call: &Notification) {
    let mut book = Vec::new();
    if asked::fill(&mut book, call.pid, call.arguments[0]).is_none() {
        return;
    }
    assert!((protocol::TEXT..=protocol::SIZE).contains(&book.len()));
    for name in asked::names(&book) {
        assert!((1..=protocol::LONGEST).contains(&name.len()) && !name.contains(&0));
    }
}
