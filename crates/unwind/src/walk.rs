//! The walk itself: from the hook's caller to the outermost frame, or to the first one that is not the loader's.

#![forbid(unsafe_code)]

use core::num::NonZeroU32;

use crate::cache::RuleCache;
use crate::first;
use crate::learn;
use crate::module::{LoadedModule, ModuleSource, Span};
use crate::rule::{Base, Bp, PlainFrame, Rule};
use crate::stack::StackBounds;
use crate::trail::{Code, Follower, Root, SavedBp, Trails};
use crate::x86_64::{UCONTEXT_BP, UCONTEXT_PC, UCONTEXT_SP};

/// The three registers a walk tracks, as they are in the caller right after the hook returns to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Registers {
    /// The return address of the hook.
    pub pc: usize,
    /// rsp after the return: the address of the return address + 8.
    pub sp: usize,
    /// The caller's rbp.
    pub bp: usize,
}

/// How far a walk came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Walk {
    /// Return addresses written, leaf first.
    pub frames: usize,
    /// Why it stopped.
    pub end: End,
    /// Whether a frame pointer had to be followed out of code without tables. Frames may be missing at that place, if
    /// code there did not keep the frame pointer; those listed are return addresses nevertheless.
    pub guessed: bool,
}

/// Why a walk stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// At the outermost frame: the tables say so, or the return address is 0.
    Outermost,
    /// The next pc is in no file: code that a JIT compiler made. That pc was not written.
    LeftModules,
    /// There are more frames than room.
    DepthLimit,
    /// The tables say nothing usable of the last pc written, and its frame pointer leads nowhere plausible.
    NoRule,
    /// The next frame would lie below the last, or outside of the stack.
    BadCfa,
}

impl End {
    /// Whether frames are missing that a native walk could have given.
    pub fn is_truncated(self) -> bool {
        matches!(self, End::DepthLimit | End::NoRule | End::BadCfa)
    }
}

impl Walk {
    /// Whether frames are missing that a native walk could have given.
    pub fn is_truncated(&self) -> bool {
        self.end.is_truncated()
    }
}

/// Where a walk puts what it finds.
pub trait Frames {
    /// Takes the next return address, leaf first; false if there is no room for it.
    fn push(&mut self, pc: usize) -> bool;

    /// Takes several; how many there was room for.
    #[inline(always)]
    fn extend(&mut self, pcs: impl Iterator<Item = usize>) -> usize {
        pcs.take_while(|pc| self.push(*pc)).count()
    }
}

/// Writes to the front of the slice, which becomes what is left of it.
impl Frames for &mut [usize] {
    fn push(&mut self, pc: usize) -> bool {
        let Some((next, rest)) = core::mem::take(self).split_first_mut() else {
            return false;
        };
        *next = pc;
        *self = rest;
        true
    }
}

/// Walks the stack of the running thread: `out` gets `start.pc` and then return addresses, leaf first.
///
/// # Hot path
/// About 6 ns a frame once its rule is cached. No allocation, lock, system call or panic; signal-safe. Needs up to
/// 3 KiB of stack. Excepted from "no system call": leaving a handler that ran on a sigaltstack (two), and a pc seen for
/// the first time while the modules come from the snapshot (one).
pub fn walk(start: Registers, stack: StackBounds, cache: &RuleCache, out: &mut impl Frames) -> Walk {
    walk_with(ModuleSource::current(), start, stack, cache, None, out)
}

/// [`walk`], along one of the trails of the thread's last ones: quicker where stacks are walked so frequently that the trails are
/// in the caches.
pub fn walk_along(
    trails: Option<&mut Trails>,
    start: Registers,
    stack: StackBounds,
    cache: &RuleCache,
    out: &mut impl Frames,
) -> Walk {
    walk_with(ModuleSource::current(), start, stack, cache, trails, out)
}

/// What the thread's last stack from `start` was called ([`Trails::name`]), if it is the same to the root: then there is no need
/// to walk it.
///
/// # Hot path
/// 1 to 2 ns a frame. As [`walk`].
#[inline(never)] // what it has on the stack is not there while a walk is made instead
pub fn recall(trails: &Trails, start: Registers, stack: StackBounds) -> Option<NonZeroU32> {
    let mut modules = None;
    let mut module = Span::NONE;
    trails.name_of(start, stack, &mut |pc, identity| {
        let modules = modules.get_or_insert_with(|| RecentModules::new(ModuleSource::current()));
        modules.is_loaded(pc, identity, &mut module)
    })
}

