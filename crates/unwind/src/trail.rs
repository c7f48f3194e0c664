//! The trail of a thread's last walk: the next one mostly ends in the same callers.
//!
//! Where a position recurs (pc, sp and rbp, in the same module), so does its rule, and with it the place of the next return
//! address and of the saved rbp. What lies there is read again and compared. So a walk that has come upon the trail follows it
//! without looking rules up, and without waiting for one read before the next, since the processor guesses the comparisons
//! right; from the first that differs on it looks up again, until it comes upon the trail anew where the stacks join.
//!
//! ```text
//!   last walk     malloc < inflateInit < load < main < start          sp ──>
//!   this one      malloc < parse < next < load < main < start
//!                 looked up ───────────> followed ───────────
//! ```
//!
//! The list begins at the root, so that what is followed stays where it is, and only what was looked up is written. Two
//! neighbours in it are always a place and the one that its rule leads to: that holds for as long as the module is loaded.

#![forbid(unsafe_code)]

use crate::stack::StackBounds;
use crate::walk::Registers;

/// Most places of a trail; the leaf's give way.
const MOST: usize = 64;

/// A position of a walk, and what its rule said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    registers: Registers,
    /// Of the module.
    identity: u64,
    saved_bp: SavedBp,
}

/// Where a position's caller finds its rbp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct SavedBp(usize);

impl SavedBp {
    /// The step is not one by a plain rule, so it cannot be followed.
    pub const NO_PLAIN_STEP: SavedBp = SavedBp(0);
    /// It is as it was.
    pub const SAME: SavedBp = SavedBp(1);

    /// In memory.
    #[inline(always)]
    pub fn at(address: usize) -> SavedBp {
        SavedBp(address)
    }
}

impl Place {
    const NONE: Place =
        Place { registers: Registers { pc: 0, sp: 0, bp: 0 }, identity: 0, saved_bp: SavedBp::NO_PLAIN_STEP };
}

/// The positions of the last walk. All bytes zero at first, 5 KiB.
pub struct Trail {
    /// The root first.
    places: [Place; MOST],
    len: usize,
    /// What a walk looks up, leaf first.
    fresh: [Place; MOST],
}

impl Trail {
    /// No walk yet.
    #[expect(clippy::new_without_default, reason = "5 KiB belong into a static, never onto a stack")]
    pub const fn new() -> Trail {
        Trail { places: [Place::NONE; MOST], len: 0, fresh: [Place::NONE; MOST] }
    }
}

impl AsMut<Trail> for Trail {
    fn as_mut(&mut self) -> &mut Trail {
        self
    }
}

/// A walk along the trail of the last one, which leaves its own.
pub(crate) struct Follower<T: AsMut<Trail>> {
    trail: T,
    /// Where on the trail the walk is, or the next place that it may come upon: this many are towards the root of it.
    at: usize,
    /// How many places were left of the trail where the walk came upon it; 0 while it is beside it.
    joined: usize,
    /// Places in `fresh`.
    looked_up: usize,
    /// Some found no room there.
    is_broken: bool,
}

impl<T: AsMut<Trail>> Follower<T> {
    /// Begins a walk.
    #[inline]
    pub fn new(mut trail: T) -> Self {
        let len = trail.as_mut().len;
        Follower { trail, at: len, joined: 0, looked_up: 0, is_broken: false }
    }

    /// Whether the walk is upon the trail.
    #[inline(always)]
    pub fn is_upon(&mut self, registers: Registers) -> bool {
        let places = &self.trail.as_mut().places;
        let at = |at: usize| places.get(at.wrapping_sub(1)).map(|place| place.registers);
        if self.joined != 0 {
            let next = self.at.wrapping_sub(1);
            let is_next = at(next) == Some(registers);
            self.at = if is_next { next } else { self.at };
            return is_next;
        }
        while at(self.at).is_some_and(|place| place.sp < registers.sp) {
            self.at = self.at.wrapping_sub(1);
        }
        let is_upon = at(self.at) == Some(registers);
        self.joined = if is_upon { self.at } else { 0 };
        is_upon
    }

