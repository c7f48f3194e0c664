//! One recorded process: its session, and all that has been learnt about it so far.

use crate::clock;
use crate::drain::{Churn, Drain};
use crate::facts::ProcessFacts;
use crate::governor::Governor;
use crate::interval;
use crate::java::JavaNames;
use crate::kept::Kept;
use crate::losses::DeskLoss;
use crate::modules::{self, Modules};
use crate::native::{NativeCache, NativeNames};
use crate::regions::Regions;
use crate::residence::{Residence, Span};
use crate::rows::{Found, OTHERS, Rows, intervals};
use crate::shared::SharedSession;
use crate::stacks::Stacks;
use crate::threads::Threads;
use crate::tracked::TrackedSums;
use leakscope_profile::timeline::Tracked;
use leakscope_profile::{
    Code, FrameId, Function, IntervalChange, ModuleId, Profile, ProfileBuilder, Settings, Snapshot, StackId, Target,
    Totals,
};
use leakscope_sampling::Scaled;
use leakscope_session::frame::{Decoded, FrameWord, Marker};
use leakscope_session::header::{JvmState, Word};
use leakscope_session::losses::Loss;
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

/// Addresses asked about at once: the answers take some hundred bytes each.
const MOST_ASKED: usize = 4096;
/// Frames added before it is seen whether pages of their names are to be given back.
const FRAMES_CHUNK: usize = 64;
/// How long a snapshot waits for the lines of frames that were new: some ticks of the helper, which a collection may hold up.
const NAMES_PATIENCE: Duration = Duration::from_secs(1);
/// Between two looks whether they are there: the helper tells nobody, it makes no system call for our sake.
const NAMES_LOOK: Duration = Duration::from_millis(5);
/// Depths beyond this are not believed.
const MOST_DEPTH: u64 = 1024;

/// Which snapshot is taken, and why.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Occasion {
    /// Number of the snapshot in its session, from 0; `None`: the number of the epoch, where nobody has counted.
    pub index: Option<u32>,
    /// `interval`, `final`, `limit-80`, `limit-90`, `limit-95`, `request`, `checkpoint` or `recover`.
    pub reason: String,
    /// Version of leakscope.
    pub version: String,
    /// Whether what is in memory is read anew, whatever that costs: somebody waits for this snapshot.
    pub is_awaited: bool,
    /// Losses that the caller knows of.
    pub losses: BTreeMap<String, u64>,
}

/// The reader of one session.
pub struct Collector {
    shared: SharedSession,
    drain: Drain,
    java: JavaNames,
    modules: Modules,
    native: NativeCache,
    threads: Threads,
    residence: Residence,
    governor: Option<Governor>,
    sums: TrackedSums,
}

impl Collector {
    /// Starts reading a session, whose sampling interval stays what it is.
    pub fn new(shared: SharedSession) -> Self {
        Self {
            shared,
            drain: Drain::default(),
            java: JavaNames::default(),
            modules: Modules::default(),
            native: NativeCache::default(),
            threads: Threads::default(),
            residence: Residence::default(),
            governor: None,
            sums: TrackedSums::default(),
        }
    }

    /// The same, with somebody who raises the sampling interval where that is needed.
    pub fn governed(self, governor: Option<Governor>) -> Self {
        Self { governor, ..self }
    }

    /// Raises the sampling interval if sampling costs or loses too much; how it was changed, if it was. To be called
    /// about once a second while the target lives.
    pub fn govern(&mut self, facts: &ProcessFacts) -> Option<IntervalChange> {
        interval::govern(self.governor.as_mut()?, &self.shared, facts)
    }

    /// The session itself.
    pub fn shared(&self) -> &SharedSession {
        &self.shared
    }

    /// How far the target's Java side has come.
    pub fn jvm_state(&self) -> JvmState {
        JvmState::from_word(self.shared.session().header.get(Word::JvmState))
    }

    /// The file whose malloc the target calls instead of the shim's, so that none of it is recorded; `None` where the
    /// calls are recorded.
    pub fn bypassed_by(&self, facts: &ProcessFacts) -> Option<String> {
        let session = self.shared.session();
        let address = session.header.get(Word::OtherMalloc);
        (address != 0).then(|| modules::path_at(&session.modules, address, &facts.exe))
    }

    /// Empties the ring. Bounded work.
    pub fn drain(&mut self, target_is_dead: bool) {
        self.drain.drain(&self.shared, target_is_dead);
    }

    /// What the ring has told so far.
    pub fn churn(&self) -> Churn {
        self.drain.churn()
    }

    /// What of each mapping was just seen in memory: the last snapshot is taken when nothing of it is.
    pub(crate) fn note_memory(&mut self, spans: Vec<Span>) {
        self.residence.note(spans);
    }

    /// Opens the files of modules that are new in the session, and looks which threads have ended. To be called often
    /// while the target lives: a library may be deleted right after it was loaded.
    pub fn notice_modules(&mut self, facts: &ProcessFacts, names: &mut dyn NativeNames) {
        self.modules.update(&self.shared.session().modules, facts, names);
        self.threads.update_now_and_then(&self.shared, facts);
    }

