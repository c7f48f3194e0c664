//! The thread's frame anchor, made walkable for the length of a capture.
//!
//! When Java code calls into the VM the JVM notes where the Java frames begin: `_last_Java_sp` of the thread's
//! JavaFrameAnchor, but often not `_last_Java_pc`, because the `call` instruction that follows leaves the pc on the
//! stack anyway:
//!
//! ```text
//!             higher addresses     Java frames
//!   _last_Java_sp -------------->  their lowest word
//!                  sp[-1]          return address into Java code = the pc that is missing
//!                                  frames of InterpreterRuntime::..., malloc, the hook
//! ```
//!
//! AsyncGetCallTrace refuses such a thread with -3. The JVM itself takes the pc from there
//! (`JavaFrameAnchor::make_walkable`) whenever the thread leaves the state "in VM"; the interpreter's runtime calls,
//! such as resolving a class or a method, are the common case. [`Anchor::with_walkable`] does the same for the length
//! of a second attempt and then takes it back, so that the JVM finds everything as it was.
//!
//! Where the fields are is read on the helper thread, from what libjvm exports (`vm_structs`), and tried out on the
//! helper's own thread. If anything is not as expected the layout stays unknown and nothing is ever written.
#![allow(unsafe_code)] // reads and writes a field of the current thread's JavaThread

use core::ffi::c_void;
use core::sync::atomic::{AtomicIsize, AtomicU32, AtomicUsize, Ordering};

use crate::machine;
use crate::vm_structs::VmStructs;

/// `_thread_in_native` and `_thread_in_vm` of `JavaThreadState`.
const IN_NATIVE: u32 = 4;
const IN_VM: u32 = 6;
/// Java frames are looked for at most this far up the stack, bytes.
const FARTHEST: usize = 64 << 20;

/// Where to find what, for all threads of this JVM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Distances from a thread's `JNIEnv`, which is a field of its JavaThread, bytes.
    state: isize,
    sp: isize,
    pc: isize,
    /// The code cache: all compiled Java code, the interpreter and the stubs.
    code: (usize, usize),
}

/// What came of [`Anchor::with_walkable`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attempt<R> {
    /// The layout is unknown.
    Unknown,
    /// The thread has no anchor, which means that it has no Java frames.
    NoJavaFrames,
    /// There is an anchor, but the pc is not what it lacks, or its values are not believed.
    Refused,
    Made(R),
}

impl Layout {
    /// The layout of this JVM; `None` if it does not describe itself or not in the way we know.
    ///
    /// # Safety
    /// The tables are HotSpot's. `env` is the current thread's `JNIEnv` and `thread` its JavaThread (`eetop`); it runs
    /// native code and has no Java frames.
    pub(crate) unsafe fn learn(structs: &VmStructs, env: usize, thread: usize) -> Option<Self> {
        let size = structs.size_of(b"JavaThread")?;
        let env_offset = env.checked_sub(thread).filter(|&offset| offset < size)?;
        let from_env = |offset: usize| {
            let is_inside = offset.is_multiple_of(4) && offset.checked_add(size_of::<usize>())? <= size;
            // Both are below `size`.
            is_inside.then(|| offset.wrapping_sub(env_offset) as isize)
        };
        let anchor = structs.offset(b"JavaThread", b"_anchor")?;
        let in_anchor = |name: &[u8]| from_env(anchor.checked_add(structs.offset(b"JavaFrameAnchor", name)?)?);
        let code_bound = |name: &[u8]| {
            let address: *const usize = core::ptr::with_exposed_provenance(structs.static_address(b"CodeCache", name)?);
            // SAFETY: the address of a static pointer of libjvm. The code cache is reserved before the JVM is complete.
            address.is_aligned().then(|| unsafe { address.read_volatile() })
        };
        let layout = Self {
            state: from_env(structs.offset(b"JavaThread", b"_thread_state")?)?,
            sp: in_anchor(b"_last_Java_sp")?,
            pc: in_anchor(b"_last_Java_pc")?,
            code: (code_bound(b"_low_bound")?, code_bound(b"_high_bound")?),
        };
        // SAFETY: all offsets lie within this thread's JavaThread.
        let fields = unsafe { Fields::of(core::ptr::with_exposed_provenance_mut(env), &layout) }?;
        let is_ours = fields.state() == IN_NATIVE && fields.sp() == 0 && fields.pc() == 0;
        let is_code = 0 < layout.code.0 && layout.code.0 < layout.code.1;
        (is_ours && is_code).then_some(layout)
    }
}

