//! Tests of [`super`]: the grammar, by example and by property.

use proptest::prelude::*;

use super::*;

fn instruction(line: &str) -> Instruction {
    match parse(line.as_bytes()) {
        Line::Instruction(instruction) => instruction,
        other => panic!("{line:?} parsed as {other:?}"),
    }
}

fn reason(line: &str) -> Reason {
    match parse(line.as_bytes()) {
        Line::Invalid(InvalidInstruction { line: quoted, reason }) => {
            assert_eq!(quoted, line.trim());
            reason
        }
        other => panic!("{line:?} parsed as {other:?}"),
    }
}

fn metadata(key: &str, value: &str) -> Kind {
    Kind::Metadata { key: key.to_owned(), value: value.to_owned() }
}

#[test]
fn white_space_hides_no_instruction() {
    for line in [
        "cargo::rustc-cfg=x",
        "  \t cargo::rustc-cfg=x",
        "\u{a0}\u{3000}\u{2028}\u{85}cargo::rustc-cfg=x\r",
        "\u{b}\u{c}cargo::rustc-cfg=x \u{2029}",
    ] {
        assert_eq!(instruction(line).kind(), &Kind::Cfg("x".to_owned()), "{line:?}");
        assert_eq!(instruction(line).to_string(), "cargo::rustc-cfg=x");
    }
    for line in
        ["\u{feff}cargo::rustc-cfg=x", "\0cargo::rustc-cfg=x", "CARGO::rustc-cfg=x", "cargo", ""]
    {
        assert_eq!(parse(line.as_bytes()), Line::Plain, "{line:?}");
    }
}

#[test]
fn value_is_kept_but_for_its_end() {
    let line = "cargo::rustc-cfg= a\rcargo::warning=b\0\u{2028}\u{1b}[0m=";
    assert_eq!(instruction(line).value(), &line["cargo::rustc-cfg=".len()..]);
    assert_eq!(instruction(line).to_string(), line);
    assert_eq!(instruction("cargo:rustc-link-search= \t").kind(), &Kind::LinkSearch(String::new()));
}

#[test]
fn single_colon_makes_metadata_of_all_but_reserved_keys() {
    for key in [
        "bogus",
        "",
        " rustc-cfg",
        "rustc-cfg ",
        "error",
        "metadata",
        "rustc-link-arg-lib",
        "a b.c-d",
    ] {
        let line = format!("cargo:{key}=v=w");
        assert_eq!(instruction(&line).kind(), &metadata(key, "v=w"));
        assert_eq!(instruction(&line).to_string(), line);
        assert_eq!(instruction(&line).key(), "metadata");
    }
    assert_eq!(instruction("cargo:rustc-cfg=v").kind(), &Kind::Cfg("v".to_owned()));
}

#[test]
fn refused_lines_say_why() {
    assert_eq!(reason("cargo:"), Reason::NoEquals(Syntax::Single));
    assert_eq!(reason("cargo:rustc-cfg"), Reason::NoEquals(Syntax::Single));
    assert_eq!(reason(" cargo::rustc-cfg"), Reason::NoEquals(Syntax::Double));
    assert_eq!(reason("cargo:: rustc-cfg=x"), Reason::UnknownKey(" rustc-cfg".to_owned()));
    assert_eq!(reason("cargo:::rustc-cfg=x"), Reason::UnknownKey(":rustc-cfg".to_owned()));
    assert_eq!(reason("cargo::=x"), Reason::UnknownKey(String::new()));
    assert_eq!(reason("cargo::metadata=k"), Reason::MetadataWithoutValue);
    assert_eq!(reason("cargo:rustc-env=FOO"), Reason::EnvWithoutValue);
    assert_eq!(reason("cargo:rustc-link-arg-bin=x"), Reason::LinkArgBinWithoutArg);
    assert_eq!(reason("cargo::rustc-flags=-lx -C y"), Reason::ForbiddenFlag("-C".to_owned()));
    assert_eq!(reason("cargo::rustc-flags=-lx -L "), Reason::FlagWithoutValue);
}

#[test]
fn line_with_newline_is_refused() {
    for line in ["cargo::rustc-cfg=a\nb", "plain\ncargo::rustc-cfg=a", "\n"] {
        assert_eq!(reason(line), Reason::SeveralLines);
    }
}

#[test]
fn message_remembers_whether_it_was_indented() {
    for (line, at_line_start) in [("cargo::error=E", true), (" cargo::error=E", false)] {
        let text = "E".to_owned();
        assert_eq!(instruction(line).kind(), &Kind::Error { text, at_line_start });
        assert_eq!(instruction(line).to_string(), line);
    }
    for (line, at_line_start) in [("cargo:warning=W", true), ("\tcargo:warning=W", false)] {
        let text = "W".to_owned();
        assert_eq!(instruction(line).kind(), &Kind::Warning { text, at_line_start });
        assert_eq!(instruction(line).to_string(), line.replace('\t', " "));
    }
}

