//! Numbers for a person: counts, times, sizes, moments, exits.

use nix::sys::signal::Signal;

use crate::process::Exit;

/// `1 file`, `2 files`.
#[must_use]
pub fn counted(count: impl Into<u64>, what: &str) -> String {
    let count = count.into();
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Of microseconds, in three digits or so.
#[must_use]
pub fn duration(microseconds: u64) -> String {
    let (ms, tenths) = (microseconds / 1000, microseconds / 100 % 10);
    match ms {
        0..10 => format!("{ms}.{tenths} ms"),
        10..1000 => format!("{ms} ms"),
        1000..60_000 => format!("{}.{} s", ms / 1000, ms / 100 % 10),
        _ => format!("{} min {} s", ms / 60_000, ms / 1000 % 60),
    }
}

/// Of KiB.
#[must_use]
pub fn memory(kib: u64) -> String {
    bytes(kib.saturating_mul(1024))
}

/// Of bytes.
#[must_use]
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return counted(bytes, "byte");
    }
    let mut unit = 0;
    let mut tenths = u128::from(bytes) * 10 / 1024;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// Of seconds since 1970, in UTC (Howard Hinnant, "`chrono`-Compatible Low-Level Date Algorithms",
/// `civil_from_days`).
#[must_use]
pub fn moment(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let days = days.saturating_add(719_468);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

/// `exit code 1`, `killed by SIGKILL`.
#[must_use]
pub fn exit(exit: Exit) -> String {
    match exit {
        Exit::Code(code) => format!("exit code {code}"),
        Exit::Signal(number) => format!("killed by {}", signal(number)),
    }
}

/// `1`, `SIGKILL`.
#[must_use]
pub fn short_exit(exit: Exit) -> String {
    match exit {
        Exit::Code(code) => code.to_string(),
        Exit::Signal(number) => signal(number),
    }
}

fn signal(number: i32) -> String {
    Signal::try_from(number)
        .map_or_else(|_| format!("signal {number}"), |signal| signal.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!(duration(4_123), "4.1 ms");
        assert_eq!(duration(41_230), "41 ms");
        assert_eq!(duration(4_123_456), "4.1 s");
        assert_eq!(duration(412_345_678), "6 min 52 s");
        assert_eq!((bytes(1), bytes(1023)), ("1 byte".to_owned(), "1023 bytes".to_owned()));
        assert_eq!(
            (memory(2024), bytes(u64::MAX)),
            ("1.9 MiB".to_owned(), "16777215.9 TiB".into())
        );
        assert_eq!(exit(Exit::Signal(9)), "killed by SIGKILL");
        assert_eq!(short_exit(Exit::Signal(99)), "signal 99");
    }

    #[test]
    fn moments_are_those_of_date() {
        // date --utc --date=@SECONDS
        for (seconds, expected) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (1_735_689_599, "2024-12-31 23:59:59 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
        ] {
            assert_eq!(moment(seconds), expected);
        }
        // A damaged record can say anything.
        assert!(moment(u64::MAX).ends_with(" UTC"));
    }
}
