//! Attacks that would disturb every other one, and so have a Cargo of their own.

use crate::case::{Case, Effect, LANDLOCK, SCOPE, SECCOMP, SUPERVISOR, case};

pub(crate) const CASES: &[Case] = &[
    case("kill_everybody", Effect::Ends, SCOPE),
    case("kill_the_group", Effect::Ends, SCOPE),
    case("stop_the_group", Effect::Ends, SCOPE),
    case("kill_the_parent", Effect::Ends, SCOPE),
    case("stop_the_parent", Effect::Ends, SCOPE),
    case("kill_each_by_number", Effect::Ends, SCOPE),
    case("kill_each_by_pidfd", Effect::Ends, SCOPE),
    case("write_everybodys_memory", Effect::Ends, LANDLOCK),
    case("trace_the_parent", Effect::Ends, SECCOMP),
    case("hold_the_build", Effect::Holds, SUPERVISOR),
];
