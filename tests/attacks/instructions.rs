//! Attacks by what a script prints.

use crate::case::{Case, Effect, RELAY, case};

pub(crate) const CASES: &[Case] = &[
    case("preload_a_library", Effect::Changes, RELAY).not_if_permissive().linked(),
    case("audit_by_a_library", Effect::Changes, RELAY).not_if_permissive().linked(),
    case("another_compiler_in_path", Effect::Changes, RELAY).not_if_permissive().linked(),
    case("another_linker_by_compiler_path", Effect::Changes, RELAY).not_if_permissive().linked(),
    case("another_symbolizer_for_a_crash", Effect::Changes, RELAY).not_if_permissive().linked(),
    case("log_into_a_file", Effect::Changes, RELAY).not_if_permissive().linked(),
    case("argument_file_as_library_directory", Effect::Changes, RELAY).not_if_permissive().linked(),
    case("argument_file_as_flag", Effect::Changes, RELAY).not_if_permissive().linked(),
    case("argument_file_as_condition", Effect::Changes, RELAY).not_if_permissive().linked(),
    case("wrap_the_linker", Effect::Changes, RELAY).not_if_permissive().linked(),
    case("another_linker_by_prefix", Effect::Changes, RELAY).not_if_permissive().linked(),
    case("another_linker_by_specs", Effect::Changes, RELAY).not_if_permissive().linked(),
    case("linkers_plugin", Effect::Changes, RELAY).not_if_permissive().linked(),
    case("linkers_plugin_in_disguise", Effect::Changes, RELAY).not_if_permissive().linked(),
    case("linkers_map", Effect::Changes, RELAY).not_if_permissive().linked(),
    case("escape_in_a_warning", Effect::Escapes, RELAY),
    case("escape_in_an_error", Effect::Escapes, RELAY),
    case("escape_in_what_a_failure_shows", Effect::Escapes, RELAY),
    case("escape_of_one_byte_in_what_a_failure_shows", Effect::Escapes, RELAY),
];
