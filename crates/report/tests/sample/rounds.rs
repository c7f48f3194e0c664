//! Rounds of an invented program under a gate: a leak at a line, a cache that fills, a step, a pool that varies, the JVM
//! for itself, a leak that somebody lives with. Every block is recorded.

use leakscope_analyze::gate::{Gate, GateOptions, Per, Round, RoundBuilder, judge_gate};
use leakscope_analyze::suppression::{Pattern, Suppression};
use leakscope_profile::model::{Kind, Profile, Row, Settings, Snapshot, Stack, StackId, Totals};

use super::{HOSTILE, frame};

/// Live blocks of one stack by checkpoint.
pub struct Grows {
    pub stack: Vec<String>,
    pub kind: Kind,
    pub size: u64,
    pub live: fn(u64) -> u64,
}

const CHECKPOINTS: u64 = 11;
const ITERATIONS: u64 = 20;

fn grows(stack: &[&str], size: u64, live: fn(u64) -> u64) -> Grows {
    Grows { stack: stack.iter().map(|frame| (*frame).to_owned()).collect(), kind: Kind::Malloc, size, live }
}

fn leak() -> Grows {
    grows(super::DEFLATER, 268_000, |at| 20 + 20 * at)
}

fn quiet() -> Vec<Grows> {
    vec![
        grows(super::CACHE, 4096, |at| 1000 + [0, 400, 600, 700, 750, 780, 790, 790, 790, 790, 790][at as usize]),
        grows(
            &[
                "libc.so.6!malloc@:0",
                "libnet.so!NET_Grow@net.c:41",
                "sun.nio.ch.Net.poll@sun/nio/ch/Net.java:0",
                "com.acme.Pool.grow@com/acme/Pool.java:19",
            ],
            1 << 20,
            |at| 3 + u64::from(at >= 7),
        ),
        grows(
            &["libjvm.so!os::malloc(unsigned long, MEMFLAGS)@:0", "libjvm.so!G1CardSet::add_card(unsigned long)@:0"],
            32_760,
            |at| 12 + at,
        ),
        grows(
            &["libc.so.6!malloc@:0", "com.acme.Index.open@com/acme/Index.java:40", "com.acme.Main.main@:12"],
            100,
            |at| 50 + 20 * at,
        ),
        grows(&["libc.so.6!malloc@:0", "com.acme.Calm.hold@com/acme/Calm.java:4"], 100, |_| 7),
    ]
}

fn noisy() -> Grows {
    grows(&["libc.so.6!malloc@:0", "com.acme.Pool.lend@com/acme/Pool.java:31"], 65_536, |at| {
        [40, 31, 52, 33, 60, 38, 49, 30, 58, 41, 57][at as usize]
    })
}

/// Suppressions of the invented program: one that hides, one that has nothing to hide and expires.
pub fn suppressions() -> Vec<Suppression> {
    let one = |line, text: &str, until_day, reason: &str| Suppression {
        line: Some(line),
        text: text.to_owned(),
        pattern: Pattern::new(text),
        max_bytes: None,
        max_growth: None,
        until_day,
        reason: reason.to_owned(),
    };
    vec![one(2, "com.acme.Index.*", None, "bounded, TICKET-1"), one(5, "libold.so", Some(TODAY + 9), "")]
}

const TODAY: i64 = 20_785;

/// What the invented program is judged with.
pub fn options() -> GateOptions {
    let mut options = GateOptions::new(Per::Iteration, TODAY);
    options.suppressions.splice(0..0, suppressions());
    options.after_gc = true;
    options
}

/// A gate that fails.
pub fn failing() -> Gate {
    let mut sites = quiet();
    sites.push(leak());
    judge_gate(&[round(&sites, CHECKPOINTS)], &options())
}

/// A gate that passes.
pub fn passing() -> Gate {
    judge_gate(&[round(&quiet(), CHECKPOINTS), round(&quiet(), CHECKPOINTS), round(&quiet(), CHECKPOINTS)], &options())
}

/// A gate that cannot tell.
pub fn unclear() -> Gate {
    let mut sites = quiet();
    sites.push(noisy());
    judge_gate(&[round(&sites, CHECKPOINTS)], &options())
}

/// A gate that had too little to judge, and a suppression whose last day is over.
pub fn short() -> Gate {
    let late = GateOptions { today: TODAY + 10, ..options() };
    judge_gate(&[round(&quiet(), 3)], &late)
}

/// A gate of leaks whose names mean harm.
pub fn hostile() -> Gate {
    let mut sites: Vec<Grows> = HOSTILE
        .iter()
        .map(|name| {
            let place = name.replace(['@', '!'], " ");
            grows(&[&format!("lib!{place}@{place}:3"), &format!("x{place}@{place}:7")], 4096, |at| 20 * at)
        })
        .collect();
    sites.push(grows(&["[truncated]"], 4096, |at| 20 * at));
    judge_gate(&[round(&sites, CHECKPOINTS)], &options())
}

fn round(sites: &[Grows], checkpoints: u64) -> Round {
    let mut builder = RoundBuilder::default();
    for at in 0..checkpoints {
        assert!(builder.add(&checkpoint(sites, at), (ITERATIONS * (at + 1)) as f64));
    }
    builder.finish(None, &[])
}

fn checkpoint(sites: &[Grows], at: u64) -> Profile {
    let mut profile = Profile {
        snapshot: Snapshot { session: [7; 16], index: at as u32, epoch: at as u32, ..Snapshot::default() },
        settings: Settings { interval_bytes: 1, ..Settings::default() },
        ..Profile::default()
    };
    for site in sites {
        let frames = site.stack.iter().map(|text| frame(&mut profile, text)).collect();
        let stack = StackId(profile.stacks.len() as u32);
        let born = born(site.live, at);
        profile.rows.extend(born.iter().map(|(epoch, samples)| row(site, stack, *epoch, *samples)));
        let samples = born.iter().map(|(_, samples)| samples).sum();
        profile.stacks.push(Stack { frames, totals: Totals { samples, ..Totals::default() } });
    }
    profile
}

/// What is live at a checkpoint, by the one before which it was born: the youngest blocks are freed first.
fn born(live: fn(u64) -> u64, at: u64) -> Vec<(u32, u64)> {
    let mut born: Vec<(u32, u64)> = Vec::new();
    for checkpoint in 0..=at {
        let has: u64 = born.iter().map(|(_, samples)| samples).sum();
        let mut gone = has.saturating_sub(live(checkpoint));
        born.push((checkpoint as u32, live(checkpoint).saturating_sub(has)));
        for (_, samples) in born.iter_mut().rev() {
            let freed = gone.min(*samples);
            *samples -= freed;
            gone -= freed;
        }
    }
    born.retain(|(_, samples)| *samples > 0);
    born
}

fn row(site: &Grows, stack: StackId, epoch: u32, samples: u64) -> Row {
    let bytes = samples * site.size;
    Row {
        stack,
        kind: site.kind,
        epoch,
        interval_bytes: 1,
        samples,
        bytes: bytes as f64,
        bytes_variance: 0.0,
        bytes_observed: bytes,
        objects: samples as f64,
        objects_variance: 0.0,
        smallest_bytes: site.size,
        oldest_ms: 0,
        resident_bytes: None,
    }
}
