use super::*;

const SAVED: usize = 4;
/// Bytes from one frame to the next.
const FRAME: usize = 64;
/// Of the module.
const IDENTITY: u64 = 7;

/// A stack of frames with these pcs, each with its caller's rbp saved in the word `SAVED` of it.
struct Stack {
    memory: Vec<usize>,
    places: Vec<Place>,
    /// Those whose step is not one by a plain rule.
    not_plain: Vec<usize>,
    is_by_sp: bool,
}

fn module(identity: u64) -> Span {
    Span { identity, ..Span::NONE }
}

impl Stack {
    fn of(frames: &[(usize, usize)]) -> Stack {
        Stack { memory: vec![0; 8 * 80], places: vec![], not_plain: vec![], is_by_sp: false }.filled(frames)
    }

    /// The same memory, with frames of these pcs and rbps, leaf first.
    fn filled(mut self, frames: &[(usize, usize)]) -> Stack {
        let low = self.memory.as_ptr().addr();
        let place = |(index, (pc, bp)): (usize, &(usize, usize))| {
            let sp = low + index * FRAME;
            let saved_bp = SavedBp::at(sp + 8 * SAVED, self.is_by_sp);
            let registers = Registers { pc: *pc, sp, bp: *bp };
            Place { registers, saved_bp, code: Code::of(&module(IDENTITY)), compare_bp_at: 0 }
        };
        self.places = frames.iter().enumerate().map(place).collect();
        for (index, place) in self.places.iter().enumerate().skip(1) {
            let words = index * FRAME / 8;
            self.memory[words - 1] = place.registers.pc;
            self.memory[words - 8 + SAVED] = place.registers.bp;
        }
        self
    }

    fn bounds(&self) -> StackBounds {
        StackBounds::of_words(&self.memory)
    }

    /// Walks it along the trails; how many places were looked up.
    fn walk(&self, trails: &mut Trails, loaded: u64) -> usize {
        let mut follower = Follower::new(trails, self.places[0].registers).unwrap();
        let (mut index, mut looked_up) = (0, 0);
        while let Some(place) = self.places.get(index) {
            if follower.is_upon(place.registers) {
                let (pcs, come_to) =
                    follower.go_on(place.registers, self.bounds(), &mut |_, identity| identity == loaded);
                for pc in pcs {
                    assert_eq!(pc, self.places[index].registers.pc);
                    index += 1;
                }
                assert_eq!(
                    (come_to.pc, come_to.sp),
                    (self.places[index].registers.pc, self.places[index].registers.sp)
                );
            }
            let place = self.places[index];
            let is_plain = !self.not_plain.contains(&index) && index + 1 < self.places.len();
            follower.note(place.registers, is_plain.then(|| (Code::of(&module(loaded)), place.saved_bp)));
            looked_up += 1;
            index += 1;
        }
        follower.end(Root::by_rule(&module(loaded)));
        looked_up
    }

    fn name(&self, trails: &mut Trails, name: u32) {
        trails.name(self.places[0].registers, NonZeroU32::new(name).unwrap());
    }

    fn recalled(&self, trails: &Trails, loaded: u64) -> u32 {
        let name = trails.name_of(self.places[0].registers, self.bounds(), &mut |_, identity| identity == loaded);
        name.map_or(0, NonZeroU32::get)
    }
}

fn frames() -> Vec<(usize, usize)> {
    (1..=10).map(|n| (n * 0x100, n)).collect()
}

fn trails() -> Box<Trails> {
    Box::new(Trails::new())
}

/// A stack that was walked and is called 5.
fn walked() -> (Stack, Box<Trails>) {
    let (stack, mut trails) = (Stack::of(&frames()), trails());
    stack.walk(&mut trails, 7);
    stack.name(&mut trails, 5);
    (stack, trails)
}

#[test]
fn what_recurs_is_followed_to_the_root() {
    let (stack, mut trails) = (Stack::of(&frames()), trails());
    assert_eq!([(); 3].map(|()| stack.walk(&mut trails, 7)), [10, 1, 1], "the root has no caller to compare with");
}

