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
