//! What the preloaded library and the warden have agreed on: both ends include this file.
//!
//! The library keeps the names that were asked for in a book in its own memory. It tells the warden
//! once per process where that is, by a system call that no kernel has; without a jail that fails,
//! and nothing comes of it. The warden reads the book when the process is about to end or to execute
//! another program. What stands there was written by the script, if the script wants: bytes, bounded,
//! believed as far as a record of what a script asked for can be.

/// The number of the system call: no kernel has it, and it is none of x32's (bit 30). Its arguments
/// are the book's address, [`SIZE`] and [`VERSION`].
pub const NUMBER: u32 = 0x6272_6967 & 0x3fff_ffff;
/// The number of a second one, by which the library asks for a real path: arguments are the path's
/// address, that of the space for it, and [`PATH_MAX`]. It fails as realpath(3) does, and with
/// `ENOSYS` where the C library has to find the path itself.
pub const REAL_PATH: u32 = NUMBER + 1;
/// The longest path, its NUL included (limits.h).
pub const PATH_MAX: usize = 4096;
/// Of the layout below.
pub const VERSION: u64 = 1;
/// The library's file name, by which it knows itself in `LD_PRELOAD`.
pub const FILE_NAME: &str = "libcargo_brig_asked.so";

/// A hash table: 16-bit places in the text, 0 where there is none. A place is written when its name
/// is complete.
pub const SLOTS: usize = 2048;
/// So many names at most.
pub const NAMES: u32 = 1000;
/// So many bytes of a name at most.
pub const LONGEST: usize = 255;
/// Where the header is: `u32`s in the order of the following indices, then nothing.
pub const HEADER: usize = 2 * SLOTS;
/// How many bytes of the text are in use.
pub const USED: usize = 0;
/// How many names there are.
pub const COUNT: usize = 1;
/// Not 0 if there was a name for which there was no space.
pub const OVERFLOW: usize = 2;
/// Not 0 if the warden was told.
pub const TOLD: usize = 3;
/// Where the text is: names, each ended by a NUL. A place in it is counted from 1.
pub const TEXT: usize = HEADER + 64;
/// The text's length in bytes: places have 16 bits.
pub const TEXT_SIZE: usize = SIZE - TEXT;
/// The whole book, in bytes: whole pages.
pub const SIZE: usize = 17 * 4096;

const _: () = assert!(TEXT_SIZE < u16::MAX as usize);

/// The table of what is known of absolute paths, in 64-bit words: a header, a hash table, and a text.
///
/// Only the warden writes it, and only adds to it: first a path to the text, then its place to the hash
/// table. When something of it may have changed, the whole table is closed for good.
pub mod known {
    /// What the library opens to read the table: the warden gives it as a file of [`SIZE`] bytes, or says
    /// `ENOENT` as long as there is none. Without a jail that is `ENOTDIR`. Not a call of its own, as the
    /// others above: a program that has forbidden itself most calls may still open files.
    pub const PATH: &core::ffi::CStr = c"/dev/null/cargo-brig/known";
    /// Not 0 if the table is closed.
    pub const CLOSED: usize = 0;
    /// It is for the reason that something has changed.
    pub const IS_PAST: u64 = 1;
    /// It is for the reason that a program has a filter of its own: what that forbids it is not ours to call.
    pub const IS_FORBIDDEN: u64 = 2;
    /// Where the hash table is.
    pub const SLOTS: usize = 8;
    /// So many slots it has. A slot is 0, or the upper half of a path's [`hash`] and, in its own lower half,
    /// the path's place in the text, counted from 1.
    pub const SLOT_COUNT: usize = 1 << 14;
    /// A path lies in one of so many slots, from that of its hash on.
    pub const PROBES: usize = 32;
    /// Where the text is. Of each path: its length in bytes in the lower half of a word, and what is known of it
    /// in the upper, to which more may be added; a word for the place of its status in the text, counted from
    /// 1; then its bytes, up to a whole word. A status is [`STATUS`] words as `statx`(2) fills them for [`MASK`].
    pub const TEXT: usize = SLOTS + SLOT_COUNT;
    /// The whole table, in bytes: whole pages of any size.
    pub const SIZE: usize = 18 << 16;

    /// The lower half of a slot.
    pub const PLACE: u64 = 0xffff_ffff;
    /// The lower half of such a word.
    pub const LENGTH: u64 = 0xffff_ffff;
    /// There is nothing to be read there, and somebody has tried to.
    pub const NOTHING_TO_READ: u64 = 1 << 32;
    /// There is nothing to be looked at, and somebody has tried to.
    pub const NOTHING_TO_LOOK_AT: u64 = 1 << 33;
    /// The path has no real path (realpath(3)), and somebody has asked for it.
    pub const NO_REAL_PATH: u64 = 1 << 34;
    /// It is its own real path, and somebody has asked for it.
    pub const IS_REAL_PATH: u64 = 1 << 35;
    /// There is nothing to be executed, and somebody has tried to.
    pub const NOTHING_TO_EXECUTE: u64 = 1 << 36;
    /// There is something that is no link, and somebody has looked at it: this is its status.
    pub const IS_THERE: u64 = 1 << 37;
    /// What is there may be read, as access(2) says it.
    pub const MAY_READ: u64 = 1 << 38;
    /// What is there may be executed, as access(2) says it.
    pub const MAY_EXECUTE: u64 = 1 << 39;
    /// How many words a status has (`struct statx`).
    pub const STATUS: usize = 32;
    /// What was asked for: all that there was when `statx`(2) came to be (`STATX_ALL`).
    pub const MASK: u32 = 0xfff;
    /// The hash of nothing (FNV-1a).
    pub const SEED: u64 = 0xcbf2_9ce4_8422_2325;

    /// The hash of one byte more.
    #[must_use]
    pub const fn hash(before: u64, byte: u8) -> u64 {
        (before ^ byte as u64).wrapping_mul(0x0100_0000_01b3)
    }
}