/// [`walk`] or [`walk_along`] with a given source of modules.
#[inline]
pub fn walk_with(
    source: ModuleSource,
    start: Registers,
    stack: StackBounds,
    cache: &RuleCache,
    trails: Option<&mut Trails>,
    out: &mut impl Frames,
) -> Walk {
    let mut follower = trails.and_then(|trails| Follower::new(trails, start));
    let mut modules = RecentModules::new(source);
    let mut at = Position { registers: start, stack, behind: 1, left_signal_stack: false, guessed: false };
    let mut module = Span::NONE;
    let mut frames = 0_usize;
    let mut root = Root::NOT_REACHED;
    let end = loop {
        if let Some(follower) = &mut follower
            && at.behind == 1
            && follower.is_upon(at.registers)
        {
            let (left_behind, come_to) = follower
                .go_on(at.registers, at.stack, &mut |pc, identity| modules.is_loaded(pc, identity, &mut module));
            let there = frames.wrapping_add(left_behind.len());
            frames = frames.wrapping_add(out.extend(left_behind));
            if frames != there {
                break End::DepthLimit;
            }
            at.registers = come_to;
        }
        let Registers { pc, sp, bp } = at.registers;
        let within = pc.wrapping_sub(at.behind);
        if !module.contains(within) && !modules.find(within, &mut module) {
            break End::LeftModules;
        }
        if !out.push(pc) {
            break End::DepthLimit;
        }
        frames = frames.wrapping_add(1);
        let word = cache.get(within, module.identity);
        let Some(rule) = PlainFrame::unpack(word) else {
            if let Some(follower) = &mut follower {
                follower.note(at.registers, None);
            }
            match at.take_slow_step(word, cache, &modules) {
                Ok(next) => at = next,
                Err(end) => {
                    if Rule::unpack(word) == Some(Rule::Outermost) {
                        root = Root::by_rule(&module);
                    }
                    break end;
                }
            }
            continue;
        };
        let cfa = rule.cfa(sp, bp);
        // The stack only gets emptier towards the root: this ends every walk.
        if cfa <= sp {
            break End::BadCfa;
        }
        let Some(caller) = at.stack.word(cfa.wrapping_sub(8)) else { break End::BadCfa };
        let mut saved_bp = SavedBp::SAME;
        if let Some(offset) = rule.bp_offset() {
            let address = cfa.wrapping_add_signed(offset);
            let Some(saved) = at.stack.word(address) else { break End::BadCfa };
            at.registers.bp = saved;
            saved_bp = SavedBp::at(address, rule.is_by_sp());
        }
        if let Some(follower) = &mut follower {
            follower.note(Registers { pc, sp, bp }, (at.behind == 1).then(|| (Code::of(&module), saved_bp)));
        }
        at.registers.sp = cfa;
        at.registers.pc = caller;
        at.behind = 1;
        if caller == 0 {
            root = Root::zero_at(cfa.wrapping_sub(8), &module);
            break End::Outermost;
        }
    };
    if let Some(follower) = follower {
        follower.end(root);
    }
    Walk { frames, end, guessed: at.guessed }
}

/// Where a walk is. Passed by value, so that the hot loop keeps it in registers.
#[derive(Clone, Copy)]
struct Position {
    registers: Registers,
    stack: StackBounds,
    /// How far before the pc the byte lies that tells its function: 1 for a return address, since the call may be the
    /// last instruction of a function, 0 for what a signal interrupted.
    behind: usize,
    left_signal_stack: bool,
    guessed: bool,
}

impl Position {
    /// The caller's position, by a rule that is not in the cache or not plain. `word` is what the cache had.
    #[inline(never)]
    fn take_slow_step(self, word: u64, cache: &RuleCache, modules: &RecentModules) -> Result<Position, End> {
        let Registers { pc, .. } = self.registers;
        let within = pc.wrapping_sub(self.behind);
        let rule = match Rule::unpack(word) {
            Some(rule) => rule,
            None => modules.loaded(within).map_or(Rule::Unknown, |module| learn::learn(&module, pc, within, cache)),
        };
        let next = match rule {
            Rule::Frame { base, offset, bp } => self.leave_frame(base, offset, bp).ok_or(End::BadCfa)?,
            Rule::Signal => self.leave_signal_frame().ok_or(End::BadCfa)?,
            Rule::Outermost => return Err(End::Outermost),
            Rule::Unknown => self.follow_frame_pointer(modules).ok_or(End::NoRule)?,
        };
        if next.registers.pc == 0 { Err(End::Outermost) } else { Ok(next) }
    }

