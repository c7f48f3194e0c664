//! DHAT's JSON, version 2, which the Firefox Profiler and valgrind's dh_view open.
//!
//! ```text
//! tb, tbk   bytes and blocks allocated since the start        eb, ebk   live at the snapshot ("at t-end")
//! gb, gbk   at the global maximum    mb, mbk   at the site's own maximum    tl   sum of lifetimes
//! ```
//! One snapshot knows no maximum but itself, so both are what is live in it, and t-gmax is its time. Lifetimes are not
//! recorded: `tl` is 0, no lifetime counts as short, and `mode`, which dh_view prints on top, says so. Frames are
//! `0x0: function (file:line:0)` where the line is known, because that is the form which the Firefox Profiler takes
//! apart; leakscope's sites have no addresses and no columns.

use std::collections::BTreeMap;

use leakscope_analyze::{FrameTable, Place, SiteFrame, Sites};
use leakscope_profile::model::Profile;
use serde::Serialize;

use super::{JavaNames, whole};
use crate::printable::printable;

/// The file, one line.
pub fn dhat(profile: &Profile, sites: &Sites, names: JavaNames) -> String {
    // The first frame stands for all.
    let mut frames = Frames { names, index: BTreeMap::new(), table: vec!["[root]".to_owned()] };
    // dh_view refuses a file that names one stack twice: kinds of memory are put together.
    let mut points: BTreeMap<Vec<usize>, Amounts> = BTreeMap::new();
    for site in &sites.sites {
        let stack = frames.stack(&sites.frames, &site.place);
        let (live, objects) = (site.amounts.live_bytes.estimate, site.amounts.live_objects.estimate);
        let sums = points.entry(stack).or_default();
        sums.live_bytes += live;
        sums.live_objects += objects;
        sums.bytes += site.amounts.allocated_bytes.estimate.max(live);
        sums.objects += site.amounts.allocated_objects.max(objects);
    }
    let end = profile.snapshot.uptime_ms.saturating_mul(1000);
    let command: Vec<_> = profile.target.command.iter().map(|word| printable(word)).collect();
    let file = File {
        version: 2,
        mode: "leakscope snapshot (estimates; lifetimes not recorded; maxima are those of the snapshot)",
        verb: "Allocated",
        bklt: true,
        bkacc: false,
        tu: "\u{b5}s",
        mtu: "s",
        tuth: -1,
        cmd: if command.is_empty() { printable(&profile.target.name).into_owned() } else { command.join(" ") },
        pid: profile.target.pid,
        te: end,
        tg: end,
        pps: points.into_iter().filter(|(_, sums)| whole(sums.bytes) > 0).map(Point::of).collect(),
        ftbl: frames.table,
    };
    // Text and numbers only: nothing here can fail to be written.
    serde_json::to_string(&file).map(|text| text + "\n").unwrap_or_default()
}

#[derive(Default)]
struct Amounts {
    live_bytes: f64,
    live_objects: f64,
    bytes: f64,
    objects: f64,
}

#[derive(Serialize)]
struct File {
    #[serde(rename = "dhatFileVersion")]
    version: u32,
    mode: &'static str,
    verb: &'static str,
    bklt: bool,
    bkacc: bool,
    tu: &'static str,
    #[serde(rename = "Mtu")]
    mtu: &'static str,
    tuth: i32,
    cmd: String,
    pid: u32,
    te: u64,
    tg: u64,
    pps: Vec<Point>,
    ftbl: Vec<String>,
}

#[derive(Serialize)]
struct Point {
    tb: u64,
    tbk: u64,
    tl: u64,
    mb: u64,
    mbk: u64,
    gb: u64,
    gbk: u64,
    eb: u64,
    ebk: u64,
    fs: Vec<usize>,
}

impl Point {
    fn of((fs, sums): (Vec<usize>, Amounts)) -> Point {
        let (live, blocks) = (whole(sums.live_bytes), whole(sums.live_objects));
        // Half an object is a legitimate estimate, but bytes without a block are none.
        let (tb, tbk) = (whole(sums.bytes), whole(sums.objects).max(1));
        let ebk = if live > 0 { blocks.max(1) } else { blocks };
        Point { tb, tbk, tl: 0, mb: live, mbk: ebk, gb: live, gbk: ebk, eb: live, ebk, fs }
    }
}

/// The frames met so far.
struct Frames {
    names: JavaNames,
    index: BTreeMap<String, usize>,
    table: Vec<String>,
}

impl Frames {
    /// Leaf first.
    fn stack(&mut self, table: &FrameTable, place: &Place) -> Vec<usize> {
        if place.frames.is_empty() {
            return vec![self.intern(format!("[{}]", place.kind.as_str()))];
        }
        table.resolve(&place.frames).map(|frame| self.intern(described(frame, self.names))).collect()
    }

    fn intern(&mut self, frame: String) -> usize {
        *self.index.entry(frame.clone()).or_insert_with(|| {
            self.table.push(frame);
            self.table.len() - 1
        })
    }
}

fn described(frame: &SiteFrame, names: JavaNames) -> String {
    let name = names.shown(frame);
    let file = printable(frame.file.rsplit('/').next().unwrap_or_default());
    match (file.is_empty(), frame.line, frame.library.as_str()) {
        (false, 1.., _) => format!("0x0: {name} ({file}:{}:0)", frame.line),
        (_, _, "") => name,
        (.., library) => format!("{name} (in {})", printable(library)),
    }
}
