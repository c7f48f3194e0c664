//! Sentences about changes of the sampling interval.

use leakscope_profile::model::{Cause, IntervalChange};

use crate::units::{bytes, time_utc};

/// Why the sampling interval was raised: `sampling cost 3.1 % of a core`.
pub fn cause(change: &IntervalChange) -> String {
    let percent = match change.percent {
        below if below < 10.0 => format!("{below:.1} %"),
        percent => format!("{percent:.0} %"),
    };
    match change.cause {
        Cause::CostOfCore => format!("sampling cost {percent} of a core"),
        Cause::CostOfTarget => format!("sampling cost {percent} of the target's processor time"),
        Cause::RingDrops => format!("{percent} of the records found the ring full"),
        Cause::LiveTable => format!("the table of live samples was {percent} full"),
    }
}

/// What became of the sampling interval while recording; `None` if it stayed what it was.
pub(crate) fn raised(changes: &[IntervalChange]) -> Option<String> {
    let last = changes.last()?;
    let times = match changes.len() {
        1 => String::new(),
        n => format!("{n} times, "),
    };
    let (to, at) = (bytes(last.interval_bytes as f64), time_utc(last.time_unix_ns, false));
    Some(format!("sampling interval raised {times}to {to} at {at}: {}", cause(last)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_has_its_words() {
        let change = |cause, percent| IntervalChange {
            time_unix_ns: 1_763_632_812_345_000_000,
            interval_bytes: 1 << 20,
            cause,
            percent,
        };
        let first = change(Cause::CostOfCore, 3.12);
        assert_eq!(
            raised(&[first]).unwrap(),
            "sampling interval raised to 1.00 MiB at 2025-11-20T10:00:12Z: sampling cost 3.1 % of a core"
        );
        let second = IntervalChange { interval_bytes: 2 << 20, ..change(Cause::RingDrops, 12.6) };
        assert_eq!(
            raised(&[first, second]).unwrap(),
            "sampling interval raised 2 times, to 2.00 MiB at 2025-11-20T10:00:12Z: 13 % of the records found the ring full"
        );
        assert_eq!(raised(&[]), None);
        assert_eq!(cause(&change(Cause::LiveTable, 70.3)), "the table of live samples was 70 % full");
        assert_eq!(cause(&change(Cause::CostOfTarget, 2.0)), "sampling cost 2.0 % of the target's processor time");
    }
}
