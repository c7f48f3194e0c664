//! What is live in one profile, place by place: the numbers of `leakscope report`.

use leakscope_profile::model::{Kind, Profile, Row, StackId, Totals};
use leakscope_sampling::Interval;

use crate::estimate::{ERROR_RATE, Estimate, Missable, Resident, Sums};
use crate::frames::FrameTable;
use crate::parallel;
use crate::select::JvmsOwn;
use crate::site::{By, Grouping, Place, Places};

/// The sites of one profile, most live bytes first.
#[derive(Debug, Clone)]
pub struct Sites {
    /// The frames that the sites refer to.
    pub frames: FrameTable,
    /// Every place that has live memory or ever allocated.
    pub sites: Vec<Site>,
    /// Everything together.
    pub total: Amounts,
    /// What is counted as one place.
    pub by: By,
    /// The JVM's own address space that [`crate::select`] has left out, where it was asked.
    pub jvms_own: JvmsOwn,
}

/// One site.
#[derive(Debug, Clone)]
pub struct Site {
    /// Which one.
    pub place: Place,
    /// How much.
    pub amounts: Amounts,
    /// What is live, before it is estimated: sums of disjoint sites add up.
    pub live: Sums,
    /// Its part of all live bytes, 0 to 1, by the estimates.
    pub share: f64,
    /// Age of the oldest sampled live block at the snapshot, milliseconds; `None` if nothing is live.
    pub oldest_age_ms: Option<u64>,
}

/// How much memory.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Amounts {
    /// Bytes live now.
    pub live_bytes: Estimate,
    /// Objects live now.
    pub live_objects: Estimate,
    /// Bytes allocated since recording started.
    pub allocated_bytes: Estimate,
    /// Objects allocated since recording started; an estimate whose variance is not recorded, hence without interval.
    pub allocated_objects: f64,
    /// Sampled blocks live now.
    pub samples: u64,
    /// Bytes of them in memory: of mappings and stacks of threads, where it is known of all of them.
    pub resident_bytes: Option<u64>,
    /// Sampled frees, by who freed.
    pub freed: Freed,
}

/// Sampled frees of a site's blocks, by the class of the thread that freed them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Freed {
    /// By application threads.
    pub by_app: u64,
    /// By the JVM's reference-handling threads.
    pub by_gc: u64,
}

impl Freed {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.by_app.saturating_add(self.by_gc)
    }

    /// Part of them by the JVM's reference-handling threads, 0 to 1; `None` if none was seen.
    pub fn gc_share(&self) -> Option<f64> {
        (self.total() > 0).then(|| self.by_gc as f64 / self.total() as f64)
    }
}

/// What is gathered for one site before it is estimated.
#[derive(Debug, Clone, Copy, Default)]
struct Gathered {
    live: Sums,
    allocated: Sums,
    freed: Freed,
    oldest_ms: Option<u64>,
}

impl Gathered {
    fn add_row(&mut self, row: &Row) {
        self.live.add_row(row);
        if row.samples > 0 {
            self.oldest_ms = Some(self.oldest_ms.map_or(row.oldest_ms, |oldest| oldest.min(row.oldest_ms)));
        }
    }

    /// `interval_bytes`: what the totals were sampled with, as far as is known.
    fn add_totals(&mut self, totals: &Totals, interval_bytes: u64) {
        let missable = if totals.bytes_variance > 0.0 {
            Missable { interval_bytes, smallest_bytes: 0 }
        } else {
            Missable::default()
        };
        self.allocated.add(&Sums {
            samples: totals.samples,
            bytes: totals.bytes,
            bytes_variance: totals.bytes_variance,
            bytes_observed: totals.bytes_observed,
            objects: totals.objects,
            objects_variance: 0.0,
            missable,
            resident: Resident::default(),
        });
        self.freed.by_app = self.freed.by_app.saturating_add(totals.frees_app);
        self.freed.by_gc = self.freed.by_gc.saturating_add(totals.frees_gc);
    }

    fn add(&mut self, other: &Gathered) {
        self.live.add(&other.live);
        self.allocated.add(&other.allocated);
        self.freed.by_app = self.freed.by_app.saturating_add(other.freed.by_app);
        self.freed.by_gc = self.freed.by_gc.saturating_add(other.freed.by_gc);
    }

