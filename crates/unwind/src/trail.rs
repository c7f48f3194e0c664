//! The trails of a thread's last walks: the next one mostly ends in the same callers, or is the same altogether.
//!
//! Where a position recurs (pc and sp, and rbp if it matters, in the same module), so does its rule, and with it the place of
//! the next return address and of the saved rbp. What lies there is read again and compared. So a walk that has come upon the
//! trail follows it without looking rules up, and without waiting for one read before the next, since the processor guesses
//! the comparisons right; from the first that differs on it looks up again, until it comes upon the trail anew where the
//! stacks join.
//!
//! ```text
//!   last walk     malloc < inflateInit < load < main < start          sp ──>
//!   this one      malloc < parse < next < load < main < start
//!                 looked up ───────────> followed ───────────
//! ```
//!
//! The list begins at the root, so that what is followed stays where it is, and only what was looked up is written. Two
//! neighbours in it are always a place and the one that its rule leads to: that holds for as long as the module is loaded.
//! Where it can be followed from the leaf to the root, the stack is the one that it was, and is called by the same name.
//!
//! There are several, told apart by the place where walks begin.

#![allow(unsafe_code)] // reads a part of the stack that was compared with its bounds as a whole

use core::num::{NonZeroU32, NonZeroUsize};
use core::sync::atomic::{AtomicU32, Ordering, compiler_fence};

use crate::module::Span;
use crate::stack::StackBounds;
use crate::walk::Registers;

/// Most places of a trail; the leaf's give way.
const MOST: usize = 64;
/// Trails of a thread that walks a lot: a power of two.
const TRAILS: usize = 64;
/// Trails of one that has just begun, and how many walks for each of them it makes before it gets twice as many. Few threads do,
/// and the others' trails take few pages.
const FIRST_TRAILS: usize = 8;
const WALKS_EACH: u32 = 256;

const NO_WALK: u32 = 0;

/// A position of a walk, and what its rule said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    registers: Registers,
    saved_bp: SavedBp,
    code: Code,
    /// Where the caller's rbp has to be compared: 0 if it need not be. Known once the caller is.
    compare_bp_at: usize,
}

/// Whose code a position lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Code(u64);

impl Code {
    /// A module's that is never unloaded.
    pub const STAYS: Code = Code(1);
    /// Any; the step from there is not one by a plain rule, so it cannot be followed.
    const NOT_FOLLOWED: Code = Code(0);

    /// The module's with that identity.
    #[inline(always)]
    pub fn of(module: &Span) -> Code {
        match module.identity {
            _ if module.stays => Code::STAYS,
            identity if identity > Code::STAYS.0 => Code(identity),
            _ => Code::NOT_FOLLOWED,
        }
    }

    /// The identity of the module; `None` for the two above.
    #[inline(always)]
    fn identity(self) -> Option<u64> {
        (self.0 > Code::STAYS.0).then_some(self.0)
    }
}

/// Where a position's caller finds its rbp, and whether the position's own matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct SavedBp(usize);

impl SavedBp {
    /// It is as it was.
    pub const SAME: SavedBp = SavedBp(1);
    /// Added to the address where it is saved by a frame that is found by rsp: the rbp that such a frame was called with is of no
    /// use to the walk. (It is often a variable of the caller's, and another at each call.)
    const UNUSED: usize = 2;

    /// In memory. The frame itself is found by rsp or not.
    #[inline(always)]
    pub fn at(address: usize, is_by_sp: bool) -> SavedBp {
        SavedBp(if is_by_sp { address | SavedBp::UNUSED } else { address })
    }

    #[inline(always)]
    fn is_bp_unused(self) -> bool {
        self.0 & SavedBp::UNUSED != 0
    }

    /// Its address; 0 if it is as it was.
    #[inline(always)]
    fn address(self) -> usize {
        self.0 & !(SavedBp::SAME.0 | SavedBp::UNUSED)
    }
}

impl Place {
    const NONE: Place = Place {
        registers: Registers { pc: 0, sp: 0, bp: 0 },
        saved_bp: SavedBp::SAME,
        code: Code::NOT_FOLLOWED,
        compare_bp_at: 0,
    };

    /// Whether a walk with these registers goes on as it did from here.
    #[inline(always)]
    fn is_at(&self, registers: Registers) -> bool {
        let Registers { pc, sp, bp } = self.registers;
        pc == registers.pc && sp == registers.sp && (bp == registers.bp || self.saved_bp.is_bp_unused())
    }

