//! Link arguments: which options of the linker driver and the linker only shape what is linked.
//!
//! rustc hands every `link-arg` to the linker driver, outside the jail. The manuals of gcc, clang,
//! GNU ld, gold, lld and mold have hundreds of options, and every release has new ones that load
//! code, execute a program or write a file (`-error-handling-script`, `--reproduce`, mold's `-run`):
//! so an option passes only if it is listed here, and a word that is no option passes only as an input
//! file that the linker does not compile and that the script could have read itself.
//!
//! Each word is judged as if it stood alone, because Cargo sets one argument behind another from
//! several keys and nobody can tell here what stands before it. An option whose value is the next
//! word is listed only if any word that passes is harmless as its value, and an option is listed for the
//! driver only if it is harmless where the linker reads it (behind `-Xlinker`), too.
//!
//! Deliberately withheld although there are honest uses, which a policy has to allow: a source file
//! (the driver would compile it outside the jail, where its `#include`, `.incbin` or precompiled
//! header is read by a compiler that may read everything; a script can compile it itself), a map file,
//! the choice of a linker or of a root directory (clang looks for programs in it), `-flto`
//! (gcc then runs `make`), Emscripten's `-sNAME=VALUE`, and words that begin with `@`, among them
//! Apple's `@rpath` behind a comma, because GNU tools take them for argument files.

use std::path::{Component, Path};

use thiserror::Error;

/// Why a link argument is withheld.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// rustc escapes nothing but blanks and backslashes in the file by which it hands long command
    /// lines to the driver (`rustc_codegen_ssa/src/back/command.rs`), and the driver reads quotes and
    /// white space in it (libiberty, `buildargv`).
    #[error(
        "a quote or control character in it joins or separates arguments in the file by which rustc \
         hands long command lines to the linker driver"
    )]
    Separator,
    /// An argument file, whose content nobody judged.
    #[error("`{0}` is an argument file to the linker driver, which can name any option")]
    ArgumentFile(String),
    /// A source file.
    #[error(
        "`{0}` is a source file to the linker driver, which would compile it outside the jail: \
         the script has to compile it"
    )]
    Source(String),
    /// A file that the script may not read, or a path that leads who knows where.
    #[error("`{0}` is no file that the script may read, and the linker would read it in its stead")]
    Unreadable(String),
    /// An option that is not listed.
    #[error(
        "`{0}` is not among the options known to shape only what is linked: others load code, execute \
         a program or write a file outside the jail"
    )]
    Unlisted(String),
}

/// Whether one of a table's lists, in which blanks separate the names, holds a name.
fn has(table: &[&str], name: &str) -> bool {
    table.iter().flat_map(|list| list.split(' ')).any(|listed| listed == name)
}