/// The three fields of one thread.
struct Fields<'t> {
    state: &'t AtomicU32,
    sp: &'t AtomicUsize,
    pc: &'t AtomicUsize,
}

impl<'t> Fields<'t> {
    /// `None` if they would not be aligned.
    ///
    /// # Safety
    /// `env` lies in a JavaThread that lives for `'t`, and the layout is that of its JVM.
    unsafe fn of(env: *mut c_void, layout: &Layout) -> Option<Self> {
        let state: *mut u32 = env.wrapping_byte_offset(layout.state).cast();
        let sp: *mut usize = env.wrapping_byte_offset(layout.sp).cast();
        let pc: *mut usize = env.wrapping_byte_offset(layout.pc).cast();
        if !(state.is_aligned() && sp.is_aligned() && pc.is_aligned()) {
            return None;
        }
        // SAFETY: fields of the JavaThread, `volatile` to the JVM, which others may read at the same time.
        unsafe {
            Some(Self {
                state: AtomicU32::from_ptr(state),
                sp: AtomicUsize::from_ptr(sp),
                pc: AtomicUsize::from_ptr(pc),
            })
        }
    }

    fn state(&self) -> u32 {
        self.state.load(Ordering::Relaxed)
    }

    fn sp(&self) -> usize {
        self.sp.load(Ordering::Relaxed)
    }

    fn pc(&self) -> usize {
        self.pc.load(Ordering::Relaxed)
    }
}

/// The layout as the hook reads it; written before the gate opens, which publishes it.
pub(crate) struct Anchor {
    state: AtomicIsize,
    sp: AtomicIsize,
    pc: AtomicIsize,
    code_start: AtomicUsize,
    /// 0 while the layout is unknown.
    code_end: AtomicUsize,
}

impl Anchor {
    pub(crate) const fn new() -> Self {
        Self {
            state: AtomicIsize::new(0),
            sp: AtomicIsize::new(0),
            pc: AtomicIsize::new(0),
            code_start: AtomicUsize::new(0),
            code_end: AtomicUsize::new(0),
        }
    }

    /// To be called while the gate is shut, whose opening publishes the layout.
    pub(crate) fn set(&self, layout: Layout) {
        self.state.store(layout.state, Ordering::Relaxed);
        self.sp.store(layout.sp, Ordering::Relaxed);
        self.pc.store(layout.pc, Ordering::Relaxed);
        self.code_start.store(layout.code.0, Ordering::Relaxed);
        self.code_end.store(layout.code.1, Ordering::Relaxed);
    }

    pub(crate) fn layout(&self) -> Option<Layout> {
        let code_end = self.code_end.load(Ordering::Relaxed);
        (code_end != 0).then(|| Layout {
            state: self.state.load(Ordering::Relaxed),
            sp: self.sp.load(Ordering::Relaxed),
            pc: self.pc.load(Ordering::Relaxed),
            code: (self.code_start.load(Ordering::Relaxed), code_end),
        })
    }