    fn leave_frame(self, base: Base, offset: i32, bp: Bp) -> Option<Position> {
        let Registers { sp, bp: old_bp, .. } = self.registers;
        let offset = offset as isize;
        let cfa = match base {
            Base::Sp => sp.wrapping_add_signed(offset),
            Base::Bp => old_bp.wrapping_add_signed(offset),
            Base::WordAtSp => self.stack.word(sp.wrapping_add_signed(offset))?,
            Base::WordAtSpPlus8 => self.stack.word(sp.wrapping_add_signed(offset))?.wrapping_add(8),
            Base::WordAtBp => self.stack.word(old_bp.wrapping_add_signed(offset))?,
        };
        if cfa <= sp {
            return None;
        }
        let pc = self.stack.word(cfa.wrapping_sub(8))?;
        let bp = match bp {
            Bp::Same => old_bp,
            Bp::AtCfa(offset) => self.stack.word(cfa.wrapping_add_signed(offset as isize))?,
            Bp::AtBp(offset) => self.stack.word(old_bp.wrapping_add_signed(offset as isize))?,
            Bp::Lost => 0,
        };
        Some(Position { registers: Registers { pc, sp: cfa, bp }, behind: 1, ..self })
    }

    /// From a signal trampoline to what the signal interrupted, through the ucontext that the kernel left at sp.
    fn leave_signal_frame(self) -> Option<Position> {
        let context = self.registers.sp;
        let word = |offset: usize| self.stack.word(context.wrapping_add(offset));
        let registers = Registers { pc: word(UCONTEXT_PC)?, sp: word(UCONTEXT_SP)?, bp: word(UCONTEXT_BP)? };
        let next = Position { registers, behind: 0, ..self };
        if self.stack.contains(registers.sp) {
            return (registers.sp > context).then_some(next);
        }
        // From a sigaltstack back to the thread's own stack, once: a loop of signal frames is nonsense.
        if self.left_signal_stack {
            return None;
        }
        Some(Position { stack: StackBounds::interrupted(registers.sp)?, left_signal_stack: true, ..next })
    }

    /// Last resort in code without tables: the frame pointer, if it leads up this stack to a return address that
    /// follows a call in a loaded module.
    fn follow_frame_pointer(self, modules: &RecentModules) -> Option<Position> {
        let Registers { sp, bp, .. } = self.registers;
        if bp < sp {
            return None;
        }
        let (saved, pc) = (self.stack.word(bp)?, self.stack.word(bp.wrapping_add(8))?);
        if !learn::follows_call(&modules.loaded(pc.wrapping_sub(1))?, pc) {
            return None;
        }
        let registers = Registers { pc, sp: bp.wrapping_add(16), bp: saved };
        Some(Position { registers, behind: 1, guessed: true, ..self })
    }
}

/// The modules last seen: neighbouring frames mostly share one, and callbacks alternate between two.
struct RecentModules {
    source: ModuleSource,
    seen: [Span; 4],
    /// Which of `seen` gives way to the next new one.
    oldest: usize,
}

impl RecentModules {
    fn new(source: ModuleSource) -> RecentModules {
        RecentModules { source, seen: [Span::NONE; 4], oldest: 0 }
    }

    /// Finds the module that contains `address`; false, and `module` is as it was, if none does. In place: a span that is
    /// handed back is copied in one piece, which waits for the words to be written.
    #[inline(never)]
    fn find(&mut self, address: usize, module: &mut Span) -> bool {
        if self.source == ModuleSource::Loader
            && let Some(first) = first::find(address)
        {
            *module = first;
            return true;
        }
        if let Some(known) = self.seen.iter().find(|span| span.contains(address)) {
            *module = *known;
            return true;
        }
        let Some(found) = self.source.find(address) else { return false };
        *module = found.span();
        if let Some(slot) = self.seen.get_mut(self.oldest) {
            *slot = *module;
        }
        self.oldest = self.oldest.wrapping_add(1) & 3;
        true
    }

    /// Whether `pc`, a return address, lies in the module of that identity. `module` is where the last one was found.
    #[inline(always)]
    fn is_loaded(&mut self, pc: usize, identity: u64, module: &mut Span) -> bool {
        let within = pc.wrapping_sub(1);
        (module.contains(within) || self.find(within, module)) && module.identity == identity
    }

    /// The whole of what is known of a module, for the slow step.
    fn loaded(&self, address: usize) -> Option<LoadedModule> {
        self.source.find(address)
    }
}