    /// Its caller is known: notes what has to be compared. Everything that is lies, aligned, between the two stack pointers;
    /// where that is not so the step is not followed.
    #[inline(always)]
    fn meet(&mut self, caller: &Place) {
        let (from, to) = (self.registers.sp, caller.registers.sp);
        let saved_bp = self.saved_bp.address();
        self.compare_bp_at = if caller.saved_bp.is_bp_unused() { 0 } else { saved_bp };
        let is_between = |address: usize| from <= address && address < to && address & 7 == 0;
        if !is_between(to.wrapping_sub(8)) || (saved_bp != 0 && !is_between(saved_bp)) {
            self.code = Code::NOT_FOLLOWED;
        }
    }
}

/// The positions of a walk. What is not used comes last.
#[repr(C)]
struct Trail {
    len: usize,
    root: Root,
    /// What the owner calls this stack; 0 if it has not said so, or the trail does not lead from the leaf to the root.
    name: u32,
    /// The root first.
    places: [Place; MOST],
}

/// How a walk ended at the outermost frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Root {
    code: Code,
    /// Where the return address lies, if it is 0.
    zero_at: Option<NonZeroUsize>,
}

impl Root {
    /// It did not, or not so that it could be compared with another.
    pub const NOT_REACHED: Root = Root { code: Code::NOT_FOLLOWED, zero_at: None };

    /// The tables say so.
    #[inline(always)]
    pub fn by_rule(module: &Span) -> Root {
        Root { code: Code::of(module), zero_at: None }
    }

    /// The return address is 0; it lies there.
    #[inline(always)]
    pub fn zero_at(address: usize, module: &Span) -> Root {
        Root { code: Code::of(module), zero_at: NonZeroUsize::new(address) }
    }
}

impl Trail {
    const NONE: Trail = Trail { places: [Place::NONE; MOST], len: 0, root: Root::NOT_REACHED, name: 0 };

    fn forget(&mut self) {
        self.len = 0;
        self.name = 0;
    }

    #[inline(always)]
    fn is_from(&self, start: Registers) -> bool {
        self.places.get(self.len.wrapping_sub(1)).is_some_and(|leaf| leaf.is_at(start))
    }
}

/// The last walks of a thread, one for each class of leaves. All bytes zero at first, 200 KiB.
pub struct Trails {
    trails: [Trail; TRAILS],
    /// How many times the number of classes was doubled.
    doublings: u32,
    /// Walks since then.
    walks: u32,
    /// What a walk looks up, leaf first.
    fresh: [Place; MOST],
    /// Number of the last walk.
    last: u32,
    /// Number of the walk that is under way, 0 if none is. One that is left by longjmp leaves it so.
    walking: AtomicU32,
}

impl Trails {
    /// No walk yet.
    #[expect(clippy::new_without_default, reason = "200 KiB belong into a static, never onto a stack")]
    pub const fn new() -> Trails {
        Trails {
            trails: [Trail::NONE; TRAILS],
            doublings: 0,
            walks: 0,
            fresh: [Place::NONE; MOST],
            last: 0,
            walking: AtomicU32::new(NO_WALK),
        }
    }

    /// Which trail is that of walks from there.
    #[inline(always)]
    fn class_of(&self, start: Registers) -> usize {
        const KEY: usize = 0x9E37_79B9_7F4A_7C15;
        let mixed = (start.pc ^ start.sp.rotate_left(32)).wrapping_mul(KEY);
        let mixed = (mixed ^ mixed.wrapping_shr(32)).wrapping_mul(KEY);
        mixed.wrapping_shr(usize::BITS.wrapping_sub(FIRST_TRAILS.ilog2()).wrapping_sub(self.doublings)) & (TRAILS - 1)
    }

    fn count_walk(&mut self) {
        self.walks = self.walks.wrapping_add(1);
        let classes = FIRST_TRAILS.wrapping_shl(self.doublings);
        if classes < TRAILS && self.walks >= WALKS_EACH.wrapping_mul(classes as u32) {
            self.doublings = self.doublings.wrapping_add(1);
            self.walks = 0;
        }
    }

    /// Forgets all walks, and what they were called.
    pub fn forget(&mut self) {
        // Those that were not used are not touched, so that their pages stay away. (The compiler would repeat it for each.)
        let used = FIRST_TRAILS.wrapping_shl(self.doublings).min(TRAILS);
        let used = self.trails.get_mut(..core::hint::black_box(used)).unwrap_or(&mut []);
        used.iter_mut().filter(|trail| trail.len != 0).for_each(Trail::forget);
        // The number of classes stays: it tells which trails were used.
        self.walks = 0;
        // A handler that jumps out meanwhile must find the mark as long as anything is left.
        compiler_fence(Ordering::SeqCst);
        self.walking.store(NO_WALK, Ordering::Relaxed);
    }

