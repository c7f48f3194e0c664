//! The rules around pthread_create: each thread is entered with its creator's stack, and leaves once it has ended.
//!
//! The new thread must say its kernel id, for that is how its end is noticed. So it starts in `machine`'s
//! trampoline, which says it and then *jumps* to the program's own start routine, with the program's own argument: no
//! frame of ours is left. Return values, pthread_exit, cancellation, stack traces and the depth of the stack are what
//! they would be without us, because nothing of us is there. (A trampoline that stayed to see the return would not
//! see pthread_exit and cancellation; a key's destructor would, but keys are few and the program's to count.)
//!
//! The routine and its argument wait in `PENDING`, in the process's own memory: what lies in the session could be
//! changed by the collector, and must never be jumped to.
//!
//! Ends are noticed by asking the kernel whether the id still exists: two slots of the table at each pthread_create,
//! which keeps the table at most twice as large as the number of live threads; all at exit; and the collector looks
//! at /proc/PID/task at each snapshot.

use crate::Caller;
use crate::exact_state;
use crate::kernel;
use crate::libc_symbols::{KeepErrno, NewStack, StartRoutine, new_stack};
use crate::recorder::{Published, RECORDER, Recorder};
use crate::regions::{count_end, count_exactly};
use crate::thread::{self, Class};
use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering};
use leakscope_session::header::Word;
use leakscope_session::losses::Loss;
use leakscope_session::threads::{Thread, ThreadKey};

/// Threads that can be between pthread_create and their first instruction; more are not recorded.
const PLACES: usize = 512;
/// Slots looked at for threads that have ended, at each pthread_create.
const LOOKS: usize = 2;

const FREE: u32 = 0;
const TAKEN: u32 = 1;

/// A thread that has not run yet.
struct Place {
    state: AtomicU32,
    slot: AtomicU32,
    routine: AtomicPtr<c_void>,
    argument: AtomicPtr<c_void>,
    stack_bytes: AtomicUsize,
    stack_given_at: AtomicUsize,
}

/// Threads that have not run yet.
static PENDING: [Place; PLACES] = [const {
    Place {
        state: AtomicU32::new(FREE),
        slot: AtomicU32::new(0),
        routine: AtomicPtr::new(core::ptr::null_mut()),
        argument: AtomicPtr::new(core::ptr::null_mut()),
        stack_bytes: AtomicUsize::new(0),
        stack_given_at: AtomicUsize::new(0),
    }
}; PLACES];
static NEXT_PLACE: AtomicUsize = AtomicUsize::new(0);

/// Takes a place, and puts the routine, its argument and what is known of the stack there; its number.
fn take_place(slot: u32, routine: *mut c_void, argument: *mut c_void, stack: NewStack) -> Option<usize> {
    let from = NEXT_PLACE.fetch_add(1, Ordering::Relaxed);
    let free = |number: &usize| {
        PENDING.get(*number).is_some_and(|place| {
            // Acquire: pairs with the Release in `start`.
            place.state.compare_exchange(FREE, TAKEN, Ordering::Acquire, Ordering::Relaxed).is_ok()
        })
    };
    let number = (0..PLACES).map(|i| from.wrapping_add(i) % PLACES).find(free)?;
    let place = PENDING.get(number)?;
    // Relaxed: pthread_create itself makes these visible to the new thread.
    place.slot.store(slot, Ordering::Relaxed);
    place.routine.store(routine, Ordering::Relaxed);
    place.argument.store(argument, Ordering::Relaxed);
    place.stack_bytes.store(stack.bytes, Ordering::Relaxed);
    place.stack_given_at.store(stack.given_at, Ordering::Relaxed);
    Some(number)
}

fn give_back(number: usize) {
    if let Some(place) = PENDING.get(number) {
        // Release: pairs with the Acquire in `take_place`.
        place.state.store(FREE, Ordering::Release);
    }
}

/// A forked child has none of the threads that its parent was making.
pub(crate) fn after_fork() {
    (0..PLACES).for_each(give_back);
}

/// Where a new thread goes on: the program's routine and its argument.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Start {
    pub routine: *mut c_void,
    pub argument: *mut c_void,
}

