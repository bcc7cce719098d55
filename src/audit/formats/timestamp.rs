//! Moments as RFC 3339 writes them.

use crate::show::quantity::moment;

/// Of seconds since 1970, in UTC: `2026-07-01T12:00:00Z`.
#[must_use]
pub fn timestamp(seconds: u64) -> String {
    moment(seconds).replacen(' ', "T", 1).replace(" UTC", "Z")
}

#[cfg(test)]
mod tests {
    #[test]
    fn seconds_become_a_timestamp() {
        assert_eq!(super::timestamp(951_782_400), "2000-02-29T00:00:00Z");
    }
}
