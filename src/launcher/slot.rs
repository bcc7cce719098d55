//! What the program of a launcher and the program that writes launchers have in common.

/// So long is the place for the path of cargo-brig, its NUL included: no path is longer (limits.h,
/// `PATH_MAX`).
pub const SIZE: usize = 4096;

/// What stands in that place until a path does.
pub const MARK: &[u8] = b"\x7fBRIG: the path of cargo-brig\n";

/// What cargo-brig finds as its own name when a launcher has executed it. Its first argument is then the
/// launcher's file, and the launcher's own arguments follow.
pub const NAME: &core::ffi::CStr = c"cargo-brig launcher";