#[test]
fn what_differs_is_looked_up_until_the_stacks_join() {
    let mut trails = trails();
    let mut stack = Stack::of(&frames());
    // Another leaf that shares the trail.
    let leaf = stack.places[0].registers;
    let shares = |pc: &usize| trails.class_of(Registers { pc: *pc, ..leaf }) == trails.class_of(leaf);
    let other_leaf = (0x9000..).find(shares).unwrap();
    // Place, its pc and rbp, and what has to be looked up: the place before, whose caller it is, the place, and the root.
    for (at, pc, bp, expected) in [(5, 0x9000, 6, 3), (5, 0x600, 60, 3), (0, other_leaf, 1, 2), (9, 0x9000, 10, 2)] {
        stack = stack.filled(&frames());
        stack.walk(&mut trails, 7);
        stack.name(&mut trails, 5);
        let mut frames = frames();
        frames[at] = (pc, bp);
        stack = stack.filled(&frames);
        assert_eq!(stack.recalled(&trails, 7), 0, "{at} {pc:#x} {bp}");
        assert_eq!(stack.walk(&mut trails, 7), expected, "{at} {pc:#x} {bp}");
        assert_eq!(stack.walk(&mut trails, 7), 1, "the same again");
    }
}

/// The rbp of a frame that is found by rsp, and saves it, is whatever its caller had in it.
#[test]
fn a_register_that_no_frame_is_found_by_may_differ() {
    let mut trails = trails();
    let mut stack = Stack { is_by_sp: true, ..Stack::of(&frames()) }.filled(&frames());
    stack.walk(&mut trails, 7);
    stack.name(&mut trails, 5);
    let mut others: Vec<_> = frames().iter().map(|(pc, bp)| (*pc, bp + 1000)).collect();
    others[9].1 = 10; // the root saves none
    stack = stack.filled(&others);
    assert_eq!(stack.recalled(&trails, 7), 5);
    assert_eq!(stack.walk(&mut trails, 7), 1);
    stack = Stack { is_by_sp: false, ..stack }.filled(&frames());
    trails.forget();
    stack.walk(&mut trails, 7);
    stack.name(&mut trails, 6);
    stack = stack.filled(&others);
    assert_eq!(stack.recalled(&trails, 7), 0, "found by rbp");
}

#[test]
fn a_step_by_no_plain_rule_is_looked_up_each_time() {
    let (mut stack, mut trails) = (Stack::of(&frames()), trails());
    stack.not_plain = vec![4];
    assert_eq!([(); 3].map(|()| stack.walk(&mut trails, 7)), [10, 2, 2]);
    stack.name(&mut trails, 5);
    assert_eq!(stack.recalled(&trails, 7), 0);
}

#[test]
fn what_is_loaded_no_more_is_not_followed() {
    let (stack, mut trails) = walked();
    assert_eq!([stack.recalled(&trails, 8), stack.recalled(&trails, 7)], [0, 5]);
    assert_eq!([(); 2].map(|()| stack.walk(&mut trails, 8)), [10, 1], "another library in its place");
    assert_eq!(stack.recalled(&trails, 8), 0, "and the stack has no name any more");
}

/// Of a stack of one frame nothing is compared but that its module is loaded, or that there still is no return address.
#[test]
fn the_root_is_the_root_still() {
    let (mut stack, mut trails) = (Stack::of(&frames()[..1]), trails());
    stack.walk(&mut trails, 7);
    stack.name(&mut trails, 5);
    assert_eq!([7, 8].map(|loaded| stack.recalled(&trails, loaded)), [5, 0]);

    let start = stack.places[0].registers;
    let mut follower = Follower::new(&mut trails, start).unwrap();
    follower.note(start, Some((Code::STAYS, SavedBp::SAME)));
    follower.end(Root::zero_at(stack.memory.as_ptr().addr() + 8 * 20, &Span { stays: true, ..Span::NONE }));
    stack.name(&mut trails, 6);
    assert_eq!(stack.recalled(&trails, 7), 6);
    stack.memory[20] = 0x1000;
    assert_eq!(stack.recalled(&trails, 7), 0, "it has a caller now");
}

#[test]
fn of_a_stack_that_is_too_deep_the_leaf_is_looked_up() {
    let deep: Vec<_> = (1..=80).map(|n| (n * 0x100, n)).collect();
    let (stack, mut trails) = (Stack::of(&deep), trails());
    // Of the first walk the places near the root found no room.
    assert_eq!([(); 3].map(|()| stack.walk(&mut trails, 7)), [80, 17, 17]);
    stack.name(&mut trails, 5);
    assert_eq!(stack.recalled(&trails, 7), 0);
}

