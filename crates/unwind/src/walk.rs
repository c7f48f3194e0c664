//! The walk itself: from the hook's caller to the outermost frame, or to the first one that is not the loader's.

#![forbid(unsafe_code)]

use crate::cache::RuleCache;
use crate::learn;
use crate::module::{LoadedModule, ModuleSource};
use crate::rule::{Base, Bp, Rule};
use crate::stack::StackBounds;
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

/// Walks the stack of the running thread: `out` gets `start.pc` and then return addresses, leaf first.
///
/// # Hot path
/// About 5 ns a frame once its rule is cached. No allocation, lock, system call or panic; signal-safe. Needs less
/// than 2 KiB of stack.
pub fn walk(start: Registers, stack: StackBounds, cache: &RuleCache, out: &mut [usize]) -> Walk {
    walk_with(ModuleSource::current(), start, stack, cache, out)
}

/// [`walk`] with a given source of modules.
pub fn walk_with(
    source: ModuleSource,
    start: Registers,
    stack: StackBounds,
    cache: &RuleCache,
    out: &mut [usize],
) -> Walk {
    let mut walker = Walker {
        registers: start,
        stack,
        modules: RecentModules::new(source),
        within: Within::Call,
        left_signal_stack: false,
        guessed: false,
    };
    let mut frames = 0;
    let end = loop {
        let pc = walker.registers.pc;
        let within = walker.within.address(pc);
        let Some(module) = walker.modules.find(within) else { break End::LeftModules };
        let Some(room) = out.get_mut(frames) else { break End::DepthLimit };
        *room = pc;
        frames = frames.wrapping_add(1);
        let rule = match cache.get(within, module.identity) {
            Some(rule) => rule,
            None => learn::learn(module, pc, within, cache),
        };
        if let Err(end) = walker.step(rule) {
            break end;
        }
    };
    Walk { frames, end, guessed: walker.guessed }
}

/// Which byte tells the function that a pc is in.
#[derive(Clone, Copy)]
enum Within {
    /// The byte before it: a return address follows the call, which may be the last instruction of a function.
    Call,
    /// The pc itself: a signal interrupted it.
    Interrupted,
}

impl Within {
    #[inline(always)]
    fn address(self, pc: usize) -> usize {
        match self {
            Within::Call => pc.wrapping_sub(1),
            Within::Interrupted => pc,
        }
    }
}

struct Walker {
    registers: Registers,
    stack: StackBounds,
    modules: RecentModules,
    within: Within,
    left_signal_stack: bool,
    guessed: bool,
}

impl Walker {
    /// Goes on to the caller.
    #[inline(always)]
    fn step(&mut self, rule: Rule) -> Result<(), End> {
        match rule {
            Rule::Frame { base, offset, bp } => self.leave_frame(base, offset, bp).ok_or(End::BadCfa)?,
            Rule::Signal => self.leave_signal_frame().ok_or(End::BadCfa)?,
            Rule::Outermost => return Err(End::Outermost),
            Rule::Unknown => self.follow_frame_pointer().ok_or(End::NoRule)?,
        }
        if self.registers.pc == 0 { Err(End::Outermost) } else { Ok(()) }
    }

    #[inline(always)]
    fn leave_frame(&mut self, base: Base, offset: i32, bp: Bp) -> Option<()> {
        let Registers { sp, bp: old_bp, .. } = self.registers;
        let offset = offset as isize;
        let cfa = match base {
            Base::Sp => sp.wrapping_add_signed(offset),
            Base::Bp => old_bp.wrapping_add_signed(offset),
            Base::WordAtSp => self.stack.word(sp.wrapping_add_signed(offset))?,
            Base::WordAtSpPlus8 => self.stack.word(sp.wrapping_add_signed(offset))?.wrapping_add(8),
            Base::WordAtBp => self.stack.word(old_bp.wrapping_add_signed(offset))?,
        };
        // The stack only gets emptier towards the root: this ends every walk.
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
        self.registers = Registers { pc, sp: cfa, bp };
        self.within = Within::Call;
        Some(())
    }

    /// From a signal trampoline to what the signal interrupted, through the ucontext that the kernel left at sp.
    #[cold]
    fn leave_signal_frame(&mut self) -> Option<()> {
        let context = self.registers.sp;
        let word = |offset: usize| self.stack.word(context.wrapping_add(offset));
        let interrupted = Registers { pc: word(UCONTEXT_PC)?, sp: word(UCONTEXT_SP)?, bp: word(UCONTEXT_BP)? };
        if !self.stack.contains(interrupted.sp) {
            // From a sigaltstack back to the thread's own stack, once: a loop of signal frames is nonsense.
            if core::mem::replace(&mut self.left_signal_stack, true) {
                return None;
            }
            self.stack = StackBounds::interrupted(interrupted.sp)?;
        } else if interrupted.sp <= context {
            return None;
        }
        self.registers = interrupted;
        self.within = Within::Interrupted;
        Some(())
    }

    /// Last resort in code without tables: the frame pointer, if it leads up this stack to a return address that
    /// follows a call in a loaded module.
    #[cold]
    fn follow_frame_pointer(&mut self) -> Option<()> {
        let Registers { sp, bp, .. } = self.registers;
        if bp < sp {
            return None;
        }
        let (saved, pc) = (self.stack.word(bp)?, self.stack.word(bp.wrapping_add(8))?);
        let module = self.modules.find(pc.wrapping_sub(1))?;
        if !learn::follows_call(module, pc) {
            return None;
        }
        self.registers = Registers { pc, sp: bp.wrapping_add(16), bp: saved };
        self.guessed = true;
        self.within = Within::Call;
        Some(())
    }
}

/// The two modules last seen: neighbouring frames mostly share one, and callbacks alternate between two.
struct RecentModules {
    source: ModuleSource,
    last: Option<LoadedModule>,
    before: Option<LoadedModule>,
}

impl RecentModules {
    fn new(source: ModuleSource) -> RecentModules {
        RecentModules { source, last: None, before: None }
    }

    #[inline(always)]
    fn find(&mut self, address: usize) -> Option<&LoadedModule> {
        if !self.last.as_ref().is_some_and(|module| module.contains(address)) {
            core::mem::swap(&mut self.last, &mut self.before);
            if !self.last.as_ref().is_some_and(|module| module.contains(address)) {
                self.last = Some(self.source.find(address)?);
            }
        }
        self.last.as_ref()
    }
}
