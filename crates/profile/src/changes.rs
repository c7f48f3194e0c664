//! Changes of the sampling interval, as the extension holds them: by column.

use crate::error::Inconsistent;
use crate::model::{Cause, IntervalChange};

/// More changes are not believed: an interval cannot double so often.
const MOST: usize = 64;

/// [`IntervalChange`] of one recording, oldest first.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Changes {
    #[prost(int64, repeated, tag = "1")]
    pub time_unix_ns: Vec<i64>,
    #[prost(uint64, repeated, tag = "2")]
    pub interval_bytes: Vec<u64>,
    /// [`Cause::number`].
    #[prost(uint32, repeated, tag = "3")]
    pub cause: Vec<u32>,
    #[prost(double, repeated, tag = "4")]
    pub percent: Vec<f64>,
}

impl Changes {
    /// Lays changes out by column.
    pub(crate) fn of(changes: &[IntervalChange]) -> Self {
        Self {
            time_unix_ns: changes.iter().map(|c| c.time_unix_ns).collect(),
            interval_bytes: changes.iter().map(|c| c.interval_bytes).collect(),
            cause: changes.iter().map(|c| c.cause.number()).collect(),
            percent: changes.iter().map(|c| c.percent).collect(),
        }
    }

    /// The changes again.
    ///
    /// # Errors
    /// Columns of different lengths; an unknown cause; too many.
    pub(crate) fn into_changes(self) -> Result<Vec<IntervalChange>, Inconsistent> {
        let count = self.time_unix_ns.len();
        if count > MOST || [self.interval_bytes.len(), self.cause.len(), self.percent.len()] != [count; 3] {
            return Err(Inconsistent::new("its changes of the sampling interval are incomplete"));
        }
        let change = |i: usize| {
            Ok(IntervalChange {
                time_unix_ns: self.time_unix_ns[i],
                interval_bytes: self.interval_bytes[i],
                cause: Cause::from_number(self.cause[i])
                    .ok_or_else(|| Inconsistent::new(format!("unknown cause {}", self.cause[i])))?,
                percent: self.percent[i],
            })
        };
        (0..count).map(change).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_come_back() {
        let changes = Cause::ALL.map(|cause| IntervalChange {
            time_unix_ns: -5,
            interval_bytes: 1 << 20,
            cause,
            percent: f64::from(cause.number()) / 3.0,
        });
        assert_eq!(Changes::of(&changes).into_changes().unwrap(), changes);
    }

    #[test]
    fn nonsense_is_refused() {
        let one = Changes { time_unix_ns: vec![1], interval_bytes: vec![2], cause: vec![0], percent: vec![3.0] };
        assert!(one.clone().into_changes().is_ok());
        assert!(Changes { cause: vec![99], ..one.clone() }.into_changes().is_err());
        assert!(Changes { percent: vec![], ..one }.into_changes().is_err());
        let many = vec![
            IntervalChange { time_unix_ns: 0, interval_bytes: 1, cause: Cause::LiveTable, percent: 0.0 };
            MOST + 1
        ];
        assert!(Changes::of(&many).into_changes().is_err());
    }
}