    /// Follows the trail from where [`Follower::is_upon`] has found the walk to be: the return addresses left behind, leaf
    /// first, and the position that was come to. `is_loaded` is asked whether a pc still lies in the module of that identity,
    /// once for each change of modules.
    #[inline]
    pub fn go_on<'f>(
        &'f mut self,
        stack: StackBounds,
        is_loaded: &mut dyn FnMut(usize, u64) -> bool,
    ) -> (impl ExactSizeIterator<Item = usize> + use<'f, T>, Registers) {
        let ahead = self.trail.as_mut().places.get(..self.at).unwrap_or(&[]);
        let left = ahead.len().wrapping_sub(steps_that_hold(ahead, stack, is_loaded));
        self.at = left;
        let followed = ahead.get(left..).unwrap_or(&[]);
        let come_to = ahead.get(left.wrapping_sub(1)).unwrap_or(&Place::NONE);
        (followed.iter().rev().map(|place| place.registers.pc), come_to.registers)
    }

    /// Notes a position whose rule was looked up.
    #[inline(always)]
    pub fn note(&mut self, registers: Registers, identity: u64, saved_bp: SavedBp) {
        let place = Place { registers, identity, saved_bp };
        if self.joined != 0 {
            match self.trail.as_mut().places.get(self.at.wrapping_sub(1)) {
                Some(here) if *here == place => return,
                // Its rule is another.
                Some(here) if here.registers == registers => self.leave(self.at),
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
            if let Some(place) = self.trail.as_mut().places.get(index).copied() {
                self.add(place);
            }
        }
        self.joined = 0;
    }

    #[inline(always)]
    fn add(&mut self, place: Place) {
        match self.trail.as_mut().fresh.get_mut(self.looked_up) {
            Some(room) => {
                *room = place;
                self.looked_up = self.looked_up.wrapping_add(1);
            }
            None => self.is_broken = true,
        }
    }

    /// The walk is over: what it looked up comes before what it followed.
    #[inline]
    pub fn end(mut self) {
        let kept = if self.is_broken { 0 } else { self.joined };
        let Trail { places, len, fresh } = self.trail.as_mut();
        let fresh = fresh.get(..self.looked_up).unwrap_or(&[]);
        let room = places.get_mut(kept..).unwrap_or(&mut []);
        *len = kept.wrapping_add(fresh.len()).min(MOST);
        for (room, place) in room.iter_mut().zip(fresh.iter().rev()) {
            *room = *place;
        }
    }
}

