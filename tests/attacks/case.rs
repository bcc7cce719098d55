//! A case: one attack, what it reaches without the jail, and who stops it.

use std::fmt;

/// A built-in policy.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Policy {
    Default,
    Strict,
    Farm,
    Permissive,
}

impl Policy {
    pub(crate) const ALL: [Self; 4] = [Self::Default, Self::Strict, Self::Farm, Self::Permissive];

    /// Its name on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Strict => "strict",
            Self::Farm => "farm",
            Self::Permissive => "permissive",
        }
    }
}

/// What a bystander listens on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Listener {
    Tcp,
    Udp,
    Netlink,
    /// Unix sockets, by paths in the case's directory outside.
    Stream,
    Datagram,
    /// Unix sockets in the abstract name space.
    AbstractStream,
    AbstractDatagram,
    /// The one to which the socket leads that Cargo was given.
    Inherited,
}

/// What can be seen outside of the jail when an attack has succeeded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Effect {
    /// Something in the case's own directory outside is another than before.
    Changes,
    /// Something in the case's package is.
    ChangesPackage,
    /// A file outside of the case's `OUT_DIR` says who owns it.
    Plants,
    /// A file with the case's name is in this directory.
    Appears(&'static str),
    /// A device node is in `OUT_DIR`.
    MakesDevice,
    /// A file that was inherited is of another length, or mode.
    ChangesShared(&'static str),
    /// The case's secret is in `OUT_DIR`.
    Leaks,
    /// A bystander has ended or stopped, had a signal, or runs in another way.
    Disturbs,
    /// A process of the script's runs when Cargo has ended.
    Survives,
    /// Somebody was called.
    Receives(Listener),
    /// This is left in the kernel, as the inspector names it.
    Leaves(&'static str),
    /// The terminal has got input that nobody typed.
    Types,
    /// The terminal has displayed it.
    Displays,
    /// The terminal's line says this now.
    Sets(&'static str),
    /// Cargo has shown an escape sequence.
    Escapes,
    /// Cargo, or who ran beside it, has ended by a signal or stopped.
    Ends,
    /// Cargo waited for somebody who outlived the script.
    Holds,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Changes => "a file or directory outside is changed",
            Self::ChangesPackage => "the package is changed",
            Self::Plants => "a file outside has its text",
            Self::Appears(directory) => return write!(f, "a file is in `{directory}`"),
            Self::MakesDevice => "a device node is made",
            Self::ChangesShared(_) => "an inherited file is changed",
            Self::Leaks => "a secret is known",
            Self::Disturbs => "another process ends, stops, gets a signal or runs differently",
            Self::Survives => "a process runs after the build",
            Self::Receives(Listener::Tcp) => "a TCP server is called",
            Self::Receives(Listener::Udp | Listener::Inherited) => "a UDP server gets a datagram",
            Self::Receives(Listener::Netlink) => "a netlink socket gets a message",
            Self::Receives(Listener::Stream) => "a Unix socket's server is called",
            Self::Receives(Listener::Datagram) => "a Unix socket gets a datagram",
            Self::Receives(Listener::AbstractStream) => "an abstract socket's server is called",
            Self::Receives(Listener::AbstractDatagram) => "an abstract socket gets a datagram",
            Self::Leaves(what) => return write!(f, "the kernel keeps it: {what}"),
            Self::Types => "the terminal has input that nobody typed",
            Self::Displays => "the terminal displays it",
            Self::Sets(_) => "the terminal is set differently",
            Self::Escapes => "the terminal obeys an escape sequence",
            Self::Ends => "Cargo or who runs beside it ends or stops",
            Self::Holds => "Cargo waits for who outlives the script",
        })
    }
}

/// By whom an attack can be tried at all.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Who {
    Anybody,
    Root,
    /// An ordinary user, when root has prepared it.
    OrdinaryUser,
}

/// One attack.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    /// Its name: of the function that tries it, and of its package.
    pub(crate) name: &'static str,
    pub(crate) effect: Effect,
    /// Who stops it, as the design has it.
    pub(crate) stopped_by: &'static str,
    /// The policies that promise so.
    pub(crate) promised: &'static [Policy],
    pub(crate) who: Who,
    /// Whether a process stands by that the attack is told of.
    pub(crate) beside: bool,
    /// Whether a program is linked from its package.
    pub(crate) links: bool,
}

/// An attack that every policy stops.
pub(crate) const fn case(name: &'static str, effect: Effect, stopped_by: &'static str) -> Case {
    Case {
        name,
        effect,
        stopped_by,
        promised: &Policy::ALL,
        who: Who::Anybody,
        beside: matches!(effect, Effect::Disturbs),
        links: false,
    }
}

impl Case {
    /// `permissive` promises nothing of it.
    pub(crate) const fn not_if_permissive(self) -> Self {
        Self { promised: &[Policy::Default, Policy::Strict, Policy::Farm], ..self }
    }

    /// Only those policies that hide what nothing gives.
    pub(crate) const fn if_hidden(self) -> Self {
        Self { promised: &[Policy::Strict, Policy::Farm], ..self }
    }

    pub(crate) const fn by_root(self) -> Self {
        Self { who: Who::Root, ..self }
    }

    pub(crate) const fn by_an_ordinary_user(self) -> Self {
        Self { who: Who::OrdinaryUser, ..self }
    }

    pub(crate) const fn beside_a_process(self) -> Self {
        Self { beside: true, ..self }
    }

    pub(crate) const fn linked(self) -> Self {
        Self { links: true, ..self }
    }
}

/// Landlock judges each path when it is opened or its name is changed.
pub(crate) const LANDLOCK: &str = "Landlock";
/// Landlock's scopes: signals and abstract sockets that leave the jail.
pub(crate) const SCOPE: &str = "Landlock's scope";
/// Landlock lets nobody trace a process outside, nor open what only a tracer may.
pub(crate) const TRACE: &str = "Landlock (tracing)";
/// The filter refuses the call, or these arguments of it.
pub(crate) const SECCOMP: &str = "seccomp";
/// The warden does it in the script's stead, inside the jail only.
pub(crate) const WARDEN: &str = "warden";
/// What the script is started with, and what becomes of it.
pub(crate) const SUPERVISOR: &str = "supervisor";
/// What of the output goes on to Cargo.
pub(crate) const RELAY: &str = "relay";
/// Capabilities are dropped before the script starts, and it gets none by a program.
pub(crate) const CAPABILITIES: &str = "no capabilities";
/// The environment that the policy resolved.
pub(crate) const ENVIRONMENT: &str = "environment";
/// The script has a session of its own, without a terminal.
pub(crate) const SESSION: &str = "own session";