    /// Takes a snapshot: closes the epoch, then reads what was born in it or before and is live.
    ///
    /// Works the same when the target is dead. The profile passes [`Profile::check`], whatever the session holds.
    pub fn snapshot(&mut self, facts: &ProcessFacts, names: &mut dyn NativeNames, occasion: &Occasion) -> Profile {
        // First, so that blocks that are born during the scan are known for what they are.
        let closed = self.shared.close_epoch();
        let snapshot = self.describe(closed, occasion);
        let regions = Regions::read(&self.shared, facts);
        self.threads.update(&self.shared, facts);
        let kept = Kept::choose(&self.shared, |visit| self.visit_live(&regions, visit));
        let mut rows = Rows::scan(&self.shared, &kept, closed);
        match occasion.is_awaited {
            true => self.residence.update_now(facts.pid),
            false => self.residence.update(facts.pid),
        }
        let mut look = self.residence.look(facts.pid);
        rows.add_regions(&regions.live, &mut look);
        self.threads.scan(&self.shared, |thread| rows.add_thread(&thread, &mut look));
        let mut found = rows.finish();
        let live = found.live_stacks();
        let ids = kept.ids(&self.shared, |id| live.get(id as usize).copied().unwrap_or(false));
        let mut stacks = Stacks::read(&self.shared, &ids);
        self.notice_modules(facts, names);
        self.read_java_names(&stacks.words);
        self.shared.release();
        self.name_native_frames(&stacks, facts, names);

        let target = Target { bypassed_by: self.bypassed_by(facts).unwrap_or_default(), ..facts.target() };
        let mut builder = ProfileBuilder::new(target, snapshot, self.settings(occasion));
        builder.reserve(stacks.words.len(), stacks.stacks.len());
        builder.loss(DeskLoss::FramesFull.name(), stacks.nameless);
        let frames = self.add_frames(&mut builder, std::mem::take(&mut stacks.words));
        let ids = add_stacks(&mut builder, stacks, &frames);
        let others = kept.others.map(|totals| add_others(&mut builder, &totals));
        self.add_losses(&mut builder, &found, occasion);
        builder.loss(DeskLoss::StacksMerged.name(), kept.merged);
        builder.loss(Loss::MissedUnmaps.name(), regions.missed_unmaps);
        drop((regions, frames));
        for row in &mut found.rows {
            row.stack = match ids.get(&row.stack.0) {
                Some(known) => *known,
                // An id beyond the depot is as good as a stack that found no room.
                None => others.filter(|_| row.stack == OTHERS).unwrap_or_else(|| add_unknown(&mut builder)),
            };
        }
        builder.add_rows(found.rows);
        builder.memory(facts.memory());
        self.shared.release();
        builder.finish()
    }

    /// What is live now, by the word of its kind, without the JVM's own: a scan of the live table. A kind of which
    /// nothing is live is absent; malloc is always there.
    pub fn tracked(&mut self) -> BTreeMap<String, Tracked> {
        self.sums.read(&self.shared, &self.threads, &self.modules)
    }

    /// Milliseconds since recording started.
    pub fn uptime_ms(&self) -> u64 {
        let header = self.shared.session().header;
        clock::uptime_ms(header.get(Word::StartMonotonicNs), header.get(Word::StartUnixNs))
    }

    /// Calls `visit` with stack and estimated bytes of everything that is live.
    fn visit_live(&self, regions: &Regions, visit: &mut dyn FnMut(u32, u64)) {
        let intervals = intervals(&self.shared);
        self.shared.scan_live(|_, entry| {
            if let Some(interval) = intervals.get(usize::from(entry.interval)) {
                visit(entry.stack, Scaled::sample(entry.size, *interval).bytes as u64);
            }
        });
        regions.live.iter().for_each(|region| visit(region.stack, region.bytes()));
        self.threads.scan(&self.shared, |thread| visit(thread.stack, thread.stack_bytes));
    }

    fn describe(&self, closed: u32, occasion: &Occasion) -> Snapshot {
        let header = self.shared.session().header;
        Snapshot {
            session: header.session_id(),
            index: occasion.index.unwrap_or(closed),
            epoch: closed,
            time_unix_ns: clock::unix_ns(),
            uptime_ms: self.uptime_ms(),
            reason: occasion.reason.clone(),
        }
    }

    fn settings(&self, occasion: &Occasion) -> Settings {
        let header = self.shared.session().header;
        Settings {
            interval_bytes: header.current_interval().0,
            native_depth: header.get(Word::NativeDepth).min(MOST_DEPTH) as u32,
            java_depth: header.get(Word::JavaDepth).min(MOST_DEPTH) as u32,
            version: occasion.version.clone(),
            changes: interval::changes(&header),
        }
    }

