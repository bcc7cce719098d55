//! Attacks by what the kernel has outside of every path.

use crate::case::{CAPABILITIES, Case, Effect, LANDLOCK, Listener, SCOPE, SECCOMP, case};

pub(crate) const CASES: &[Case] = &[
    case("leave_shared_memory", Effect::Leaves("shared memory"), SECCOMP),
    case("leave_a_queue", Effect::Leaves("queue"), SECCOMP),
    case("send_to_a_queue", Effect::Leaves("message"), SECCOMP),
    case("leave_semaphores", Effect::Leaves("semaphores"), SECCOMP),
    case("leave_a_posix_queue", Effect::Leaves("POSIX queue"), SECCOMP),
    case("leave_a_key", Effect::Leaves("key"), SECCOMP),
    case("read_shared_memory", Effect::Leaks, SECCOMP),
    case("read_key", Effect::Leaks, SECCOMP),
    case("watch_by_inotify", Effect::Leaks, SECCOMP).beside_a_process(),
    case("watch_by_fanotify", Effect::Leaks, SECCOMP).beside_a_process(),
    case("mount_in_a_namespace", Effect::Changes, SECCOMP).by_root(),
    case("mount_in_a_user_namespace", Effect::Changes, SECCOMP),
    case("mount_in_a_cloned_namespace", Effect::Changes, SECCOMP),
    case("mount_by_new_calls", Effect::Changes, SECCOMP),
    case("mount_by_clone3", Effect::Changes, SECCOMP),
    case("change_the_root", Effect::Changes, SECCOMP).by_root(),
    case("change_the_root_in_a_namespace", Effect::Changes, SECCOMP),
    case("enter_the_parents_namespace", Effect::Changes, SECCOMP).by_root(),
    case("become_another_user", Effect::Leaks, CAPABILITIES).by_root(),
    case("overrule_modes", Effect::Leaks, CAPABILITIES).by_root(),
    case("run_a_program_of_roots", Effect::Changes, CAPABILITIES).by_an_ordinary_user(),
    case("call_by_int80", Effect::Changes, SECCOMP),
    case("call_with_high_bits", Effect::Changes, LANDLOCK),
    case("make_a_datagram_pair_with_high_bits", Effect::Receives(Listener::Datagram), SECCOMP)
        .not_if_permissive(),
    case("signal_with_high_bits", Effect::Disturbs, SCOPE),
    case("limit_with_high_bits", Effect::Disturbs, SECCOMP),
];