/// Options without a value, with one dash or two. Single letters have one dash.
const FLAGS: &[&str] = &[
    // gcc(1), "Link Options"; clang, "Linker options".
    "static static-pie static-libgcc static-libstdc++ static-libasan static-libubsan \
     static-libgfortran shared-libgcc shared pie no-pie nopie rdynamic pthread nostartfiles \
     nostdlib nostdlib++ nodefaultlibs nolibc no_pie symbolic dynamiclib bundle coverage mwindows \
     mconsole municode mthreads mdll m16 m32 m64 mx32 mthumb marm mrelax mno-relax mlongcalls msoft-float \
     mhard-float mbig-endian mlittle-endian mfix-cortex-m3-ldrd mrestrict-it fPIC fpic fPIE fpie \
     fopenmp fexceptions ffreestanding fstack-protector fstack-protector-strong \
     fstack-protector-all fvisibility-inlines-hidden fcommon ffunction-sections fdata-sections \
     fblocks fobjc-arc Qunused-arguments w v s Wall Wextra Werror Xlinker g g0 g1 g2 g3 ggdb \
     gdwarf r N n q t",
    // ld(1); the manuals of lld and mold have the same names.
    "accept-unknown-input-arch add-needed allow-multiple-definition allow-shlib-undefined \
     apply-dynamic-relocs as-needed be8 call_shared check-sections color-diagnostics \
     copy-dt-needed-entries cref ctors-in-init-array default-imported-symver default-symver \
     define-common demangle detect-odr-violations disable-new-dtags discard-all discard-locals \
     discard-none dn dy dynamic-list-cpp-new dynamic-list-cpp-typeinfo dynamic-list-data \
     eh-frame-hdr emit-relocs enable-new-dtags enable-non-contiguous-regions end-group end-lib \
     export-dynamic fatal-warnings fix-cortex-a53-835769 fix-cortex-a53-843419 fix-cortex-a8 \
     force-exe-suffix gc-sections gdb-index ld-generated-unwind-info long-plt merge-exidx-entries \
     nmagic non_shared noinhibit-exec omagic pic-executable pop-state print-gc-sections \
     print-icf-sections print-map print-memory-usage push-state reduce-memory-overheads relax \
     relocatable rosegment sort-common start-group start-lib stats strip-all strip-debug threads \
     toc-optimize trace undefined-version verbose warn-alternate-em warn-backrefs warn-common \
     warn-constructors warn-execstack warn-ifunc-textrel warn-multiple-gp warn-once \
     warn-rwx-segments warn-section-align warn-shared-textrel warn-symbol-ordering warn-textrel \
     warn-unresolved-symbols whole-archive x86-plt",
    // ld(1), "Options Specific to i386 PE Targets".
    "add-stdcall-alias disable-auto-image-base disable-auto-import disable-dynamicbase \
     disable-long-section-names disable-nxcompat disable-runtime-pseudo-reloc \
     disable-stdcall-fixup dll dynamicbase enable-auto-image-base enable-auto-import \
     enable-extra-pe-debug enable-long-section-names enable-runtime-pseudo-reloc \
     enable-runtime-pseudo-reloc-v2 enable-stdcall-fixup exclude-all-symbols export-all-symbols \
     forceinteg high-entropy-va insert-timestamp kill-at large-address-aware nxcompat tsaware \
     wdmdriver",
    // wasm-ld
    "allow-undefined emit-relocs export-all export-memory export-table growable-table \
     import-memory import-table import-undefined shared-memory stack-first",
    // ld(1) of Apple
    "ObjC all_load allow_dead_duplicates application_extension bind_at_load dead_strip \
     dead_strip_dylibs dylib export_dynamic headerpad_max_install_names ld_classic ld_new \
     mark_dead_strippable_dylib no_compact_unwind no_fixup_chains no_uuid \
     no_warn_duplicate_libraries noall_load no_application_extension no_deduplicate \
     search_dylibs_first search_paths_first twolevel_namespace flat_namespace \
     keep_private_externs",
];

/// What the linker alone reads: a driver takes `-Bstatic` for a directory `static` of programs,
/// `-S` and `-E` for the wish to compile, `-x` for a language.
const LINKER_FLAGS: &[&str] =
    &["Bstatic Bdynamic Bgroup Bno-symbolic Bshareable Bsymbolic Bsymbolic-functions \
     Bsymbolic-non-weak Bsymbolic-non-weak-functions E EB EL S X x i d dc dp M V ( ) g Ur qmagic \
     Qy"];

/// Options with a value: behind `=`, or the next word.
const VALUES: &[&str] = &[
    // gcc, clang
    "march mcpu mtune mfpu mfloat-abi mabi mcmodel mmacosx-version-min mmacos-version-min \
     miphoneos-version-min mios-version-min mios-simulator-version-min mtvos-version-min \
     mwatchos-version-min fsanitize fno-sanitize fvisibility fopenmp stdlib rtlib unwindlib std \
     arch z u e l L",
    // ld, lld, mold
    "audit auxiliary base-address build-id compress-debug-sections compress-sections \
     default-symver defsym demangle depaudit dynamic-linker enable-gdb-index entry error-limit \
     exclude-libs color-diagnostics export export-dynamic-symbol export-if-defined filter fini \
     format hash-style icf ignore-unresolved-symbol image-base init keep-unique library \
     library-path optimize oformat orphan-handling pack-dyn-relocs pack-relative-relocs \
     physical-address require-defined rpath rpath-link runpath section-start shuffle-sections \
     soname sort-section spare-dynamic-tags split-stack-adjust-size stack start-stop-visibility \
     target2 Tbss Tdata Ttext Trodata-segment Ttext-segment Tldata-segment thread-count threads \
     trace-symbol undefined undefined-glob unresolved-symbols version-exports-section wrap \
     max-page-size common-page-size",
    // PE
    "file-alignment section-alignment heap major-image-version minor-image-version \
     major-os-version minor-os-version major-subsystem-version minor-subsystem-version subsystem \
     exclude-symbols delayload",
    // wasm-ld
    "extra-features features global-base initial-heap initial-memory max-memory table-base",
    // Apple
    "alias compatibility_version current_version exported_symbol framework headerpad install_name \
     macos_version_min macosx_version_min needed_framework pagezero_size platform_version \
     reexport_framework segalign segprot stack_size sub_library sub_umbrella umbrella undefined \
     unexported_symbol weak_framework image_base",
];

