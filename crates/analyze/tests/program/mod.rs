//! A simulated program whose every block is known: allocations are drawn by the real sampler, kept as single
//! samples with ids, and put together into profiles the way the collector does.
#![allow(dead_code)] // Each test binary uses a part of it.

use std::collections::BTreeMap;

use leakscope_profile::model::{
    Code, Frame, FrameId, Function, FunctionId, Kind, Profile, Row, Settings, Snapshot, Stack, StackId,
};
use leakscope_sampling::{Interval, Rng, Sampler, Scaled};

/// A live block; `drawn` if it was sampled.
#[derive(Debug, Clone, Copy)]
pub struct Block {
    pub id: u64,
    pub site: u32,
    pub size: u64,
    pub epoch: u32,
    pub drawn: Option<Interval>,
}

/// The heap of the program.
pub struct Program {
    pub live: Vec<Block>,
    pub epoch: u32,
    pub interval: Interval,
    pub rng: Rng,
    sampler: Sampler,
    next_id: u64,
}

impl Program {
    pub fn new(seed: u64, interval: Interval) -> Program {
        let sampler = Sampler::started(seed ^ 0x5EED, interval);
        Program { live: Vec::new(), epoch: 0, interval, rng: Rng::seeded(seed), sampler, next_id: 0 }
    }

    pub fn allocate(&mut self, site: u32, size: u64) {
        let drawn = self.sampler.on_allocation(size, self.interval);
        self.live.push(Block { id: self.next_id, site, size, epoch: self.epoch, drawn });
        self.next_id += 1;
    }

    /// Frees blocks of a site picked at random.
    pub fn free(&mut self, site: u32, count: usize) {
        let mut mine: Vec<usize> = (0..self.live.len()).filter(|at| self.live[*at].site == site).collect();
        let mut doomed = Vec::new();
        for _ in 0..count.min(mine.len()) {
            doomed.push(mine.swap_remove((self.rng.next_u64() % mine.len() as u64) as usize));
        }
        doomed.sort_unstable();
        for at in doomed.into_iter().rev() {
            self.live.swap_remove(at);
        }
    }

    pub fn bytes(&self, site: u32) -> f64 {
        self.live.iter().filter(|b| b.site == site).map(|b| b.size as f64).sum()
    }

    /// Takes a snapshot: a profile of the samples live now; the epoch ends.
    pub fn snapshot(&mut self) -> Profile {
        let mut rows: BTreeMap<(u32, u32, u64), Row> = BTreeMap::new();
        for block in &self.live {
            if let Some(drawn) = block.drawn {
                let row = rows
                    .entry((block.site, block.epoch, drawn.bytes()))
                    .or_insert_with(|| empty_row(block.site, block.epoch, drawn));
                add(row, block.size, drawn);
            }
        }
        let sites = self.live.iter().map(|b| b.site + 1).max().unwrap_or(0);
        let snapshot = Snapshot {
            session: [7; 16],
            index: self.epoch,
            epoch: self.epoch,
            time_unix_ns: i64::from(self.epoch) * 60_000_000_000,
            uptime_ms: u64::from(self.epoch) * 60_000,
            ..Snapshot::default()
        };
        self.epoch += 1;
        let settings = Settings { interval_bytes: self.interval.bytes(), ..Settings::default() };
        Profile { rows: rows.into_values().collect(), snapshot, settings, ..code(sites) }
    }
}

pub fn empty_row(site: u32, epoch: u32, drawn: Interval) -> Row {
    Row {
        stack: StackId(site),
        kind: Kind::Malloc,
        epoch,
        interval_bytes: drawn.bytes(),
        samples: 0,
        bytes: 0.0,
        bytes_variance: 0.0,
        bytes_observed: 0,
        objects: 0.0,
        objects_variance: 0.0,
        smallest_bytes: u64::MAX,
        oldest_ms: 0,
        resident_bytes: None,
    }
}

pub fn add(row: &mut Row, size: u64, drawn: Interval) {
    let scaled = Scaled::sample(size, drawn);
    row.samples += 1;
    row.bytes += scaled.bytes;
    row.bytes_variance += scaled.bytes_variance;
    row.bytes_observed += size;
    row.objects += scaled.objects;
    row.objects_variance += scaled.objects_variance;
    row.smallest_bytes = row.smallest_bytes.min(size);
}

/// A profile without rows: one stack of one Java frame `com.acme.SiteN.run` for each site.
pub fn code(sites: u32) -> Profile {
    let function = |site: u32| Function {
        name: format!("com.acme.Site{site}.run"),
        system_name: format!("com/acme/Site{site}.run()V"),
        file: format!("com/acme/Site{site}.java"),
    };
    let frame = |site: u32| Frame { code: Code::Java, function: FunctionId(site), line: 10 + site, inlined: false };
    Profile {
        functions: (0..sites).map(function).collect(),
        frames: (0..sites).map(frame).collect(),
        stacks: (0..sites).map(|site| Stack { frames: vec![FrameId(site)], ..Stack::default() }).collect(),
        ..Profile::default()
    }
}

/// The function of a site's only frame, back to the number of the site.
pub fn site_number(function: &str) -> u32 {
    function.trim_start_matches("com.acme.Site").trim_end_matches(".run").parse().expect("a simulated site")
}
