//! Numbers as people read them: binary units, three significant digits, thousands separated, times in UTC.
//!
//! Rounding happens here and nowhere else.

use leakscope_analyze::Estimate;

use crate::style::Glyphs;

const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// `1.24 GiB`, `41.0 MiB`, `512 KiB`, `64 B`; negative numbers with a minus sign.
pub fn bytes(value: f64) -> String {
    let unit = unit_of(value);
    format!("{} {}", in_unit(value, unit, decimals(value, unit)), UNITS[unit])
}

/// An estimate of bytes with its error: `1.24 GiB ±0.03`, or `1.20 MiB (31.0 KiB to 5.60 MiB)` where the interval
/// leans to one side.
pub(crate) fn bytes_estimate(e: &Estimate, glyphs: &Glyphs) -> String {
    match e.plus_minus() {
        Some(error) => format!("{} {}", bytes(e.estimate), bytes_error(e.estimate, error, glyphs)),
        None => format!("{} {}", bytes(e.estimate), bytes_range(e, bytes)),
    }
}

/// Bytes per something (`/iter`) with their error: `268 KiB/iter ±0.40`.
pub(crate) fn rate_estimate(e: &Estimate, per: &str, glyphs: &Glyphs) -> String {
    // Less than a byte is nothing here.
    let error = if e.half_width() < 0.5 { 0.0 } else { e.half_width() };
    format!("{}{per} {}", bytes(e.estimate), bytes_error(e.estimate, error, glyphs))
}

/// The same with a plus sign where it grew: `+1.05 GiB ±0.03`.
pub(crate) fn bytes_change(e: &Estimate, glyphs: &Glyphs) -> String {
    match e.plus_minus() {
        Some(error) => format!("{} {}", signed(e.estimate), bytes_error(e.estimate, error, glyphs)),
        None => format!("{} {}", signed(e.estimate), bytes_range(e, signed)),
    }
}

/// Both ends; where the unit is that of the estimate it is not repeated.
fn bytes_range(e: &Estimate, show: fn(f64) -> String) -> String {
    let unit = unit_of(e.estimate);
    if unit_of(e.low) != unit || unit_of(e.high) != unit {
        return format!("({} to {})", show(e.low), show(e.high));
    }
    let bare = |value: f64| show(value).trim_end_matches(UNITS[unit]).trim_end().to_owned();
    format!("({} to {})", bare(e.low), bare(e.high))
}

/// With a plus sign where it is positive.
pub(crate) fn signed(value: f64) -> String {
    if value.round() > 0.0 { format!("+{}", bytes(value)) } else { bytes(value) }
}

/// In the estimate's unit, unless the error is too small or too large for it.
fn bytes_error(estimate: f64, error: f64, glyphs: &Glyphs) -> String {
    let unit = unit_of(estimate);
    let shown = in_unit(error, unit, decimals(estimate, unit));
    if error == 0.0 {
        return format!("{}0", glyphs.plus_minus);
    }
    if unit_of(error) > unit || shown.bytes().all(|b| matches!(b, b'0' | b'.')) {
        return format!("{}{}", glyphs.plus_minus, bytes(error));
    }
    format!("{}{shown}", glyphs.plus_minus)
}

fn unit_of(value: f64) -> usize {
    let mut magnitude = value.abs();
    let mut unit = 0;
    // 999.5 would be shown as 1000: the next unit is shorter.
    while magnitude >= 999.5 && unit + 1 < UNITS.len() {
        magnitude /= 1024.0;
        unit += 1;
    }
    unit
}

fn decimals(value: f64, unit: usize) -> usize {
    let magnitude = value.abs() / 1024f64.powi(unit as i32);
    match () {
        () if unit == 0 => 0,
        () if magnitude < 9.995 => 2,
        () if magnitude < 99.95 => 1,
        () => 0,
    }
}

fn in_unit(value: f64, unit: usize, decimals: usize) -> String {
    let scaled = value / 1024f64.powi(unit as i32);
    let shown = format!("{scaled:.decimals$}");
    if shown.trim_start_matches('-').bytes().all(|b| matches!(b, b'0' | b'.')) {
        return shown.trim_start_matches('-').to_owned();
    }
    shown
}

/// An estimate of a count: `4,830 ±120`, `8,192 (207 to 45,646)`.
pub(crate) fn count_estimate(e: &Estimate, glyphs: &Glyphs) -> String {
    match e.plus_minus() {
        Some(error) => format!("{} {}{}", count(e.estimate), glyphs.plus_minus, count(error)),
        None => format!("{} ({} to {})", count(e.estimate), count(e.low), count(e.high)),
    }
}

/// A count: whole from 100 on, one decimal below where it is a fraction.
pub(crate) fn count(value: f64) -> String {
    let tenths = (value * 10.0).round() / 10.0;
    if tenths.abs() < 100.0 && tenths.fract() != 0.0 { format!("{tenths:.1}") } else { thousands(value.round()) }
}

/// A whole number with its thousands separated: `12,031`.
pub fn thousands(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut shown = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    if value < 0.0 && digits != "0" { format!("-{shown}") } else { shown }
}

