//! Where a recording lies in the process: two pages, of which the kernel wipes the first in forked children.
//!
//! ```text
//!   page 0   wiped on fork     is it being recorded?    which steps have been taken?
//!   page 1   copied on fork    what is recorded: session, start, seed
//! ```
//! A child reads 0 from its first instruction and can never touch its parent's session; a vforked child shares memory
//! with its parent and reads the live value. A child with a session of its own gets two new pages: a hook that a signal
//! handler forked under its feet still refers to the old ones, whose flag stays 0.
#![allow(unsafe_code)] // raw pages

use crate::kernel::{self, Errno, PAGE};
use crate::recorder::Published;
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};
use leakscope_session::handshake::Why;

/// The first page.
struct Wiped {
    recording: AtomicU32,
    steps: AtomicU32,
    refused: AtomicU32,
}

static NOWHERE: Wiped = Wiped { recording: AtomicU32::new(0), steps: AtomicU32::new(0), refused: AtomicU32::new(0) };

/// A forked child has looked after what it inherited.
const SETTLED: u32 = 1;
/// A thread is asking the collector.
const ASKING: u32 = 2;
/// Has been asked for the first reason; the others follow.
const ASKED: u32 = 4;

/// The pages of a recording that is to begin.
pub(crate) struct NewPlace(*mut Wiped);

impl NewPlace {
    pub(crate) fn new() -> Result<Self, Errno> {
        kernel::wiped_on_fork().map(|pages| Self(pages.cast()))
    }
}

impl Drop for NewPlace {
    fn drop(&mut self) {
        kernel::unmap(self.0.cast(), 2 * PAGE);
    }
}

/// Where the process is recorded, if it is.
pub(crate) struct Place(AtomicPtr<Wiped>);

const _: () = assert!(size_of::<Published>() <= PAGE as usize && align_of::<Published>() <= PAGE as usize);

impl Place {
    pub(crate) const fn nowhere() -> Self {
        Self(AtomicPtr::new((&raw const NOWHERE).cast_mut()))
    }

    /// Begins recording: what was there before is no longer current.
    pub(crate) fn begin(&self, place: NewPlace, published: Published) {
        let pages = place.0;
        core::mem::forget(place);
        // SAFETY: the pages are ours alone and are never unmapped from now on. What is published lies in the second,
        // has room there (asserted above), and is complete before the flag and the pointer are set with release.
        unsafe {
            pages.cast::<u8>().add(PAGE as usize).cast::<Published>().write(published);
            (*pages).recording.store(1, Ordering::Release);
        }
        self.0.store(pages, Ordering::Release);
    }

    /// What is being recorded.
    ///
    /// # Hot path
    /// Two loads. No allocation, lock, system call or panic; safe in signal handlers and in forked children.
    #[inline]
    pub(crate) fn recording(&self) -> Option<&Published> {
        let pages = self.0.load(Ordering::Acquire);
        // SAFETY: either the static above or the pages given to `begin`, which are never unmapped.
        if unsafe { (*pages).recording.load(Ordering::Acquire) } == 0 {
            return None;
        }
        Some(published(pages))
    }

    /// What is recorded of the parent, in a forked child that has not looked after it yet.
    pub(crate) fn inherited(&self) -> Option<&Published> {
        let pages = self.0.load(Ordering::Acquire);
        let wiped = self.wiped();
        let is_forked = !core::ptr::eq(pages, &raw const NOWHERE) && wiped.recording.load(Ordering::Acquire) == 0;
        (is_forked && wiped.steps.load(Ordering::Relaxed) & SETTLED == 0).then(|| published(pages))
    }

    /// Whether the caller is the one to look after what was inherited.
    pub(crate) fn settle(&self) -> bool {
        self.wiped().steps.fetch_or(SETTLED, Ordering::AcqRel) & SETTLED == 0
    }

    /// The caller cannot look after what was inherited, for it is a vforked child, it seems. It ends soon. If it does not,
    /// nobody will try any more.
    pub(crate) fn refuse(&self) {
        const MOST: u32 = 1000;
        if self.wiped().refused.fetch_add(1, Ordering::Relaxed) >= MOST {
            self.settle();
        }
    }

    /// Runs `ask` unless the process is recorded, has asked for the same reason before, or is asking.
    pub(crate) fn ask_once(&self, why: Why, ask: impl FnOnce()) {
        let wiped = self.wiped();
        let bit = ASKED << why as u32;
        let taken = wiped.steps.fetch_update(Ordering::AcqRel, Ordering::Acquire, |steps| {
            (steps & (ASKING | bit) == 0 && self.recording().is_none()).then_some(steps | ASKING | bit)
        });
        if taken.is_ok() {
            ask();
            wiped.steps.fetch_and(!ASKING, Ordering::AcqRel);
        }
    }

    /// What the kernel does in a forked child.
    #[cfg(test)]
    pub(crate) fn wipe(&self) {
        self.wiped().recording.store(0, Ordering::Release);
        self.wiped().steps.store(0, Ordering::Release);
        self.wiped().refused.store(0, Ordering::Release);
    }

    fn wiped(&self) -> &Wiped {
        // SAFETY: as in `recording`.
        unsafe { &*self.0.load(Ordering::Acquire) }
    }
}

fn published<'a>(pages: *mut Wiped) -> &'a Published {
    // SAFETY: only called for pages that were given to `begin`, which has written it there before it published them.
    unsafe { &*pages.cast::<u8>().add(PAGE as usize).cast::<Published>() }
}