#[test]
fn line_that_is_not_utf8_is_plain_unless_it_is_an_error() {
    for line in [
        &b"cargo::rustc-cfg=\xff"[..],
        b"cargo::bogus=\xff",
        b" cargo::error=\xff",
        b"\xffcargo::error=x",
    ] {
        assert_eq!(parse(line), Line::Plain, "{line:?}");
    }
    let Line::Instruction(error) = parse(b"cargo::error=a\xff \r") else {
        panic!("an error that fails the build was dropped");
    };
    assert_eq!(error.to_string(), "cargo::error=a\u{fffd}");
}

#[test]
fn flag_takes_the_next_word_whatever_it_is() {
    let flags = instruction("cargo:rustc-flags= -l foo\u{3000}-lbar -L /x\r-L/y -l -L -L@f");
    let lib = |name: &str| LinkFlag::Lib(name.to_owned());
    let search = |path: &str| LinkFlag::Search(path.to_owned());
    let expected =
        vec![lib("foo"), lib("bar"), search("/x"), search("/y"), lib("-L"), search("@f")];
    assert_eq!(flags.kind(), &Kind::Flags(expected));
    assert_eq!(flags.to_string(), "cargo:rustc-flags=-lfoo -lbar -L/x -L/y -l-L -L@f");
    assert_eq!(instruction("cargo::rustc-flags=").kind(), &Kind::Flags(Vec::new()));
}

#[test]
fn what_no_line_can_say_is_no_instruction() {
    let refused = |syntax, kind| Instruction::new(syntax, kind).unwrap_err().reason;
    let double = |kind| refused(Syntax::Double, kind);
    let single = |kind| refused(Syntax::Single, kind);
    let text = || "E".to_owned();
    let at_line_start = true;

    assert_eq!(double(Kind::Cfg("a\ncargo::rustc-cfg=b".to_owned())), Reason::SeveralLines);
    assert_eq!(double(Kind::LinkSearch("x\n".to_owned())), Reason::SeveralLines);
    assert_eq!(double(Kind::Cfg("a\r".to_owned())), Reason::Ambiguous);
    assert_eq!(double(metadata("k=", "v")), Reason::Ambiguous);
    assert_eq!(double(Kind::Flags(vec![LinkFlag::Lib("a -lb".to_owned())])), Reason::Ambiguous);
    assert_eq!(double(Kind::Flags(vec![LinkFlag::Lib(String::new())])), Reason::FlagWithoutValue);
    assert_eq!(single(Kind::Error { text: text(), at_line_start }), Reason::Ambiguous);
    assert_eq!(single(metadata("rustc-env", "A=b")), Reason::Ambiguous);
    assert_eq!(single(metadata(":error", "b")), Reason::Ambiguous);
    assert_eq!(single(metadata(":bogus", "b")), Reason::UnknownKey("bogus".to_owned()));
}