/// A part of a whole: `94.6 %`.
pub(crate) fn percent(part: f64) -> String {
    format!("{:.1} %", part * 100.0)
}

/// A duration with its two largest units: `41 m 12 s`, `3 h 12 m`, `850 ms`.
pub fn duration(ms: u64) -> String {
    let (seconds, minutes, hours, days) = (ms / 1000, ms / 60_000, ms / 3_600_000, ms / 86_400_000);
    match () {
        () if seconds == 0 => format!("{ms} ms"),
        () if minutes == 0 => format!("{seconds} s"),
        () if hours == 0 => format!("{minutes} m {} s", seconds % 60),
        () if days == 0 => format!("{hours} h {} m", minutes % 60),
        () => format!("{days} d {} h", hours % 24),
    }
}

/// An instant, as `2026-11-20T10:41:24Z`; the fraction only where `milliseconds` is asked for.
pub(crate) fn time_utc(unix_ns: i64, milliseconds: bool) -> String {
    let seconds = unix_ns.div_euclid(1_000_000_000);
    let (year, month, day) = civil(seconds.div_euclid(86_400));
    let of_day = seconds.rem_euclid(86_400);
    let fraction = match milliseconds {
        true => format!(".{:03}", unix_ns.rem_euclid(1_000_000_000) / 1_000_000),
        false => String::new(),
    };
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

/// Year, month, day of a number of days since 1970 (Hinnant, "chrono-compatible low-level date algorithms").
fn civil(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: f64 = 1024.0 * 1024.0;

    #[test]
    fn bytes_have_three_digits_and_never_a_thousand() {
        for (value, shown) in [
            (0.0, "0 B"),
            (64.4, "64 B"),
            (999.0, "999 B"),
            (999.6, "0.98 KiB"),
            (524_288.0, "512 KiB"),
            (41.0 * MIB, "41.0 MiB"),
            (1331.44 * MIB, "1.30 GiB"),
            (-6.1 * MIB, "-6.10 MiB"),
            (9.996 * MIB, "10.0 MiB"),
            (-0.2, "0 B"),
        ] {
            assert_eq!(bytes(value), shown);
        }
    }

    #[test]
    fn an_estimate_never_goes_without_its_error() {
        let glyphs = &Glyphs::UNICODE;
        let e = |estimate: f64, low: f64, high: f64| Estimate {
            estimate: estimate * MIB,
            low: low * MIB,
            high: high * MIB,
        };
        assert_eq!(bytes_estimate(&e(1269.76, 1239.0, 1300.5), glyphs), "1.24 GiB ±0.03");
        assert_eq!(bytes_estimate(&e(1.2, 0.03, 5.6), glyphs), "1.20 MiB (30.7 KiB to 5.60 MiB)");
        assert_eq!(bytes_estimate(&e(7.53, 4.23, 12.4), glyphs), "7.53 MiB (4.23 to 12.4)");
        assert_eq!(bytes_change(&e(0.0, -1.8, 1.8), glyphs), "0 B ±1.80 MiB");
        assert_eq!(bytes_estimate(&e(412.0, 412.0, 412.0), glyphs), "412 MiB ±0");
        assert_eq!(bytes_estimate(&e(1269.76, 1269.75, 1269.77), glyphs), "1.24 GiB ±10.2 KiB");
        assert_eq!(bytes_change(&e(1.0, 0.9, 1.1), &Glyphs::ASCII), "+1.00 MiB +-0.10");
        assert_eq!(bytes_change(&e(-1.0, -1.1, -0.9), glyphs), "-1.00 MiB ±0.10");
        let count = Estimate { estimate: 8192.4, low: 207.0, high: 45_646.0 };
        assert_eq!(count_estimate(&count, glyphs), "8,192 (207 to 45,646)");
        assert_eq!(count_estimate(&Estimate { estimate: 4830.0, low: 4710.0, high: 4950.0 }, glyphs), "4,830 ±120");
        assert_eq!(rate_estimate(&e(0.25, 0.2, 0.3), "/iter", glyphs), "256 KiB/iter ±51");
        assert_eq!(rate_estimate(&Estimate::exact(64.0), "/iter", glyphs), "64 B/iter ±0");
        assert_eq!(count_estimate(&Estimate { estimate: 1.58, low: 1.0, high: 4.0 }, glyphs), "1.6 (1 to 4)");
    }

    #[test]
    fn times_and_durations() {
        assert_eq!(time_utc(0, false), "1970-01-01T00:00:00Z");
        assert_eq!(time_utc(1_709_210_096_123_456_789, true), "2024-02-29T12:34:56.123Z");
        assert_eq!(time_utc(-1, true), "1969-12-31T23:59:59.999Z");
        assert_eq!(
            [duration(850), duration(2_472_000), duration(11_520_000), duration(90_000_000)],
            ["850 ms", "41 m 12 s", "3 h 12 m", "1 d 1 h"]
        );
        assert_eq!(thousands(-1_234_567.0), "-1,234,567");
    }
}