/// Options whose value is a file or directory that is read: behind `=`, or the next word.
const FILES: &[&str] =
    &["T script version-script dynamic-list export-dynamic-symbol-list just-symbols \
     retain-symbols-file symbol-ordering-file call-graph-ordering-file section-ordering-file \
     allow-undefined-file exported_symbols_list unexported_symbols_list order_file force_load \
     load_hidden needed_library weak_library reexport_library sectcreate F remap-inputs-file \
     default-script in-implib"];

/// What the linker alone reads, with a value that is the next word.
const LINKER_VALUES: &[&str] = &["h m G I R b y Y a f"];

/// What the value of an option is joined to, or a group of options begins with. `-u` and `-e` also
/// begin long names (`-error-handling-script`), so what follows them must look like a symbol.
const JOINED: &[&str] = &["l", "L", "z", "O", "u_", "e_", "fno-", "Wno-", "weak-l", "needed-l"];
/// The same, of what the linker alone reads. Not `-m` alone: `-mllvm` hands its value to LLVM.
const LINKER_JOINED: &[&str] = &["h", "y", "melf", "maarch64", "marmelf", "mi386"];
/// A linker takes one dash for two: these are not `-l` with a library.
const NO_LIBRARIES: &[&str] = &["load", "lto-"];

/// link.exe and lld-link, `/NAME` or `/NAME:VALUE`, in any case of letters.
const MSVC: &[&str] =
    &["ALIGN ALLOWISOLATION APPCONTAINER BASE CETCOMPAT CLRIMAGETYPE DEBUG DEBUGTYPE DEFAULTLIB \
     DELAY DELAYLOAD DELAYSIGN DEPENDENTLOADFLAG DLL DRIVER DYNAMICBASE EMITPOGOPHASEINFO ENTRY \
     ERRORREPORT EXPORT FILEALIGN FIXED FORCE FUNCTIONPADMIN GUARD GUARDSYM HEAP HIGHENTROPYVA \
     IGNORE INCLUDE INCREMENTAL INTEGRITYCHECK LARGEADDRESSAWARE MACHINE MERGE NOASSEMBLY \
     MANIFEST MANIFESTDEPENDENCY MANIFESTUAC NODEFAULTLIB NOENTRY NOIMPLIB NOLOGO NXCOMPAT OPT \
     OSVERSION RELEASE SAFESEH SECTION STACK SUBSYSTEM SWAPRUN TLBID TSAWARE VERBOSE VERSION \
     WHOLEARCHIVE WINMD WX"];
/// The same, with the value being a file or directory.
const MSVC_FILES: &[&str] = &["DEF LIBPATH MANIFESTINPUT NATVIS ORDER SOURCELINK"];

/// What gcc(1) and clang compile by a file's name, "Overall Options"; further languages of both.
const SOURCES: &[&str] =
    &["c i ii m mi mm M mii h cc cp cxx cpp CPP c++ C H hh hp hxx hpp HPP h++ tcc cppm ccm cxxm \
     c++m ixx f for ftn F FOR fpp FPP FTN f90 f95 f03 f08 F90 F95 F03 F08 go brig d di dd ads adb \
     s S sx asm rs mod m2i mm2 cob cbl cpy COB CBL a68 cl clcpp cu cui cuh hip hipi rsh ll bc pcm \
     pch gch ast ifs hlsl cir swift zig"];

/// Tells whether the script may read what an absolute path leads to.
pub type MayRead<'a> = &'a dyn Fn(&Path) -> bool;

/// Judges one link argument as if it stood alone.
///
/// # Errors
/// Why it is withheld.
pub fn judge(argument: &str, may_read: MayRead<'_>) -> Result<(), Refusal> {
    if argument.chars().any(char::is_control) || !quotes_are_harmless(argument) {
        return Err(Refusal::Separator);
    }
    let Some(words) = argument.strip_prefix("-Wl,") else {
        return Reader::Driver.judge(argument, may_read);
    };
    let mut words = words.split(',');
    while let Some(word) = words.next() {
        Reader::Linker.judge(word, may_read)?;
        // The directory of a `-rpath` is nothing that the linker reads.
        if takes_text(word)
            && let Some(value) = words.clone().next()
            && !value.starts_with(['-', '@'])
        {
            words.next();
        }
    }
    Ok(())
}

