//! A file's status, in the form that stat(2) fills.

use super::protocol::known::STATUS;

/// How many words a `struct stat` has.
#[cfg(target_arch = "x86_64")]
pub const WORDS: usize = 18;
/// How many words a `struct stat` has.
#[cfg(target_arch = "aarch64")]
pub const WORDS: usize = 16;

/// A device's number as the kernel writes it there (`new_encode_dev` in its `include/linux/kdev_t.h`), of one whose
/// major number stands before its minor.
const fn device(numbers: u64) -> u64 {
    let (major, minor) = (numbers & 0xffff_ffff, numbers >> 32);
    (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12)
}

/// What stat(2) fills, of what `statx`(2) has filled.
pub fn of_statx(known: &[u64; STATUS]) -> [u64; WORDS] {
    // The kernel's `struct statx` (`include/uapi/linux/stat.h`), word by word.
    let (low, high) =
        (|index: usize| known[index] & 0xffff_ffff, |index: usize| known[index] >> 32);
    let block_size = high(0);
    let (links, user, group, mode) = (low(2), high(2), low(3), high(3) & 0xffff);
    let (inode, size, blocks) = (known[4], known[5], known[6]);
    // Of each time the seconds, and the nanoseconds in half a word; the second one is of the file's birth.
    let [accessed, accessed_ns] = [known[8], low(9)];
    let [changed, changed_ns] = [known[12], low(13)];
    let [modified, modified_ns] = [known[14], low(15)];
    let (special, own) = (device(known[16]), device(known[17]));
    // The kernel's `struct stat` (`arch/x86/include/uapi/asm/stat.h`).
    #[cfg(target_arch = "x86_64")]
    let about = [inode, links, mode | user << 32, group, special, size, block_size, blocks];
    // The kernel's `struct stat` (`include/uapi/asm-generic/stat.h`).
    #[cfg(target_arch = "aarch64")]
    let about =
        [inode, mode | links << 32, user | group << 32, special, 0, size, block_size, blocks];
    let times = [accessed, accessed_ns, modified, modified_ns, changed, changed_ns];
    let mut words = [0; WORDS];
    words[0] = own;
    for (index, word) in about.iter().chain(&times).enumerate() {
        words[1 + index] = *word;
    }
    words
}