    /// At least what is live, wherever anything was counted: the counters hold whole bytes, so that their sum can be
    /// a few bytes short of what the live samples come to.
    fn allocated_bytes(&self) -> Estimate {
        let counted = self.allocated.bytes_estimate(ERROR_RATE);
        if counted.estimate <= 0.0 {
            return counted;
        }
        let live = self.live.bytes_estimate(ERROR_RATE);
        let estimate = counted.estimate.max(live.estimate);
        Estimate { estimate, low: counted.low.max(live.low), high: counted.high.max(estimate) }
    }

    fn amounts(&self) -> Amounts {
        Amounts {
            live_bytes: self.live.bytes_estimate(ERROR_RATE),
            live_objects: self.live.objects_estimate(ERROR_RATE),
            allocated_bytes: self.allocated_bytes(),
            allocated_objects: self.allocated.objects.max(self.live.objects),
            samples: self.live.samples,
            resident_bytes: self.live.resident.known().filter(|_| self.live.samples > 0),
            freed: self.freed,
        }
    }
}

/// The sites of a profile.
///
/// A stack's cumulative totals do not say of which kind they were; they are counted for the kind of its first live
/// row, for malloc if nothing of it is live.
pub fn sites(profile: &Profile, grouping: &Grouping) -> Sites {
    let mut places = Places::new(grouping);
    let mut gathered: Vec<Gathered> = Vec::new();
    let mut stacks = places.of_profile(profile);
    let mut kinds: Vec<Option<(Kind, u64)>> = vec![None; profile.stacks.len()];
    for row in &profile.rows {
        at(&mut gathered, stacks.place(&mut places, row.stack, row.kind)).add_row(row);
        if let Some(known) = kinds.get_mut(row.stack.0 as usize) {
            let (kind, widest) = known.unwrap_or((row.kind, 0));
            *known = Some((kind, widest.max(row.interval_bytes)));
        }
    }
    let interval = Interval::from_bytes(profile.settings.interval_bytes).bytes();
    for (index, stack) in profile.stacks.iter().enumerate() {
        if stack.totals == Totals::default() {
            continue;
        }
        let (kind, widest) = kinds[index].unwrap_or((Kind::Malloc, interval));
        let place = stacks.place(&mut places, StackId(index as u32), kind);
        at(&mut gathered, place).add_totals(&stack.totals, widest);
    }
    finish(places, grouping.by, &gathered, profile)
}

fn at(gathered: &mut Vec<Gathered>, place: usize) -> &mut Gathered {
    if gathered.len() <= place {
        gathered.resize(place + 1, Gathered::default());
    }
    &mut gathered[place]
}

fn finish(places: Places<'_>, by: By, gathered: &[Gathered], profile: &Profile) -> Sites {
    let (uptime_ms, unseen_bytes) = (profile.snapshot.uptime_ms, profile.settings.interval_bytes);
    let mut everything = Gathered::default();
    gathered.iter().for_each(|g| everything.add(g));
    // What was sampled and left no sample may be there all the same.
    if everything.live.samples == 0 && unseen_bytes > 0 {
        everything.live.missable = Missable::unseen(unseen_bytes);
    }
    let all_bytes = everything.live.bytes;
    let amounts = parallel::map(gathered.len(), |at| gathered[at].amounts());
    let mut sites: Vec<Site> = places
        .places
        .into_iter()
        .zip(gathered)
        .zip(amounts)
        .map(|((place, gathered), amounts)| Site {
            place,
            amounts,
            live: gathered.live,
            share: if all_bytes > 0.0 { gathered.live.bytes / all_bytes } else { 0.0 },
            oldest_age_ms: gathered.oldest_ms.map(|born| uptime_ms.saturating_sub(born)),
        })
        .collect();
    sites.sort_by(|a, b| {
        let by_bytes = b.amounts.live_bytes.estimate.total_cmp(&a.amounts.live_bytes.estimate);
        by_bytes.then_with(|| a.place.id.cmp(&b.place.id))
    });
    Sites { frames: places.table, sites, total: everything.amounts(), by, jvms_own: JvmsOwn::default() }
}