    /// Calls `f` while the current thread's anchor is walkable, if all it lacks is the pc.
    ///
    /// # Hot path
    /// Only where AsyncGetCallTrace has refused. Reads three fields of the thread and one word of its stack. Allocates
    /// nothing, takes no lock, makes no system call, does not panic.
    ///
    /// # Safety
    /// `env` is the current thread's, and the layout is that of its JVM. `f` does not enter the JVM in a way that
    /// changes the thread's state.
    pub(crate) unsafe fn with_walkable<R>(&self, env: *mut c_void, f: impl FnOnce() -> R) -> Attempt<R> {
        let Some(layout) = self.layout() else { return Attempt::Unknown };
        // SAFETY: the current thread lives, and this is its JVM's layout (the caller's promise).
        let Some(fields) = (unsafe { Fields::of(env, &layout) }) else { return Attempt::Refused };
        let sp = fields.sp();
        if sp == 0 {
            return Attempt::NoJavaFrames;
        }
        let own_frame = (&raw const layout).addr();
        if fields.state() != IN_VM || fields.pc() != 0 || !is_above(sp, own_frame) {
            return Attempt::Refused;
        }
        let return_address: *const usize = core::ptr::with_exposed_provenance(machine::return_address_slot(sp));
        // SAFETY: aligned, above our own frame, and below `_last_Java_sp`, so in the used part of this thread's stack:
        // the frames between the Java code and us are alive.
        let pc = unsafe { return_address.read_volatile() };
        if !(layout.code.0..layout.code.1).contains(&pc) {
            return Attempt::Refused;
        }
        // SAFETY of the two stores, which are safe code: this is what make_walkable stores, and taking it back leaves
        // what was there. Nobody is misled in between. The thread is in state "in VM", in which the JVM waits for it
        // before it looks at its stack, be it at a safepoint, in a handshake or in a concurrent GC: the thread must
        // first change its state, which it cannot do in `f`, and completes the anchor itself when it does. A signal
        // handler on this thread, or a sampler that has stopped it by one (JFR), sees an anchor without pc or one
        // with the right pc; it meets both anyway.
        fields.pc.store(pc, Ordering::Relaxed);
        let result = f();
        fields.pc.store(0, Ordering::Relaxed);
        Attempt::Made(result)
    }
}