/// The first thing that a recorded thread does; called by the trampoline alone.
pub(crate) extern "C" fn start(number: usize, start: &mut Start) {
    let Some(place) = PENDING.get(number) else {
        return; // never: the number is the creator's
    };
    let slot = place.slot.load(Ordering::Relaxed);
    start.routine = place.routine.load(Ordering::Relaxed);
    start.argument = place.argument.load(Ordering::Relaxed);
    let stack = NewStack {
        bytes: place.stack_bytes.load(Ordering::Relaxed),
        given_at: place.stack_given_at.load(Ordering::Relaxed),
    };
    thread::current().has_stack(stack);
    give_back(number);
    if let Some(published) = RECORDER.recording() {
        let _errno = KeepErrno::new();
        let tid = thread::current().tid();
        let sp = crate::machine::stack_pointer() as u64;
        published.session.threads.started(slot, tid, sp);
        retire_namesakes(published, slot, tid);
    }
}

/// Another thread had this kernel id before: it has ended.
fn retire_namesakes(published: &Published, own_slot: u32, tid: u32) {
    published.session.threads.scan(|key, thread| {
        if thread.tid == tid && key.slot != own_slot {
            retire(published, key, &thread);
        }
    });
}

fn retire(published: &Published, key: ThreadKey, thread: &Thread) {
    if published.session.threads.retire(key) {
        count_end(&published.session, thread.stack, thread.stack_bytes, Class::App);
    }
}

/// Retires the thread in a slot if it has ended.
fn look_at(published: &Published, slot: u32) {
    if let Some((key, thread)) = published.session.threads.read(slot)
        && thread.tid != 0
        && !kernel::thread_exists(published.pid, thread.tid)
    {
        retire(published, key, &thread);
    }
}

/// The process ends by exit(): what is still there is told from what has ended.
pub fn at_exit() {
    if let Some(published) = RECORDER.recording() {
        let _errno = KeepErrno::new();
        (0..published.session.threads.used() as u32).for_each(|slot| look_at(published, slot));
    }
}

impl Recorder {
    /// pthread_create. `real` gets the routine and the argument to pass on.
    ///
    /// Only for the process's own recorder: new threads know no other.
    pub fn create_thread(
        &self,
        attributes: *const c_void,
        routine: StartRoutine,
        argument: *mut c_void,
        caller: Caller,
        real: impl FnOnce(StartRoutine, *mut c_void) -> c_int,
    ) -> c_int {
        let thread = thread::current();
        let (Some(published), Some(body)) = (self.recording(), routine) else {
            return real(routine, argument);
        };
        let session = &published.session;
        let Some(guard) = thread.enter(caller) else {
            thread.count_skipped(&session.losses);
            return real(routine, argument);
        };
        let errno = KeepErrno::new();
        for _ in 0..LOOKS {
            if let Some(slot) = session.threads.next_in_turn() {
                look_at(published, slot);
            }
        }
        exact_state::look_for_ended(published.pid);
        let stack = self.stack_of(published, thread, caller);
        let slot = stack.and_then(|_| session.threads.claim());
        let new = new_stack(attributes);
        let place = slot.and_then(|slot| take_place(slot, body as *mut c_void, argument, new));
        let stack_bytes = new.bytes as u64;
        drop(errno);
        drop(guard);
        let (Some(stack), Some(slot), Some(place)) = (stack, slot, place) else {
            if let Some(slot) = slot {
                session.threads.abandon(slot);
            }
            session.losses.add(Loss::ThreadsFull, u64::from(stack.is_some()));
            return real(routine, argument);
        };
        let birth_ms = published.age_ms();
        let result = real(Some(crate::machine::thread_trampoline), place as *mut c_void);
        if result != 0 {
            give_back(place);
        }
        if self.is_current(published) {
            let _errno = KeepErrno::new();
            if result == 0 {
                let epoch = session.header.get(Word::Epoch) as u32;
                session.threads.publish(slot, &Thread { stack, epoch, stack_bytes, birth_ms, ..Thread::default() });
                count_exactly(session, stack, stack_bytes);
            } else {
                session.threads.abandon(slot);
            }
        }
        result
    }
}
