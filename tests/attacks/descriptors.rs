//! Attacks by descriptors that somebody left open.

use crate::case::{Case, Effect, Listener, SUPERVISOR, case};

pub(crate) const CASES: &[Case] = &[
    case("write_to_an_inherited_file", Effect::Plants, SUPERVISOR),
    case("map_an_inherited_file", Effect::Plants, SUPERVISOR),
    case("copy_to_an_inherited_file", Effect::Plants, SUPERVISOR),
    case("splice_to_an_inherited_file", Effect::Plants, SUPERVISOR),
    case("reopen_an_inherited_file", Effect::Plants, SUPERVISOR),
    case("shorten_an_inherited_file", Effect::ChangesShared("shortened"), SUPERVISOR),
    case("create_in_an_inherited_directory", Effect::Plants, SUPERVISOR),
    case("enter_an_inherited_directory", Effect::Plants, SUPERVISOR),
    case("go_up_from_an_inherited_directory", Effect::Changes, SUPERVISOR),
    case("change_an_inherited_file", Effect::ChangesShared("mode"), SUPERVISOR),
    case("send_by_an_inherited_socket", Effect::Receives(Listener::Inherited), SUPERVISOR),
    case("write_to_every_descriptor", Effect::Plants, SUPERVISOR),
];