/// Whether `sp` can be a stack pointer of a frame above this one.
fn is_above(sp: usize, own_frame: usize) -> bool {
    sp.is_multiple_of(size_of::<usize>()) && sp.checked_sub(own_frame).is_some_and(|d| (8..FARTHEST).contains(&d))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vm_structs::{Field, tests::described};
    use core::ffi::CStr;

    /// A code cache of one page.
    static CODE_BOUNDS: [usize; 2] = [0x10_0000, 0x10_1000];
    const PC: usize = 0x10_0ff0;

    /// A JavaThread whose fields lie as [`fields`] says.
    #[repr(C)]
    struct Thread {
        before: u64,
        env: u64,
        state: u32,
        padding: u32,
        anchor: [usize; 3],
    }

    impl Thread {
        fn new(state: u32, sp: usize, pc: usize) -> Self {
            Self { before: 0, env: 0, state, padding: 0, anchor: [sp, 0, pc] }
        }

        fn env(&mut self) -> *mut c_void {
            let all: *mut Self = self;
            // SAFETY: a field of this thread.
            let env: *mut c_void = unsafe { &raw mut (*all).env }.cast();
            env.expose_provenance();
            env
        }
    }

    fn fields() -> [(&'static CStr, &'static CStr, Field); 6] {
        let bound = |index: usize| Field::Static((&raw const CODE_BOUNDS[index]).expose_provenance());
        [
            (c"JavaThread", c"_thread_state", Field::InObject(16)),
            (c"JavaThread", c"_anchor", Field::InObject(24)),
            (c"JavaFrameAnchor", c"_last_Java_sp", Field::InObject(0)),
            (c"JavaFrameAnchor", c"_last_Java_pc", Field::InObject(16)),
            (c"CodeCache", c"_low_bound", bound(0)),
            (c"CodeCache", c"_high_bound", bound(1)),
        ]
    }

    fn learn(fields: &[(&'static CStr, &'static CStr, Field)], size: u64, helper: &mut Thread) -> Option<Layout> {
        let (env, thread) = (helper.env().addr(), (&raw const *helper).addr());
        // SAFETY: the tables describe this thread.
        unsafe { Layout::learn(&described(fields, size), env, thread) }
    }

    fn learnt() -> Anchor {
        let anchor = Anchor::new();
        let layout = learn(&fields(), 48, &mut Thread::new(IN_NATIVE, 0, 0));
        assert_eq!(layout, Some(Layout { state: 8, sp: 16, pc: 32, code: (0x10_0000, 0x10_1000) }));
        anchor.set(layout.expect("just compared"));
        anchor
    }

    #[test]
    fn a_layout_that_does_not_fit_is_not_believed() {
        let helper = || Thread::new(IN_NATIVE, 0, 0);
        assert!(learn(&fields(), 48, &mut helper()).is_some());
        for missing in 0..fields().len() {
            let some: Vec<_> =
                fields().into_iter().enumerate().filter(|(i, _)| *i != missing).map(|(_, f)| f).collect();
            assert_eq!(learn(&some, 48, &mut helper()), None, "without {:?}", fields()[missing]);
        }
        assert_eq!(learn(&fields(), 47, &mut helper()), None, "a field beyond the end");
        assert_eq!(learn(&fields(), 8, &mut helper()), None, "the JNIEnv beyond the end");
        assert_eq!(learn(&fields(), 48, &mut Thread::new(IN_VM, 0, 0)), None, "the helper is in native code");
        assert_eq!(learn(&fields(), 48, &mut Thread::new(IN_NATIVE, 8, 0)), None, "the helper has no Java frames");
        assert_eq!(learn(&fields(), 48, &mut Thread::new(IN_NATIVE, 0, 8)), None, "the helper has no Java frames");
        let mut odd = fields();
        odd[1].2 = Field::InObject(20);
        assert_eq!(learn(&odd, 48, &mut helper()), None, "not aligned");
        let mut empty = fields();
        empty[5].2 = empty[4].2;
        assert_eq!(learn(&empty, 48, &mut helper()), None, "no code");
    }

    /// What `anchor` makes of a thread, and the pc that was there meanwhile.
    fn attempt(anchor: &Anchor, thread: &mut Thread) -> Attempt<usize> {
        let env = thread.env();
        let pc: *const usize = &raw const thread.anchor[2];
        // SAFETY: a thread of that layout.
        let attempt = unsafe { anchor.with_walkable(env, || pc.read_volatile()) };
        assert!(!matches!(attempt, Attempt::Made(_)) || thread.anchor[2] == 0, "taken back");
        attempt
    }

    #[test]
    fn an_anchor_without_pc_is_completed_and_left_as_it_was() {
        let anchor = learnt();
        let stack = [1, PC, 3];
        let sp = (&raw const stack[2]).expose_provenance();
        assert_eq!(attempt(&anchor, &mut Thread::new(IN_VM, sp, 0)), Attempt::Made(PC));
        assert_eq!(attempt(&anchor, &mut Thread::new(IN_VM, 0, 0)), Attempt::NoJavaFrames);
        assert_eq!(attempt(&anchor, &mut Thread::new(IN_NATIVE, sp, 0)), Attempt::Refused, "not in the VM");
        assert_eq!(attempt(&anchor, &mut Thread::new(IN_VM, sp, PC)), Attempt::Refused, "complete");
        assert_eq!(attempt(&anchor, &mut Thread::new(IN_VM, sp + 8, 0)), Attempt::Refused, "3 is no code");
        assert_eq!(attempt(&anchor, &mut Thread::new(IN_VM, sp + 1, 0)), Attempt::Refused, "not aligned");
        assert_eq!(attempt(&anchor, &mut Thread::new(IN_VM, sp + FARTHEST, 0)), Attempt::Refused, "too far");
        assert_eq!(attempt(&anchor, &mut Thread::new(IN_VM, 4096, 0)), Attempt::Refused, "below our own frame");
        assert_eq!(attempt(&Anchor::new(), &mut Thread::new(IN_VM, sp, 0)), Attempt::Unknown);
    }
}
