//! Tests of [`super`]: each option that was seen to run code, what popular packages print, and that no
//! disguise makes the one pass for the other.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;

fn decide(argument: &str) -> Result<(), Refusal> {
    judge(argument, &|path| path.starts_with("/p") || path.starts_with("/usr"))
}

fn words(table: &[&'static str]) -> Vec<&'static str> {
    table.iter().flat_map(|list| list.split(' ')).collect()
}

/// Options that load code, execute a program, write a file, or compile; each alone is enough.
const DANGEROUS: &[&str] = &[
    // gcc, clang
    "-B/x -B -Bstatics --prefix=/x -fuse-ld=/x -fuse-ld=bfd --ld-path=/x -specs=/x --specs=/x \
     -specs --specs -wrapper -fplugin=/x.so -fplugin-arg-x-y -fpass-plugin=/x \
     -fcompare-debug=-fplugin=/x.so -fcompare-debug --config=/x --config --config-user-dir=/x \
     -ccc-gcc-name -Xclang -load -Xpreprocessor -Xassembler -Wa,--gstabs -Wp,-MD \
     -no-canonical-prefixes --gcc-toolchain=/x --gcc-install-dir=/x -gcc-name --sysroot=/x \
     --sysroot -isysroot -isystem -I/x -include -imacros -iplugindir=/x -x -xc -save-temps \
     --save-temps -dumpdir -dumpbase -MF -MD -aux-info -### -print-prog-name=ld -o -o/x -ox \
     --output=/x -flto -flto=2 -fprofile-use=/x -pass-exit-codes -mllvm -mllvm=-load=/x -target \
     --target=../x -V --for-linker --entr -fsave-optimization-record -resource-dir=/x \
     -working-directory=/x -ivfsoverlay -foffload=x - --",
    // ld, gold, lld, mold, wild
    "-plugin --plugin -plugin=/x --plugin=/x -plugin-opt=x --plugin-opt=x --load-pass-plugin=/x \
     -load-pass-plugin=/x -load-pass-plugin --mllvm=-load=/x --lto-O2 -lto-obj-path=/x \
     --lto-obj-path=/x --error-handling-script=/x -error-handling-script=/x -run --run \
     --reproduce=/x -reproduce=/x --why-extract=/x --time-trace=/x --dependency-file=/x \
     --out-implib=/x --output-def=/x -Map=/x -Map --Map=/x --mri-script=/x -c \
     --print-archive-stats=/x --print-symbol-order=/x --emit-relocs=/x --chroot=/x \
     --thinlto-cache-dir=/x --package-metadata=x -oformat=binary -omagic --repro",
];

#[test]
fn what_was_seen_to_run_code_is_withheld() {
    for option in words(DANGEROUS) {
        let judged = decide(option);
        assert_eq!(judged, Err(Refusal::Unlisted(option.to_owned())));
        let sentence = judged.unwrap_err().to_string();
        assert!(
            sentence.starts_with(&format!("`{option}` is not among the options")),
            "{sentence}"
        );
    }
    for (argument, expected) in [
        ("@/p/x", Refusal::ArgumentFile("@/p/x".to_owned())),
        ("-Wl,-z,now,@/p/x", Refusal::ArgumentFile("@/p/x".to_owned())),
        ("-Wl,-rpath,@/p/x", Refusal::ArgumentFile("@/p/x".to_owned())),
        ("/p/x.c", Refusal::Source("/p/x.c".to_owned())),
        ("x.S", Refusal::Source("x.S".to_owned())),
        ("/home/x/.ssh/id_rsa", Refusal::Unreadable("/home/x/.ssh/id_rsa".to_owned())),
        ("-T/home/x", Refusal::Unreadable("/home/x".to_owned())),
        ("-T../x", Refusal::Unreadable("../x".to_owned())),
        ("-Wl,--script==/home/x", Refusal::Unreadable("=/home/x".to_owned())),
        ("-Wl,-T,/home/x", Refusal::Unreadable("/home/x".to_owned())),
        ("/DEF:/home/x", Refusal::Unreadable("/home/x".to_owned())),
        ("/OUT:/p/x", Refusal::Unreadable("/OUT:/p/x".to_owned())),
        ("-lz\t-specs=/x", Refusal::Separator),
        ("-Wl,-rpath,'", Refusal::Separator),
        ("'-plugin'", Refusal::Separator),
        ("-Wl,-z,now,\"-plugin\"", Refusal::Separator),
        ("/MANIFESTDEPENDENCY:type='\"win32\"", Refusal::Separator),
        ("-l/MANIFESTDEPENDENCY:'x'", Refusal::Separator),
        ("',-plugin,/x", Refusal::Separator),
        ("-lz\r", Refusal::Separator),
        ("-Bstatic", Refusal::Unlisted("-Bstatic".to_owned())),
        ("-E", Refusal::Unlisted("-E".to_owned())),
    ] {
        assert_eq!(decide(argument), Err(expected), "{argument}");
    }
}

/// What packages print; most of them were taken from the registry's popular ones and from books on
/// the targets.
const HARMLESS: &[&str] = &[
    "-Wl,-z,relro,-z,now -znow -z now -Wl,-rpath,$ORIGIN/../lib -Wl,-rpath=$ORIGIN \
     -Wl,-rpath,/home/x/lib -Wl,-rpath,/opt/x -rpath $ORIGIN/../lib -Wl,-rpath-link,/home/x \
     -Wl,--version-script=/p/exports.map -Wl,--version-script,exports.map \
     -Wl,--dynamic-list=/p/list -Wl,-soname,libx.so.1 -Wl,-soname=libx.so.1 -Wl,-h,libx.so \
     -Wl,--as-needed -Wl,--no-as-needed -Wl,--gc-sections -Wl,--no-gc-sections \
     -Wl,--build-id=none -Wl,--build-id -Wl,-Bstatic -Wl,-Bdynamic -Wl,-Bsymbolic \
     -Wl,-Bsymbolic-functions -Wl,--whole-archive,-lx,--no-whole-archive -Wl,--start-group \
     -Wl,--end-group -Wl,-( -Wl,--export-dynamic -Wl,-E -rdynamic -Wl,--wrap=malloc \
     -Wl,--wrap,malloc -Wl,--defsym=a=b -Wl,--defsym,_x=0x10 -Wl,-u,sym -u _start -Wl,-e,main \
     -e_start -Wl,--undefined=x -Wl,--allow-multiple-definition -Wl,--no-undefined \
     -Wl,--unresolved-symbols=ignore-all -Wl,--warn-unresolved-symbols -Wl,--exclude-libs,ALL \
     -Wl,--hash-style=gnu -Wl,-O1 -O3 -Wl,--icf=all -Wl,-s -s -Wl,--strip-debug -Wl,-x -Wl,-S \
     -Wl,--eh-frame-hdr -Wl,--enable-new-dtags -Wl,-dynamic-linker,/lib64/ld.so -Wl,-m,elf_i386 \
     -Wl,-melf_x86_64 -Wl,--image-base=0x1000 -Wl,--section-start=.x=0x10 -Wl,-Ttext=0x1000 \
     -Tlink.x -T/p/link.ld -T -Wl,-T/p/x.ld -Wl,-T,/p/link.ld -Tdefmt.x --nmagic -nmagic -n \
     -nostartfiles -nostdlib -nodefaultlibs -static -static-pie -pie -no-pie -pthread \
     -static-libgcc -static-libstdc++ -shared -m32 -m64 -mthumb -march=armv7-a -mcpu=cortex-m4 \
     -mfloat-abi=hard -fsanitize=address -fno-sanitize=all -fPIC -fopenmp -lz -l:libz.a -lstdc++ \
     -ltorch -L/p/x -L -l -L/opt/homebrew/lib /p/x.o /p/libx.a libx.so /usr/lib/crti.o x.obj \
     x.lib x.def x.res -Wl,--format=binary -Xlinker --gc-sections -Wl,--orphan-handling=warn \
     -Wl,--print-memory-usage -Wl,--no-eh-frame-hdr -Wl,--compress-debug-sections=zlib \
     -Wl,--threads=1 -Wl,--no-rosegment",
    // Apple
    "-framework CoreFoundation -Wl,-framework,Security -weak_framework -F/usr/x -Wl,-dead_strip \
     -undefined dynamic_lookup -Wl,-undefined,dynamic_lookup -install_name \
     -Wl,-install_name,libx.dylib -Wl,-current_version,1.0 -Wl,-compatibility_version,1 \
     -Wl,-exported_symbols_list,/p/x -ObjC -Wl,-all_load -Wl,-force_load,/p/libx.a \
     -mmacosx-version-min=10.12 -arch x86_64 -headerpad_max_install_names \
     -Wl,-headerpad_max_install_names -Wl,-ld_classic -sectcreate",
    // Windows
    "/SUBSYSTEM:WINDOWS /ENTRY:mainCRTStartup /STACK:8388608 /DEF:x.def /EXPORT:x /NODEFAULTLIB \
     /DELAYLOAD:x.dll /MANIFEST:EMBED /MANIFESTINPUT:x.manifest /guard:cf /OPT:REF \
     -Wl,--subsystem,windows -mwindows -Wl,--stack,8388608 -Wl,--kill-at -Wl,--export-all-symbols \
     /WX /DEBUG /FORCE:MULTIPLE",
    // WebAssembly
    "--export=x --export-all --no-entry --allow-undefined --import-memory --initial-memory=65536 \
     -zstack-size=1048576 --stack-first --shared-memory --max-memory=65536 --export-table",
];

#[test]
fn what_packages_need_passes() {
    let withheld: Vec<&str> =
        words(HARMLESS).into_iter().filter(|argument| decide(argument).is_err()).collect();
    assert_eq!(withheld, [""; 0]);
    assert_eq!(decide("/manifestdependency:type='win32' name='A.B' version='6.0.0.0'"), Ok(()));
}

/// Words to put between: they pass, in any order.
fn harmless_words() -> impl Strategy<Value = Vec<String>> {
    let words: Vec<&str> = words(HARMLESS)
        .into_iter()
        .flat_map(|argument| argument.strip_prefix("-Wl,").unwrap_or(argument).split(','))
        .collect();
    prop::collection::vec(select(words).prop_map(str::to_owned), 0..4)
}

/// A dangerous word, however the linker or driver may be spoken to.
fn dangerous_words() -> impl Strategy<Value = String> {
    prop_oneof![
        select(words(DANGEROUS)).prop_map(str::to_owned),
        "@[a-z/]{0,5}",
        select(words(DANGEROUS)).prop_map(|option| format!("{option}=/p/x")),
    ]
}

const PREFIXES: [&str; 7] =
    ["-Wl,", "-Wl,,", "-Xlinker ", "-Xlinker=", "-Xlinker,", "-Wl,-Wl,", "--for-linker="];
const SEPARATORS: [char; 10] =
    ['\0', '\t', '\n', '\r', '\u{b}', '\u{c}', '\u{1b}', '\u{85}', '\'', '"'];

proptest! {
    #[test]
    fn no_disguise_makes_a_withheld_option_pass(
        word in dangerous_words(),
        before in harmless_words(),
        after in harmless_words(),
        prefix in select(PREFIXES.to_vec()),
    ) {
        // What the linker alone reads is no danger there.
        prop_assume!(!["-x", "-V"].contains(&word.as_str()));
        // A word that another takes for its value is none that begins with a dash.
        let all: Vec<String> = before.into_iter().chain([word.clone()]).chain(after).collect();
        let argument = format!("{prefix}{}", all.join(","));
        prop_assert!(decide(&argument).is_err(), "{}", argument);
        let alone = format!("{prefix}{word}");
        prop_assert!(decide(&alone).is_err());
        prop_assert!(decide(&word).is_err());
    }

    /// Each argument is judged as if it stood alone, so no other can make it pass, and what stands
    /// behind a comma is judged no more kindly than by itself, but for what the linker alone reads and
    /// for text behind an option that takes it.
    #[test]
    fn a_group_passes_only_if_its_options_do(words in prop::collection::vec("-{0,2}[a-zA-Z@=/.]{0,12}", 1..5)) {
        let group = format!("-Wl,{}", words.join(","));
        if decide(&group).is_ok() {
            for word in words.iter().filter(|word| word.starts_with(['-', '@'])) {
                let alone = format!("-Wl,{word}");
                prop_assert_eq!(decide(&alone), Ok(()));
            }
        }
    }

    #[test]
    fn no_separator_passes(before in "[ -~]{0,8}", separator in select(SEPARATORS.to_vec()), after in "[ -~]{0,8}") {
        prop_assert_eq!(decide(&format!("{before}{separator}{after}")), Err(Refusal::Separator));
    }

    #[test]
    fn nothing_panics(argument in "\\PC{0,20}") {
        drop(decide(&argument));
    }
}
