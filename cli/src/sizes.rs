//! Sizes and durations as people write and read them.

use crate::suppressions::parse_growth;
use leakscope_analyze::gate::Per;
use leakscope_analyze::suppression::GrowthLimit;
use std::time::Duration;

/// Bytes from `512k`, `1MiB`, `2G`, `1048576`. All units are binary: `k`, `kB` and `KiB` are 1024.
///
/// # Errors
/// A sentence for the user.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let wrong = || format!("'{text}' is no size; write 512k, 1MiB or 2G");
    let (number, unit) = split(text).ok_or_else(wrong)?;
    let unit = unit.to_ascii_lowercase();
    let letter = unit.strip_suffix("ib").or(unit.strip_suffix('b')).unwrap_or(&unit);
    let shift = match letter {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return Err(wrong()),
    };
    number.checked_mul(1 << shift).ok_or_else(wrong)
}

/// A sampling interval: a size of at least one byte.
///
/// # Errors
/// A sentence for the user.
pub fn parse_sample(text: &str) -> Result<u64, String> {
    match parse_size(text)? {
        0 => Err("0 bytes between samples is no interval; 1 records every allocation".to_owned()),
        bytes if bytes > 1 << 40 => Err("more than 1 TiB between samples would record nothing".to_owned()),
        bytes => Ok(bytes),
    }
}

/// A duration from `60s`, `500ms`, `10m`, `2h`; a bare number is seconds.
///
/// # Errors
/// A sentence for the user.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("'{text}' is no duration; write 500ms, 60s, 10m or 2h");
    let (number, unit) = split(text).ok_or_else(wrong)?;
    let unit_ms: u64 = match unit {
        "ms" => 1,
        "" | "s" => 1000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    number.checked_mul(unit_ms).map(Duration::from_millis).ok_or_else(wrong)
}

/// The time between snapshots: at least 100 ms.
///
/// # Errors
/// A sentence for the user.
pub fn parse_interval(text: &str) -> Result<Duration, String> {
    let interval = parse_duration(text)?;
    if interval < Duration::from_millis(100) {
        return Err("snapshots cannot be closer than 100ms".to_owned());
    }
    Ok(interval)
}

/// What sampling may take of the processor: `2`, `0.5`, `2%`; `off` for whatever it takes.
///
/// # Errors
/// A sentence for the user.
pub fn parse_max_cpu(text: &str) -> Result<MaxCpu, String> {
    if text == "off" {
        return Ok(MaxCpu::Off);
    }
    let percent = text.strip_suffix('%').unwrap_or(text).trim_end().parse::<f64>().ok();
    let sound = percent.filter(|percent| (0.01..=100.0).contains(percent));
    sound.map(MaxCpu::Percent).ok_or_else(|| format!("'{text}' is no share of a processor; write 2, 0.5 or off"))
}

/// What sampling may take of the processor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MaxCpu {
    /// So many percent; then samples get rarer.
    Percent(f64),
    /// Whatever it takes: samples stay as frequent as they were asked for.
    Off,
}

/// Growth: `4KiB/iter`, `1MiB/min`, `1MiB/h`, or `4KiB`, whose unit follows from what is counted.
///
/// # Errors
/// A sentence for the user.
pub fn parse_rate(text: &str) -> Result<Rate, String> {
    if !text.contains('/') {
        return Ok(Rate { bytes: parse_size(text)? as f64, per: None });
    }
    Ok(match parse_growth(text)? {
        GrowthLimit::Nothing => Rate { bytes: 0.0, per: None },
        GrowthLimit::PerIteration(bytes) => Rate { bytes, per: Some(Per::Iteration) },
        GrowthLimit::PerHour(bytes) => Rate { bytes: bytes / 60.0, per: Some(Per::Minute) },
    })
}

/// Growth that is put up with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    bytes: f64,
    per: Option<Per>,
}

impl Rate {
    /// Bytes per unit.
    ///
    /// # Errors
    /// It is of another unit; a sentence for the user.
    pub fn per(self, wanted: Per) -> Result<f64, String> {
        match self.per {
            Some(per) if per != wanted => {
                let word = |per| match per {
                    Per::Iteration => "per an iteration",
                    Per::Minute => "per time",
                    Per::Run => "from a baseline",
                };
                Err(format!("a budget {} where growth is counted {}", word(per), word(wanted)))
            }
            _ => Ok(self.bytes),
        }
    }
}

/// `1.31 GiB`, `512 KiB`, `0 B`.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut value = count as f64;
    let mut unit = "";
    for name in UNITS {
        value /= 1024.0;
        unit = name;
        if value < 1023.95 {
            break;
        }
    }
    if value.fract() == 0.0 { format!("{value:.0} {unit}") } else { format!("{value:.1} {unit}") }
}

/// `41 m 12 s`, `2 h 5 m`, `800 ms`, `0 s`.
pub fn duration(time: Duration) -> String {
    let (seconds, ms) = (time.as_secs(), time.subsec_millis());
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0) if ms > 0 => format!("{ms} ms"),
        (0, 0, s) if s < 10 && ms >= 100 => format!("{s}.{} s", ms / 100),
        (0, 0, s) => format!("{s} s"),
        (0, m, 0) => format!("{m} m"),
        (0, m, s) => format!("{m} m {s} s"),
        (h, 0, _) => format!("{h} h"),
        (h, m, _) => format!("{h} h {m} m"),
    }
}

fn split(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text.get(..digits)?.parse().ok()?, text.get(digits..)?.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        for (text, expected) in [
            ("1", 1),
            ("512k", 512 << 10),
            ("512K", 512 << 10),
            ("1MiB", 1 << 20),
            ("1 MB", 1 << 20),
            ("2G", 2 << 30),
            ("1t", 1 << 40),
            ("7b", 7),
        ] {
            assert_eq!(parse_size(text), Ok(expected), "{text}");
        }
        for text in ["", "k", "-1", "1.5m", "12x", "99999999999G", "1 k k"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
        assert!(parse_sample("0").is_err() && parse_sample("2T").is_err());
    }

    #[test]
    fn growth_is_read() {
        let rate = |text| parse_rate(text).unwrap();
        assert_eq!(rate("4KiB/iter").per(Per::Iteration), Ok(4096.0));
        assert_eq!((rate("4k").per(Per::Iteration), rate("4k").per(Per::Minute)), (Ok(4096.0), Ok(4096.0)));
        assert_eq!(rate("6k/h").per(Per::Minute), Ok(102.4));
        assert!(rate("1/min").per(Per::Iteration).is_err() && rate("1/iter").per(Per::Minute).is_err());
        for text in ["", "/iter", "4k/day", "x/iter"] {
            assert!(parse_rate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_are_read() {
        for (text, ms) in [("500ms", 500), ("60s", 60_000), ("60", 60_000), ("10m", 600_000), ("2h", 7_200_000)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "s", "1y", "-1s", "99999999999999999999h", "9999999999999999999d"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
        assert!(parse_interval("50ms").is_err());
    }

    #[test]
    fn figures_are_written() {
        let sizes = [0, 1023, 1024, 512 << 10, 1_406_888_000, 4 << 30, (1 << 20) - 1];
        assert_eq!(sizes.map(bytes), ["0 B", "1023 B", "1 KiB", "512 KiB", "1.3 GiB", "4 GiB", "1.0 MiB"]);
        let times = [0, 800, 1500, 60_000, 2_472_000, 7_500_000].map(Duration::from_millis);
        assert_eq!(times.map(duration), ["0 s", "800 ms", "1.5 s", "1 m", "41 m 12 s", "2 h 5 m"]);
    }
}