    /// Calls the stack of the walk that was just made from `start` by a number, for [`recall`](crate::recall) to tell. Nothing
    /// happens where the walk did not come to the root, or not by places that can be compared.
    #[inline]
    pub fn name(&mut self, start: Registers, name: NonZeroU32) {
        let class = self.class_of(start);
        let Some(trail) = self.trails.get_mut(class) else { return };
        let is_whole = trail.root != Root::NOT_REACHED && trail.is_from(start);
        trail.name = if is_whole { name.get() } else { 0 };
    }

    /// What the stack of a walk from `start` was called, if it is the same still. `is_loaded` as in [`Follower::go_on`].
    #[inline]
    pub(crate) fn name_of(
        &self,
        start: Registers,
        stack: StackBounds,
        is_loaded: &mut dyn FnMut(usize, u64) -> bool,
    ) -> Option<NonZeroU32> {
        let trail = self.trails.get(self.class_of(start))?;
        let name = NonZeroU32::new(trail.name)?;
        if !trail.is_from(start) || self.walking.load(Ordering::Relaxed) != NO_WALK {
            return None;
        }
        let places = trail.places.get(..trail.len)?;
        let root = places.first()?;
        let is_same = steps_that_hold(places, stack, is_loaded) == places.len().wrapping_sub(1)
            && trail.root.code.identity().is_none_or(|identity| is_loaded(root.registers.pc, identity))
            && trail.root.zero_at.is_none_or(|address| stack.word(address.get()) == Some(0));
        is_same.then_some(name)
    }
}

/// A walk along the trail of the last one, which leaves its own.
pub(crate) struct Follower<'t> {
    trail: &'t mut Trail,
    fresh: &'t mut [Place; MOST],
    number: u32,
    walking: &'t AtomicU32,
    /// Where on the trail the walk is, or the next place that it may come upon: this many are towards the root of it.
    at: usize,
    /// How many places were left of the trail where the walk came upon it; 0 while it is beside it.
    joined: usize,
    /// Places in `fresh`.
    looked_up: usize,
    /// Some found no room there.
    is_broken: bool,
}

impl<'t> Follower<'t> {
    /// Begins a walk.
    #[inline]
    pub fn new(trails: &'t mut Trails, start: Registers) -> Option<Self> {
        if trails.walking.load(Ordering::Relaxed) != NO_WALK {
            trails.forget();
        }
        trails.last = trails.last.wrapping_add(1).max(1);
        let number = trails.last;
        trails.walking.store(number, Ordering::Relaxed);
        // A signal handler on this thread that jumps out of the walk must leave that mark if it leaves anything.
        compiler_fence(Ordering::SeqCst);
        trails.count_walk();
        let class = trails.class_of(start);
        let Trails { trails, fresh, walking, .. } = trails;
        let trail = trails.get_mut(class)?;
        trail.name = 0;
        let at = trail.len;
        Some(Follower { trail, fresh, number, walking, at, joined: 0, looked_up: 0, is_broken: false })
    }

    /// Whether the walk is upon the trail.
    #[inline(always)]
    pub fn is_upon(&mut self, registers: Registers) -> bool {
        let places = &self.trail.places;
        let at = |at: usize| places.get(at.wrapping_sub(1));
        if self.joined != 0 {
            let next = self.at.wrapping_sub(1);
            let is_next = at(next).is_some_and(|place| place.is_at(registers));
            self.at = if is_next { next } else { self.at };
            return is_next;
        }
        while at(self.at).is_some_and(|place| place.registers.sp < registers.sp) {
            self.at = self.at.wrapping_sub(1);
        }
        let is_upon = at(self.at).is_some_and(|place| place.is_at(registers));
        self.joined = if is_upon { self.at } else { 0 };
        is_upon
    }

