//! Attacks that tell somebody outside.

use crate::case::{Case, Effect, Listener, SECCOMP, case};

pub(crate) const CASES: &[Case] = &[
    case("tcp", Effect::Receives(Listener::Tcp), SECCOMP).not_if_permissive(),
    case("tcp_over_ipv6", Effect::Receives(Listener::Tcp), SECCOMP).not_if_permissive(),
    case("multipath_tcp", Effect::Receives(Listener::Tcp), SECCOMP).not_if_permissive(),
    case("tcp_fast_open", Effect::Receives(Listener::Tcp), SECCOMP).not_if_permissive(),
    case("tcp_fast_open_by_an_option", Effect::Receives(Listener::Tcp), SECCOMP)
        .not_if_permissive(),
    case("tcp_without_blocking", Effect::Receives(Listener::Tcp), SECCOMP).not_if_permissive(),
    case("tcp_by_a_shell", Effect::Receives(Listener::Tcp), SECCOMP).not_if_permissive(),
    case("udp", Effect::Receives(Listener::Udp), SECCOMP).not_if_permissive(),
    case("udp_connected", Effect::Receives(Listener::Udp), SECCOMP).not_if_permissive(),
    case("udp_over_ipv6", Effect::Receives(Listener::Udp), SECCOMP).not_if_permissive(),
    case("udp_by_sendmsg", Effect::Receives(Listener::Udp), SECCOMP).not_if_permissive(),
    case("udp_by_sendmmsg", Effect::Receives(Listener::Udp), SECCOMP).not_if_permissive(),
    case("udp_with_odd_flags", Effect::Receives(Listener::Udp), SECCOMP).not_if_permissive(),
    case("raw_ip", Effect::Receives(Listener::Udp), SECCOMP).by_root().not_if_permissive(),
    case("netlink", Effect::Receives(Listener::Netlink), SECCOMP).not_if_permissive(),
    case("unix_stream", Effect::Receives(Listener::Stream), SECCOMP).not_if_permissive(),
    case("unix_datagram", Effect::Receives(Listener::Datagram), SECCOMP).not_if_permissive(),
    case("unix_datagram_connected", Effect::Receives(Listener::Datagram), SECCOMP)
        .not_if_permissive(),
    case("unix_datagram_by_sendmsg", Effect::Receives(Listener::Datagram), SECCOMP)
        .not_if_permissive(),
    case("unix_datagram_from_a_pair", Effect::Receives(Listener::Datagram), SECCOMP)
        .not_if_permissive(),
    case("unix_datagram_from_a_raw_pair", Effect::Receives(Listener::Datagram), SECCOMP)
        .not_if_permissive(),
    case("unix_connect_again_from_a_pair", Effect::Receives(Listener::Datagram), SECCOMP)
        .not_if_permissive(),
    case("unix_stream_through_a_link", Effect::Receives(Listener::Stream), SECCOMP)
        .not_if_permissive(),
    case("unix_stream_by_descriptor", Effect::Receives(Listener::Stream), SECCOMP)
        .not_if_permissive(),
    case("abstract_stream", Effect::Receives(Listener::AbstractStream), SECCOMP)
        .not_if_permissive(),
    case("abstract_datagram", Effect::Receives(Listener::AbstractDatagram), SECCOMP)
        .not_if_permissive(),
    case("abstract_datagram_from_a_pair", Effect::Receives(Listener::AbstractDatagram), SECCOMP)
        .not_if_permissive(),
    case("pass_a_descriptor", Effect::Receives(Listener::Stream), SECCOMP).not_if_permissive(),
    case("udp_by_a_ring", Effect::Receives(Listener::Udp), SECCOMP),
    case("write_by_a_ring", Effect::Changes, SECCOMP),
    case("read_by_a_ring", Effect::Leaks, SECCOMP),
];
