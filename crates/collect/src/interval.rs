//! The sampling interval of a session: its history, and raising it.

use crate::clock;
use crate::facts::ProcessFacts;
use crate::governor::{Governor, Readings};
use crate::machine;
use crate::shared::SharedSession;
use leakscope_profile::{Cause, IntervalChange};
use leakscope_session::header::{Change, Header, INTERVALS, Word};
use leakscope_session::losses::Loss;
use std::time::Instant;

/// Thousandths of a percent.
const THOUSAND: f64 = 1000.0;

/// Asks the governor, and does what it says; the change, if it made one.
pub(crate) fn govern(governor: &mut Governor, shared: &SharedSession, facts: &ProcessFacts) -> Option<IntervalChange> {
    let (cause, percent) = governor.judge(readings(shared, facts))?;
    raise(&shared.session().header, cause, percent)
}

/// How often and why the interval was raised so far, as the header has it.
pub(crate) fn changes(header: &Header<'_>) -> Vec<IntervalChange> {
    (1..=header.current_index()).filter_map(|index| change(header, index)).collect()
}

fn change(header: &Header<'_>, index: u16) -> Option<IntervalChange> {
    let Change { time_unix_ns, cause, thousandths } = header.change(index);
    let cause = u32::try_from(cause).ok().and_then(Cause::from_number)?;
    let time_unix_ns = i64::try_from(time_unix_ns).ok()?;
    let percent = thousandths as f64 / THOUSAND;
    Some(IntervalChange { time_unix_ns, interval_bytes: header.interval(index), cause, percent })
}

fn raise(header: &Header<'_>, cause: Cause, percent: f64) -> Option<IntervalChange> {
    let next = header.current_index() + 1;
    if usize::from(next) >= INTERVALS {
        return None;
    }
    let time_unix_ns = clock::unix_ns().max(0) as u64;
    let noted = Change { time_unix_ns, cause: cause.number().into(), thousandths: (percent * THOUSAND) as u64 };
    header.change_interval(next, &noted);
    change(header, next)
}

fn readings(shared: &SharedSession, facts: &ProcessFacts) -> Readings {
    let session = shared.session();
    let cost = session.cost.sums();
    Readings {
        at: Instant::now(),
        clock_cycles: machine::cycles(),
        sampling_cycles: cost.cycles,
        target_cpu: facts.cpu_time(),
        records: session.header.get(Word::RingHead),
        dropped: session.losses.get(Loss::RingFull),
        live: cost.live(),
        slots: session.live.most_slots() as u64,
        refused: session.losses.get(Loss::TableFull),
    }
}