#[test]
fn a_walk_that_was_left_leaves_nothing_that_is_believed() {
    let (stack, mut trails) = walked();
    // Of another class, so that the name is still there.
    let class = trails.class_of(stack.places[0].registers);
    let mut starts = (1..).map(|pc| Registers { pc, sp: 8, bp: 0 });
    let elsewhere = starts.find(|start| trails.class_of(*start) != class).unwrap();
    assert!(Follower::new(&mut trails, elsewhere).is_some(), "a walk begins, and does not end");
    assert_eq!(stack.recalled(&trails, 7), 0);
    assert_eq!(stack.walk(&mut trails, 7), 10);
}

/// A signal handler that was not known to be inside walks in between.
#[test]
fn of_two_walks_at_once_nothing_is_kept() {
    let (stack, mut trails) = walked();
    let start = stack.places[0].registers;
    let class = trails.class_of(start);
    // The other one has ended, or was left.
    for under_way in [NO_WALK, u32::MAX] {
        let mut outer = Follower::new(&mut trails, start).unwrap();
        outer.note(start, Some((Code::STAYS, SavedBp::SAME)));
        outer.walking.store(under_way, Ordering::Relaxed);
        outer.end(Root::by_rule(&module(7)));
        assert_eq!(trails.trails[class].len, 0, "{under_way}");
    }
    assert_eq!((stack.recalled(&trails, 7), stack.walk(&mut trails, 7)), (0, 10));
}

/// Its rbp was not compared; should its rule be another now (another library), the walk needs it.
#[test]
fn where_the_trail_ends_rbp_is_what_the_stack_says() {
    let mut trails = trails();
    let mut stack = Stack { is_by_sp: true, ..Stack::of(&frames()) }.filled(&frames());
    stack.walk(&mut trails, 7);
    let mut others: Vec<_> = frames().iter().map(|(pc, bp)| (*pc, bp + 1000)).collect();
    others[5].0 = 0x9000;
    stack = stack.filled(&others);
    let start = stack.places[0].registers;
    let mut goes_on = |is_loaded: bool| {
        let mut follower = Follower::new(&mut trails, start).unwrap();
        assert!(follower.is_upon(start));
        let (steps, come_to) = {
            let (pcs, come_to) = follower.go_on(start, stack.bounds(), &mut |_, _| is_loaded);
            (pcs.len(), come_to)
        };
        follower.end(Root::NOT_REACHED);
        (steps, come_to)
    };
    assert_eq!(goes_on(true), (4, stack.places[4].registers));
    assert_eq!(goes_on(false), (0, start), "no step at all");
}

/// A return address that lies outside of the stack, as far as it is known, is not read.
#[test]
fn what_lies_beyond_the_stack_is_not_followed() {
    let (stack, trails) = walked();
    let name_within = |words: usize| {
        let bounds = StackBounds::of_words(&stack.memory[..words]);
        trails.name_of(stack.places[0].registers, bounds, &mut |_, _| true).is_some()
    };
    assert_eq!([9 * FRAME / 8 - 1, 9 * FRAME / 8].map(name_within), [false, true]);
}

#[test]
fn who_walks_a_lot_gets_more_trails() {
    let mut trails = trails();
    let stacks: Vec<_> = (0..TRAILS)
        .map(|n| {
            let mut frames = frames();
            frames[0].0 = 0x9000 + n * 0x10;
            frames
        })
        .collect();
    let mut stack = Stack::of(&stacks[0]);
    let mut recalled = |trails: &mut Trails| {
        let mut count = 0;
        for frames in &stacks {
            stack = std::mem::replace(&mut stack, Stack::of(&[])).filled(frames);
            match stack.recalled(trails, 7) {
                0 => drop(stack.walk(trails, 7)),
                _ => count += 1,
            }
            stack.name(trails, 5);
        }
        count
    };
    recalled(&mut trails);
    let (first, last) = (recalled(&mut trails), (0..400).map(|_| recalled(&mut trails)).last().unwrap());
    assert!(first <= FIRST_TRAILS && last > 2 * FIRST_TRAILS, "{first} {last} of {}", stacks.len());
}
