//! A child that was forked of a recorded process: it lets go of what it inherited, and asks for a session of its own.
//!
//! Before fork returns in the child, its parent's session is covered with memory of its own ([`in_child`]): a signal
//! handler may have forked inside of a hook, to which the child comes back. And what is covered does not outlive the
//! parent only because a child still maps it.
//!
//! The rest happens where the child would make its first record: a sampled allocation, a mapping, a thread. A child that
//! executes another program at once never comes to that. By then no lock of libc or ours is held (all of it is system
//! calls), and the thread is outside of leakscope's hooks. Signals wait meanwhile.
//!
//! What must not come here is a *vforked* child, or any that shares its parent's memory (clone with CLONE_VM): it would
//! record its parent. Where the parent is recorded it reads the live flag. Where the parent is itself a forked child that
//! has not come here yet, libc tells: fork notes the child's thread id, and what shares memory leaves the parent's.
//!
//! A child that has put itself into a seccomp sandbox since is left alone: a system call that is new to it may kill.

use crate::Caller;
use crate::helper;
use crate::kernel;
use crate::libc_symbols::{KeepErrno, thread_id_of_libc};
use crate::machine::stack_pointer;
use crate::recorder::{Published, RECORDER, Recorder};
use crate::start;
use crate::thread::ThreadBlock;
use crate::thread_wrap;

/// Bytes of stack without which a child does not ask: it waits until it is on a larger stack.
const LEAST_ROOM: usize = 16 << 10;

/// Called by libc in each child that it forks.
pub(crate) extern "C" fn in_child() {
    if let Some(inherited) = RECORDER.place.inherited() {
        inherited.memory.cover();
    }
}

impl Recorder {
    /// To be called where something would be recorded and nothing is being recorded; what is recorded from now on, if
    /// this is a forked child that got a session.
    ///
    /// # Hot path
    /// Two loads, but for the one call in a forked child. That makes system calls and waits for the collector, two
    /// seconds at most. No allocation, lock or panic.
    #[cold]
    #[inline(never)]
    pub(crate) fn after_fork(&self, thread: &'static ThreadBlock) -> Option<&Published> {
        let inherited = self.place.inherited()?;
        let sp = stack_pointer();
        let bounds = thread.stack_from(sp);
        if bounds.room_below(sp) < LEAST_ROOM {
            return None;
        }
        let _guard = thread.enter(Caller { sp, bp: 0 })?;
        if thread_id_of_libc() != Some(kernel::tid()) {
            self.place.refuse();
            return None;
        }
        if !self.place.settle() {
            return None;
        }
        let _errno = KeepErrno::new();
        self.jvm.after_fork();
        helper::after_fork();
        thread_wrap::after_fork();
        if kernel::seccomp_filters() > inherited.seccomp_filters {
            return None;
        }
        let mask = kernel::mask_signals();
        // Once more: libc may not have been told of this fork.
        inherited.memory.cover();
        inherited.memory.file.close();
        start::ask_after_fork();
        kernel::restore_signals(mask);
        let published = self.recording()?;
        let interval = published.interval();
        thread.after_fork(self.next_seed(published), interval);
        Some(published)
    }
}

#[cfg(test)]
mod tests {
    use crate::wrap::tests::recorder;
    use crate::{Caller, thread};

    #[test]
    fn a_child_looks_after_what_it_inherited_once() {
        let (recorder, _) = recorder(1);
        assert!(recorder.place.inherited().is_none(), "not forked");
        recorder.place.wipe();
        assert!(recorder.place.inherited().is_some());
        assert!(recorder.after_fork(thread::current()).is_none(), "no collector");
        assert!(recorder.place.inherited().is_none());
        assert!(!recorder.place.settle());
        recorder.place.wipe();
        assert!(recorder.place.settle(), "a child of the child");
    }

    #[test]
    fn a_child_inside_a_hook_waits_until_it_is_outside() {
        let (recorder, _) = recorder(1);
        let slot = 0_usize;
        let guard = thread::current().enter(Caller { sp: &raw const slot as usize, bp: 0 });
        recorder.place.wipe();
        assert!(recorder.after_fork(thread::current()).is_none());
        assert!(recorder.place.inherited().is_some());
        drop(guard);
        assert!(recorder.after_fork(thread::current()).is_none());
        assert!(recorder.place.inherited().is_none());
    }
}