/// Whether a reader of an argument file finds the same argument. Quotes that are closed where they were
/// opened join nothing, but they vanish, so what they may stand in must be harmless without them; link.exe
/// needs them in one option.
fn quotes_are_harmless(argument: &str) -> bool {
    const QUOTED: &str = "/MANIFESTDEPENDENCY:";
    let mut open = None;
    for letter in argument.chars().filter(|letter| matches!(letter, '\'' | '"')) {
        match open {
            None => open = Some(letter),
            Some(quote) if quote == letter => open = None,
            Some(_) => {}
        }
    }
    let start = argument.get(..QUOTED.len());
    !argument.contains(['\'', '"'])
        || open.is_none() && start.is_some_and(|start| start.eq_ignore_ascii_case(QUOTED))
}

/// Whether the next word is the value of this one, and names no file.
fn takes_text(word: &str) -> bool {
    let name = word.strip_prefix("--").or_else(|| word.strip_prefix('-')).unwrap_or_default();
    has(VALUES, name) || has(LINKER_VALUES, name)
}

/// Who reads a word.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reader {
    /// gcc or clang; or the linker, if it is called directly or `-Xlinker` stands before the word.
    Driver,
    /// The linker, for certain.
    Linker,
}

impl Reader {
    fn judge(self, word: &str, may_read: MayRead<'_>) -> Result<(), Refusal> {
        if word.starts_with('@') {
            return Err(Refusal::ArgumentFile(word.to_owned()));
        }
        if let Some(option) = word.strip_prefix('-') {
            return self.option(word, option, may_read);
        }
        if let Some(option) = word.strip_prefix('/')
            && let Some(judged) = msvc_option(option, may_read)
        {
            return judged;
        }
        let extension = Path::new(word).extension().and_then(|extension| extension.to_str());
        if self == Self::Driver && extension.is_some_and(|name| has(SOURCES, name)) {
            return Err(Refusal::Source(word.to_owned()));
        }
        file(word, may_read)
    }

    /// `option` is `word` without its first dash.
    fn option(self, word: &str, option: &str, may_read: MayRead<'_>) -> Result<(), Refusal> {
        let (dashes, option) = match option.strip_prefix('-') {
            Some(option) => (2, option),
            None => (1, option),
        };
        let (name, value) = match option.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (option, None),
        };
        let is_of_linker = |names: &[&str]| self == Self::Linker && has(names, name);
        // Two dashes and a letter abbreviate many names; one dash and `o…` name an output file.
        let is_name =
            if name.len() == 1 { dashes == 1 } else { dashes == 2 || !name.starts_with('o') };
        if is_name {
            if has(FILES, name) {
                return value.map_or(Ok(()), |value| file(value, may_read));
            }
            let negated =
                name.strip_prefix("no-").is_some_and(|name| has(FLAGS, name) || has(VALUES, name));
            let is_flag = has(FLAGS, name) || negated || is_of_linker(LINKER_FLAGS);
            let has_value = has(VALUES, name) || is_of_linker(LINKER_VALUES);
            if has_value || is_flag && value.is_none() {
                return Ok(());
            }
        }
        if dashes == 1 {
            if let Some(path) = option.strip_prefix(['T', 'F']) {
                return file(path, may_read);
            }
            let begins = |with: &[&str]| with.iter().any(|with| option.starts_with(with));
            let is_joined = begins(JOINED) || self == Self::Linker && begins(LINKER_JOINED);
            if is_joined && !begins(NO_LIBRARIES) {
                return Ok(());
            }
        }
        Err(Refusal::Unlisted(word.to_owned()))
    }
}

/// Judges `/NAME` or `/NAME:VALUE`, given without its slash; `None` if it must be a path.
fn msvc_option(option: &str, may_read: MayRead<'_>) -> Option<Result<(), Refusal>> {
    let (name, value) = option.split_once(':').unwrap_or((option, ""));
    let name = name.to_ascii_uppercase();
    if has(MSVC_FILES, &name) {
        return Some(file(value, may_read));
    }
    has(MSVC, &name).then_some(Ok(()))
}

/// Judges what may be a file: a linker reads relative paths in rustc's working directory, which is the
/// workspace's or the package's root.
fn file(word: &str, may_read: MayRead<'_>) -> Result<(), Refusal> {
    if word.starts_with("$ORIGIN") || word.starts_with("${ORIGIN}") {
        return Ok(());
    }
    // ld(1), `--sysroot`: a path that begins with `=` is below the root directory.
    let path = Path::new(word.strip_prefix('=').unwrap_or(word));
    let leads_up = path.components().any(|component| component == Component::ParentDir);
    if if path.is_absolute() { may_read(path) } else { !leads_up } {
        Ok(())
    } else {
        Err(Refusal::Unreadable(word.to_owned()))
    }
}

#[cfg(test)]
mod tests;
