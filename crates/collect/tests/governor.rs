//! Raising the sampling interval of a session, from what its counters say.

mod support;

use leakscope_collect::{Collector, Governor, NoNames, Occasion, ProcessFacts};
use leakscope_profile::Cause;
use leakscope_session::header::{Change, INTERVALS, Word};
use leakscope_session::losses::Loss;
use leakscope_session::view::Sizes;
use support::Writer;

fn facts() -> ProcessFacts {
    ProcessFacts::gather(std::process::id())
}

/// A session of 512 KiB, 1 MiB, ..., and its collector.
fn watched() -> (Writer, Collector) {
    let writer = Writer::new(&Sizes::SMALL);
    (0..INTERVALS).for_each(|at| writer.session().header.set_at(Word::Intervals, at, (512 << 10) << at));
    let mut collector = Collector::new(writer.shared()).governed(Some(Governor::allowing(100.0)));
    assert_eq!(collector.govern(&facts()), None, "nothing to compare with");
    (writer, collector)
}

fn fill_the_table(writer: &Writer, percent: usize) {
    let session = writer.session();
    let live = session.live.most_slots() * percent / 100;
    (session.cost.sums().live()..live as u64).for_each(|n| session.cost.entered(n as u32, 1, 1));
}

#[test]
fn a_filling_table_raises_the_interval_and_the_profile_says_so() {
    let (writer, mut collector) = watched();
    fill_the_table(&writer, 69);
    assert_eq!(collector.govern(&facts()), None);
    fill_the_table(&writer, 71);
    let change = collector.govern(&facts()).expect("above 70 %");
    assert_eq!((change.cause, change.interval_bytes), (Cause::LiveTable, 1 << 20));
    assert!((change.percent - 71.0).abs() < 0.1, "{change:?}");
    assert_eq!(writer.session().header.current_interval(), (1 << 20, 1), "what the target goes by");
    let settings = collector.snapshot(&facts(), &mut NoNames, &Occasion::default()).settings;
    assert_eq!((settings.interval_bytes, settings.changes), (1 << 20, vec![change]));
    // Another collector, after the death of the first, knows it from the session.
    let settings = Collector::new(writer.shared()).snapshot(&facts(), &mut NoNames, &Occasion::default()).settings;
    assert_eq!(settings.changes, [change]);
}

#[test]
fn the_last_step_is_the_last() {
    let (writer, mut collector) = watched();
    let losses = writer.session().losses;
    let mut raised = 0;
    for _ in 0..3 * INTERVALS {
        losses.add(Loss::RingFull, 1000);
        raised += usize::from(collector.govern(&facts()).is_some());
    }
    assert_eq!(raised, INTERVALS - 1);
    assert_eq!(usize::from(writer.session().header.current_index()), INTERVALS - 1);
}

#[test]
fn without_a_governor_nothing_is_raised() {
    let writer = Writer::new(&Sizes::SMALL);
    let mut collector = Collector::new(writer.shared());
    writer.session().losses.add(Loss::RingFull, 1000);
    assert_eq!((collector.govern(&facts()), collector.govern(&facts())), (None, None));
    assert_eq!(writer.session().header.current_index(), 0);
}

#[test]
fn a_history_that_cannot_be_is_left_out() {
    let (writer, mut collector) = watched();
    let header = writer.session().header;
    header.change_interval(1, &Change { time_unix_ns: u64::MAX, cause: 0, thousandths: 1 });
    header.change_interval(2, &Change { time_unix_ns: 1, cause: 1 << 40, thousandths: 1 });
    header.change_interval(3, &Change { time_unix_ns: 1, cause: 2, thousandths: u64::MAX });
    let profile = collector.snapshot(&facts(), &mut NoNames, &Occasion::default());
    profile.check().unwrap();
    assert_eq!(profile.settings.changes.iter().map(|c| c.cause).collect::<Vec<_>>(), [Cause::RingDrops]);
    header.set(Word::CurrentInterval, u64::MAX);
    let profile = collector.snapshot(&facts(), &mut NoNames, &Occasion::default());
    assert_eq!((profile.settings.interval_bytes, profile.settings.changes.len()), (512 << 10, 0));
}