    /// Reads the names of Java frames; waits for the helper where some of these frames are too new for it.
    fn read_java_names(&mut self, words: &[FrameWord]) {
        let nodes = u64::from(self.shared.session().depot.node_ids());
        let end = Instant::now() + NAMES_PATIENCE;
        loop {
            // Asked before they are read: what it did last is not missed.
            let is_naming = self.is_naming(nodes) && Instant::now() < end;
            self.java.update(&self.shared.session().java);
            if !is_naming || self.java.know_all(words) {
                return;
            }
            std::thread::sleep(NAMES_LOOK);
            self.drain(false);
        }
    }

    /// Whether the helper is still to name frames among so many nodes.
    fn is_naming(&self, nodes: u64) -> bool {
        let named = self.shared.session().header.get(Word::ResolvedNodes);
        named < nodes && self.jvm_state() == JvmState::Ready && self.shared.is_held()
    }

    /// Asks for the names of native frames that are new, one module at a time.
    fn name_native_frames(&mut self, stacks: &Stacks, facts: &ProcessFacts, names: &mut dyn NativeNames) {
        let mut wanted: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
        for word in &stacks.words {
            if let Decoded::Native(address) = word.decode()
                && let Some(module) = self.modules.find(address)
                && self.native.is_new(module, address)
            {
                wanted.entry(module).or_default().push(address);
            }
        }
        for (index, addresses) in wanted {
            let Some(module) = self.modules.known().get(index) else { continue };
            for addresses in addresses.chunks(MOST_ASKED) {
                let mut answers = names.names(module, module.open(facts), addresses);
                answers.resize(addresses.len(), None);
                for (address, name) in addresses.iter().zip(answers) {
                    self.native.put(index, *address, name.filter(|name| !name.name.is_empty()));
                }
            }
        }
    }

    /// Adds every frame; the result is by its number.
    fn add_frames(&self, builder: &mut ProfileBuilder, words: Vec<FrameWord>) -> Vec<FrameId> {
        let modules: Vec<ModuleId> = self.modules.known().iter().map(|k| builder.module(k.module.clone())).collect();
        let mut java = self.java.resolver(self.shared.session().java);
        let mut add = |word: &FrameWord| match word.decode() {
            Decoded::Native(0) => builder.marker("[damaged frame]"),
            Decoded::Native(address) => self.add_native(builder, &modules, address),
            Decoded::Java { .. } => java.add(builder, *word),
            Decoded::Marker(marker) => builder.marker(marker.text()),
        };
        let mut frames = Vec::with_capacity(words.len());
        for words in words.chunks(FRAMES_CHUNK) {
            frames.extend(words.iter().map(&mut add));
            self.shared.ease();
        }
        let unnamed = java.unnamed;
        builder.loss(Loss::NamesFull.name(), unnamed);
        frames
    }

    fn add_native(&self, builder: &mut ProfileBuilder, modules: &[ModuleId], address: u64) -> FrameId {
        let index = self.modules.find(address);
        let module = index.and_then(|index| modules.get(index).copied());
        match index.and_then(|index| self.native.get(index, address)) {
            Some(name) => {
                let function =
                    Function { name: name.name.clone(), system_name: name.system_name.clone(), file: String::new() };
                builder.frame(Code::Native { module, address }, function, 0, false)
            }
            None => builder.native_frame(module, address),
        }
    }

    fn add_losses(&self, builder: &mut ProfileBuilder, found: &Found, occasion: &Occasion) {
        let losses = self.shared.session().losses;
        for loss in Loss::ALL {
            builder.loss(loss.name(), losses.get(*loss));
        }
        let churn = self.churn();
        builder.loss(DeskLoss::RingTorn.name(), churn.torn);
        builder.loss(DeskLoss::RingSkipped.name(), churn.skipped);
        builder.loss(DeskLoss::EntriesDamaged.name(), found.damaged);
        builder.loss(DeskLoss::RowsFull.name(), found.moved);
        for (name, count) in &occasion.losses {
            builder.loss(name, *count);
        }
    }
}

/// Adds the stacks with their totals; the result is by id in the depot.
fn add_stacks(builder: &mut ProfileBuilder, stacks: Stacks, frames: &[FrameId]) -> HashMap<u32, StackId> {
    let mut ids = HashMap::with_capacity(stacks.stacks.len());
    for stack in stacks.stacks {
        let (id, totals) = (stack.id, stack.totals);
        let known = builder.stack(stack.into_frames(frames));
        builder.totals(known, &totals);
        ids.insert(id, known);
    }
    ids
}

/// Adds the stack that stands for those which are not kept apart.
fn add_others(builder: &mut ProfileBuilder, totals: &Totals) -> StackId {
    let marker = builder.marker("[other stacks]");
    let id = builder.stack([marker]);
    builder.totals(id, totals);
    id
}

/// Adds the stack of blocks whose stack is not known.
fn add_unknown(builder: &mut ProfileBuilder) -> StackId {
    let marker = builder.marker(Marker::DepotFull.text());
    builder.stack([marker])
}