#[test]
fn record_shows_key_value_and_syntax() {
    let json = |line| serde_json::to_string(&instruction(line)).unwrap();
    assert_eq!(
        json(" cargo::rustc-env=A=b"),
        r#"{"key":"rustc-env","value":"A=b","syntax":"cargo::"}"#
    );
    assert_eq!(json("cargo:root=/x"), r#"{"key":"metadata","value":"root=/x","syntax":"cargo:"}"#);
}

#[test]
fn terminal_escapes_do_not_reach_an_error_message() {
    let Line::Invalid(invalid) = parse(b"cargo::a\x1b]52;c;eA==\x07") else {
        panic!("not refused");
    };
    assert_eq!(invalid.reason.to_string(), r#"unknown key "a\u{1b}]52;c;eA""#);
    assert!(!invalid.to_string().contains('\x1b'));
}

/// Characters with a meaning to the grammar, or to a careless version of it.
const TELLING: &str = "abzlL-=: \t\r\0\u{b}\u{85}\u{a0}\u{2028}\u{3000}\u{feff}\u{1b}@";

fn text() -> impl Strategy<Value = String> {
    let character = prop_oneof![
        3 => proptest::sample::select(TELLING.chars().collect::<Vec<_>>()),
        1 => any::<char>().prop_filter("one line", |c| *c != '\n'),
    ];
    proptest::collection::vec(character, 0..8).prop_map(String::from_iter)
}

fn value() -> impl Strategy<Value = String> {
    text().prop_map(|text| text.trim_end().to_owned())
}

fn name() -> impl Strategy<Value = String> {
    text().prop_map(|text| text.replace('=', ""))
}

fn flags() -> impl Strategy<Value = Kind> {
    let word = || text().prop_map(|text| format!("w{text}").replace(char::is_whitespace, ""));
    let flag = prop_oneof![word().prop_map(LinkFlag::Lib), word().prop_map(LinkFlag::Search)];
    proptest::collection::vec(flag, 0..4).prop_map(Kind::Flags)
}

/// Built without `Instruction::new`, which would make `parse(line(x)) == x` true by definition.
fn any_instruction() -> impl Strategy<Value = Instruction> {
    let syntax = prop_oneof![Just(Syntax::Single), Just(Syntax::Double)];
    let either = prop_oneof![
        value().prop_map(Kind::LinkLib),
        value().prop_map(Kind::LinkSearch),
        flags(),
        value().prop_map(Kind::LinkArg),
        (name(), value()).prop_map(|(bin, arg)| Kind::LinkArgBin { bin, arg }),
        value().prop_map(Kind::LinkArgBins),
        value().prop_map(Kind::LinkArgTests),
        value().prop_map(Kind::LinkArgExamples),
        value().prop_map(Kind::LinkArgBenches),
        (any::<bool>(), value()).prop_map(|(old, arg)| Kind::LinkArgCdylib {
            spelling: if old {
                CdylibSpelling::CdylibLinkArg
            } else {
                CdylibSpelling::LinkArgCdylib
            },
            arg,
        }),
        value().prop_map(Kind::Cfg),
        value().prop_map(Kind::CheckCfg),
        (name(), value()).prop_map(|(name, value)| Kind::Env { name, value }),
        (value(), any::<bool>())
            .prop_map(|(text, at_line_start)| Kind::Warning { text, at_line_start }),
        value().prop_map(Kind::RerunIfChanged),
        value().prop_map(Kind::RerunIfEnvChanged),
    ];
    let double = prop_oneof![
        (value(), any::<bool>())
            .prop_map(|(text, at_line_start)| Kind::Error { text, at_line_start }),
        (name(), value()).prop_map(|(key, value)| Kind::Metadata { key, value }),
    ];
    let single = (name(), value()).prop_map(|(key, value)| Kind::Metadata {
        key: key.trim_start_matches(':').to_owned(),
        value,
    });
    prop_oneof![
        16 => (syntax, either).prop_map(|(syntax, kind)| Instruction { syntax, kind }),
        2 => double.prop_map(|kind| Instruction { syntax: Syntax::Double, kind }),
        2 => single.prop_map(|kind| Instruction { syntax: Syntax::Single, kind }),
    ]
}

/// Lines that look like instructions, most of them a little wrong.
fn near_instruction() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        3 => text().prop_map(String::into_bytes),
        3 => proptest::sample::select(vec![
            "cargo:", "cargo::", "=", "error", "warning", "metadata", "rustc-cfg", "rustc-env", "rustc-flags",
            "rustc-link-arg-bin", "rustc-link-lib", "-l", "-L", " ", "\r",
        ])
        .prop_map(|piece| piece.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..3),
    ];
    let start = proptest::sample::select(vec![
        "",
        "cargo:",
        "cargo::",
        " cargo::",
        "cargo::error=",
        "cargo::rustc-flags=",
    ]);
    (start, proptest::collection::vec(piece, 0..6))
        .prop_map(|(start, pieces)| [start.as_bytes().to_vec(), pieces.concat()].concat())
}

fn assert_relays_unchanged(line: &[u8]) -> Result<(), TestCaseError> {
    match parse(line) {
        Line::Instruction(instruction) => {
            let canonical = instruction.to_string();
            prop_assert!(!canonical.contains('\n'));
            prop_assert_eq!(parse(canonical.as_bytes()), Line::Instruction(instruction.clone()));
            prop_assert_eq!(
                Instruction::new(instruction.syntax, instruction.kind.clone()),
                Ok(instruction)
            );
        }
        Line::Invalid(invalid) if invalid.reason != Reason::SeveralLines => {
            prop_assert_eq!(parse(invalid.line.as_bytes()), Line::Invalid(invalid));
        }
        Line::Invalid(_) => prop_assert!(line.contains(&b'\n')),
        Line::Plain => {
            let looks_like_one =
                str::from_utf8(line).is_ok_and(|text| text.trim().starts_with("cargo:"));
            prop_assert!(!looks_like_one);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn line_parses_as_the_instruction_it_was_written_from(instruction in any_instruction()) {
        let line = instruction.to_string();
        prop_assert_eq!(parse(line.as_bytes()), Line::Instruction(instruction.clone()));
        prop_assert_eq!(Instruction::new(instruction.syntax, instruction.kind.clone()), Ok(instruction));
    }

    #[test]
    fn white_space_around_a_line_changes_nothing_but_the_start_of_a_message(
        instruction in any_instruction(),
        before in "[ \t\r\u{b}\u{85}\u{a0}\u{2028}\u{3000}]{1,3}",
        after in "[ \t\r\u{b}\u{85}\u{a0}\u{2028}\u{3000}]{0,3}",
    ) {
        let line = format!("{before}{instruction}{after}");
        let mut expected = instruction;
        if let Kind::Warning { at_line_start, .. } | Kind::Error { at_line_start, .. } = &mut expected.kind {
            *at_line_start = false;
        }
        prop_assert_eq!(parse(line.as_bytes()), Line::Instruction(expected));
    }

    #[test]
    fn near_instruction_relays_unchanged(line in near_instruction()) {
        assert_relays_unchanged(&line)?;
    }

    #[test]
    fn arbitrary_bytes_relay_unchanged(line in proptest::collection::vec(any::<u8>(), 0..64)) {
        assert_relays_unchanged(&line)?;
    }
}
