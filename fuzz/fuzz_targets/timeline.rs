//! Any bytes as a timeline: reading returns, no line is lost without being counted, and what was read can be written
//! and comes back equal.
#![no_main]

use leakscope_profile::timeline::{Line, Timeline};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let timeline = Timeline::read(bytes);
    let points = timeline.points.iter().cloned().map(|point| Line::Point(Box::new(point)));
    let marks = timeline.marks.iter().cloned().map(Line::Mark);
    let mut written = Vec::new();
    for line in points.chain(marks).chain(timeline.end.clone().map(Line::End)) {
        serde_json::to_writer(&mut written, &line).expect("what was read can be written");
        written.push(b'\n');
    }
    let again = Timeline::read(&written);
    assert_eq!(again, Timeline { damaged: 0, ..timeline });
});
