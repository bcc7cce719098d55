//! Arithmetic and the machine. The build script of `num-traits` asks rustc, through
//! `autocfg`, whether it compiles some small programs; the one of `libc` asks for
//! its version.

use num_traits::{CheckedAdd, Zero};

/// The sum, or `None` when the type is too small for it.
pub fn sum<T: CheckedAdd + Zero>(values: impl IntoIterator<Item = T>) -> Option<T> {
    values
        .into_iter()
        .try_fold(T::zero(), |sum, value| sum.checked_add(&value))
}

/// The size of a page of memory, in bytes.
#[must_use]
pub fn page_size() -> usize {
    // SAFETY: `sysconf` takes no pointer.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).expect("every Linux has pages")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_that_does_not_fit_is_none() {
        assert_eq!(sum([200_u8, 55]), Some(255));
        assert_eq!(sum([200_u8, 56]), None);
    }
}
