//! What holds of any bytes that come from a script or a user. The targets beside this file ask it of
//! bytes that a fuzzer finds; `tests/fuzzed.rs` asks it of the seeds, and of bytes that are made of
//! them, so that the targets go on compiling and stay true.

use std::path::Path;

use cargo_brig::instruction::{self, Instruction, Kind, Line};
use cargo_brig::policy::document::{Document, Error, Unnamed};
use cargo_brig::policy::instructions::Decision;
use cargo_brig::policy::layers::{Layer, Owner};
use cargo_brig::policy::{Layers, Limit, Policy};
use cargo_brig::relay::{Relay, Relayed};
use cargo_brig::show::page::{Page, Paint};
use cargo_brig::show::report;
use cargo_brig::stored::Stored;

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
