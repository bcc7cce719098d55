//! Attacks on the terminal in which Cargo was started.

use crate::case::{Case, Effect, LANDLOCK, SESSION, case};

pub(crate) const CASES: &[Case] = &[
    case("type_a_command", Effect::Types, SESSION).by_root(),
    case("type_a_command_with_high_bits", Effect::Types, SESSION).by_root(),
    case("type_a_command_by_path", Effect::Types, LANDLOCK).by_root(),
    case("type_a_command_by_an_output", Effect::Types, SESSION).by_root(),
    case("display_an_escape_sequence", Effect::Displays, SESSION),
    case("display_by_path", Effect::Displays, LANDLOCK),
    case("display_by_the_parents_descriptor", Effect::Displays, LANDLOCK),
    case("change_the_terminals_size", Effect::Sets("666 columns"), SESSION),
    case("change_the_terminals_settings", Effect::Sets("stops"), SESSION),
    case("read_what_is_typed", Effect::Leaks, SESSION).not_if_permissive(),
];
