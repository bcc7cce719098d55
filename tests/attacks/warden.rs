//! Attacks on the warden, and what they were for.

use crate::case::{Case, Effect, LANDLOCK, Listener, SECCOMP, case};

pub(crate) const CASES: &[Case] = &[
    case("bad_pointers", Effect::Changes, LANDLOCK),
    case("long_paths", Effect::Changes, LANDLOCK),
    case("path_at_the_end_of_memory", Effect::Changes, LANDLOCK),
    case("memory_that_comes_and_goes", Effect::Changes, LANDLOCK),
    case("signals_meanwhile", Effect::Changes, LANDLOCK),
    case("processes_that_die", Effect::Changes, LANDLOCK),
    case("threads_that_are_replaced", Effect::Changes, LANDLOCK),
    case("many_at_once", Effect::Changes, LANDLOCK),
    case("no_descriptor_left", Effect::Changes, LANDLOCK),
    case("filter_of_its_own", Effect::Changes, LANDLOCK),
    case("answers_itself", Effect::Changes, LANDLOCK),
    case("speaks_for_the_library", Effect::Changes, LANDLOCK),
    case("without_the_library", Effect::Changes, LANDLOCK),
    case("message_that_changes", Effect::Receives(Listener::Datagram), SECCOMP).not_if_permissive(),
];