/// How many of the last places have the one before them as their caller still.
#[inline(never)] // so that the loop has the registers for itself
fn steps_that_hold(places: &[Place], stack: StackBounds, is_loaded: &mut dyn FnMut(usize, u64) -> bool) -> usize {
    let mut known = None;
    let holds = |pair: &&[Place]| {
        let [caller, here] = pair else { return false };
        let next = caller.registers;
        if known != Some(here.identity) {
            known = is_loaded(here.registers.pc, here.identity).then_some(here.identity);
        }
        let is_same = match here.saved_bp {
            SavedBp::NO_PLAIN_STEP => false,
            SavedBp::SAME => true,
            SavedBp(address) => stack.word(address) == Some(next.bp),
        };
        known.is_some() && is_same && stack.word(next.sp.wrapping_sub(8)) == Some(next.pc)
    };
    places.windows(2).rev().take_while(holds).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAVED: usize = 4;
    /// Bytes from one frame to the next.
    const FRAME: usize = 64;

    /// A stack of frames with these pcs, each with its caller's rbp saved in the word `SAVED` of it.
    struct Stack {
        memory: Vec<usize>,
        places: Vec<Place>,
    }

    impl Stack {
        fn of(frames: &[(usize, usize)]) -> Stack {
            Stack { memory: vec![0; 8 * 80], places: vec![] }.filled(frames)
        }

        /// The same memory, with frames of these pcs and rbps, leaf first.
        fn filled(mut self, frames: &[(usize, usize)]) -> Stack {
            let low = self.memory.as_ptr().addr();
            let place = |(index, (pc, bp)): (usize, &(usize, usize))| {
                let sp = low + index * FRAME;
                let saved_bp = SavedBp::at(sp + 8 * SAVED);
                Place { registers: Registers { pc: *pc, sp, bp: *bp }, identity: 7, saved_bp }
            };
            self.places = frames.iter().enumerate().map(place).collect();
            for (index, place) in self.places.iter().enumerate().skip(1) {
                let words = index * FRAME / 8;
                self.memory[words - 1] = place.registers.pc;
                self.memory[words - 8 + SAVED] = place.registers.bp;
            }
            self
        }

        /// Walks it along the trail; how many places were looked up.
        fn walk(&self, trail: &mut Trail, loaded: u64) -> usize {
            let bounds = StackBounds::of_words(&self.memory);
            let mut follower = Follower::new(trail);
            let (mut index, mut looked_up) = (0, 0);
            while let Some(place) = self.places.get(index) {
                if follower.is_upon(place.registers) {
                    let (pcs, come_to) = follower.go_on(bounds, &mut |_, identity| identity == loaded);
                    for pc in pcs {
                        assert_eq!(pc, self.places[index].registers.pc);
                        index += 1;
                    }
                    assert_eq!(come_to, self.places[index].registers);
                }
                follower.note(self.places[index].registers, loaded, self.places[index].saved_bp);
                looked_up += 1;
                index += 1;
            }
            follower.end();
            looked_up
        }
    }

    fn frames() -> Vec<(usize, usize)> {
        (1..=10).map(|n| (n * 0x100, n)).collect()
    }

    #[test]
    fn what_recurs_is_followed_to_the_root() {
        let (stack, mut trail) = (Stack::of(&frames()), Trail::new());
        assert_eq!([(); 3].map(|()| stack.walk(&mut trail, 7)), [10, 1, 1], "the root has no caller to compare with");
    }

    #[test]
    fn what_differs_is_looked_up_until_the_stacks_join() {
        let mut trail = Trail::new();
        let mut stack = Stack::of(&frames());
        // Place, its pc and rbp, and what has to be looked up: the place before, whose caller it is, the place, and the root.
        for (at, pc, bp, expected) in [(5, 0x9000, 6, 3), (5, 0x600, 60, 3), (0, 0x9000, 1, 2), (9, 0x9000, 10, 2)] {
            stack = stack.filled(&frames());
            stack.walk(&mut trail, 7);
            let mut frames = frames();
            frames[at] = (pc, bp);
            stack = stack.filled(&frames);
            assert_eq!(stack.walk(&mut trail, 7), expected, "{at} {pc:#x} {bp}");
            assert_eq!(stack.walk(&mut trail, 7), 1, "the same again");
        }
    }

    #[test]
    fn a_step_by_no_plain_rule_is_looked_up_each_time() {
        let (mut stack, mut trail) = (Stack::of(&frames()), Trail::new());
        stack.places[4].saved_bp = SavedBp::NO_PLAIN_STEP;
        assert_eq!([(); 3].map(|()| stack.walk(&mut trail, 7)), [10, 2, 2]);
    }

    #[test]
    fn what_is_loaded_no_more_is_not_followed() {
        let (stack, mut trail) = (Stack::of(&frames()), Trail::new());
        stack.walk(&mut trail, 7);
        assert_eq!([(); 2].map(|()| stack.walk(&mut trail, 8)), [10, 1], "another library in its place");
    }

    #[test]
    fn of_a_stack_that_is_too_deep_the_leaf_is_looked_up() {
        let deep: Vec<_> = (1..=80).map(|n| (n * 0x100, n)).collect();
        let (stack, mut trail) = (Stack::of(&deep), Trail::new());
        // Of the first walk the places near the root found no room.
        assert_eq!([(); 3].map(|()| stack.walk(&mut trail, 7)), [80, 17, 17]);
    }
}