    /// Follows the trail from `here`, where [`Follower::is_upon`] has found the walk to be: the return addresses left behind, leaf
    /// first, and the position that was come to. `is_loaded` is asked whether a pc still lies in the module of that identity,
    /// once for each change of modules.
    #[inline]
    pub fn go_on<'f>(
        &'f mut self,
        here: Registers,
        stack: StackBounds,
        is_loaded: &mut dyn FnMut(usize, u64) -> bool,
    ) -> (impl ExactSizeIterator<Item = usize> + use<'f>, Registers) {
        let ahead = self.trail.places.get(..self.at).unwrap_or(&[]);
        let left = ahead.len().wrapping_sub(steps_that_hold(ahead, stack, is_loaded));
        self.at = left;
        let followed = ahead.get(left..).unwrap_or(&[]);
        let come_to = match (followed.first(), ahead.get(left.wrapping_sub(1))) {
            // It was not compared where it did not matter; should its rule be another now, it does.
            (Some(last), Some(place)) => {
                let bp = NonZeroUsize::new(last.saved_bp.address()).and_then(|address| stack.word(address.get()));
                Registers { bp: bp.unwrap_or(last.registers.bp), ..place.registers }
            }
            _ => here,
        };
        (followed.iter().rev().map(|place| place.registers.pc), come_to)
    }

    /// Notes a position whose rule was looked up, and the step from there if it is one by a plain rule.
    #[inline(always)]
    pub fn note(&mut self, registers: Registers, step: Option<(Code, SavedBp)>) {
        let (code, saved_bp) = step.unwrap_or((Code::NOT_FOLLOWED, SavedBp::SAME));
        let place = Place { registers, saved_bp, code, compare_bp_at: 0 };
        if self.joined != 0 {
            match self.trail.places.get(self.at.wrapping_sub(1)) {
                Some(here) if here.is_at(registers) && (here.code, here.saved_bp) == (code, saved_bp) => return,
                // Its rule is another.
                Some(here) if here.is_at(registers) => self.leave(self.at),
                _ => self.leave(self.at.wrapping_sub(1)),
            }
        }
        self.add(place);
    }

    /// The walk goes on beside the trail. What it followed, down to the place with that index, is a part of it.
    #[cold]
    #[inline(never)]
    fn leave(&mut self, last: usize) {
        for index in (last..self.joined).rev() {
            if let Some(place) = self.trail.places.get(index).copied() {
                self.add(place);
            }
        }
        self.joined = 0;
    }

    #[inline(always)]
    fn add(&mut self, place: Place) {
        match self.fresh.get_mut(self.looked_up) {
            Some(room) => {
                *room = place;
                self.looked_up = self.looked_up.wrapping_add(1);
            }
            None => self.is_broken = true,
        }
    }

    /// The walk is over: what it looked up comes before what it followed.
    #[inline]
    pub fn end(self, root: Root) {
        if self.walking.load(Ordering::Relaxed) != self.number {
            // Another walk has come in between, and has used what is ours.
            self.trail.forget();
            return;
        }
        let kept = if self.is_broken { 0 } else { self.joined };
        let Trail { places, len, root: end, .. } = self.trail;
        let fresh = self.fresh.get(..self.looked_up).unwrap_or(&[]);
        let room = places.get_mut(kept..).unwrap_or(&mut []);
        *end = if self.is_broken || fresh.len() > room.len() { Root::NOT_REACHED } else { root };
        *len = kept.wrapping_add(fresh.len()).min(MOST);
        for (room, place) in room.iter_mut().zip(fresh.iter().rev()) {
            *room = *place;
        }
        for index in kept.max(1)..*len {
            let Some([caller, here]) = places.get_mut(index.wrapping_sub(1)..).and_then(<[Place]>::first_chunk_mut)
            else {
                break;
            };
            here.meet(caller);
        }
        compiler_fence(Ordering::SeqCst);
        self.walking.store(NO_WALK, Ordering::Relaxed);
    }
}

/// How many of the last places have the one before them as their caller still.
#[inline(never)] // so that the loop has the registers for itself
fn steps_that_hold(places: &[Place], stack: StackBounds, is_loaded: &mut dyn FnMut(usize, u64) -> bool) -> usize {
    let (Some(root), Some(leaf)) = (places.first(), places.last()) else { return 0 };
    if !stack.covers(leaf.registers.sp, root.registers.sp) {
        return 0;
    }
    let mut known = Code::STAYS;
    let mut steps = 0_usize;
    for pair in places.windows(2).rev() {
        let [caller, here] = pair else { break };
        if here.code != known {
            let is_there = match here.code.identity() {
                Some(identity) => is_loaded(here.registers.pc, identity),
                None => here.code == Code::STAYS,
            };
            if !is_there {
                break;
            }
            known = here.code;
        }
        let Registers { pc, sp, bp } = caller.registers;
        if sp > root.registers.sp {
            break;
        }
        // SAFETY: what is compared of a place that is followed lies, aligned, between its stack pointer and its caller's
        // (`Place::meet`). So all places so far lie one above the other, the leaf lowest, and this caller is not above the root:
        // it is within what was found to be covered.
        let is_same = unsafe {
            (here.compare_bp_at == 0 || stack.covered_word(here.compare_bp_at) == bp)
                && stack.covered_word(sp.wrapping_sub(8)) == pc
        };
        if !is_same {
            break;
        }
        steps = steps.wrapping_add(1);
    }
    steps
}

#[cfg(test)]
#[path = "trail/tests.rs"]
mod tests;
