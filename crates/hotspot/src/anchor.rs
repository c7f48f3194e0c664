//! A thread's frame anchor: where the JVM looks for the last Java frame of a thread that has left Java code.
//!
//! On its way into the VM the interpreter notes the stack pointer in the anchor, but not the pc; the VM completes the
//! anchor itself when it first needs to (`JavaFrameAnchor::make_walkable`), for example before it blocks. An allocation
//! before that, as when a class is loaded, finds an anchor that cannot be walked, and AsyncGetCallTrace answers -3.
//! [`Anchor::complete`] does what the JVM would do, for the time of one call, and takes it back.
//!
//! Only this thread reads its anchor then: others do when it is at a safepoint, which a thread in the VM is not.
//! async-profiler does the same (`profiler.cpp`).
//!
//! Where the anchor lies is published by the JVM for its own debugger (`vmStructs.hpp`): offsets in `JavaThread`. That of
//! the `JNIEnv` is not among them; it is the distance between the helper's own and the address in `Thread.eetop`.
#![allow(unsafe_code)] // reads the JVM's tables, and the anchor

use core::ffi::{CStr, c_char, c_void};
use core::sync::atomic::{AtomicIsize, Ordering};

use crate::libjvm::c_string;

/// Names in the JVM's tables are shorter.
const LONGEST_NAME: usize = 100;
/// The JVM describes about 2,000 fields.
const MOST_FIELDS: usize = 20_000;
/// An anchor that belongs to the call is this close to where the native frames end, bytes.
const NEAR: usize = 256;
/// An offset that is not known.
const UNKNOWN: isize = 0;

/// Where the two words of the anchor are, in bytes from a thread's `JNIEnv`.
pub(crate) struct Anchor {
    sp: AtomicIsize,
    pc: AtomicIsize,
}

/// Addresses of the JVM's table of fields and of its layout (`gHotSpotVMStructs` and the like), or null.
#[derive(Clone, Copy)]
pub(crate) struct FieldTable {
    pub(crate) entries: *const c_void,
    pub(crate) type_name: *const c_void,
    pub(crate) field_name: *const c_void,
    pub(crate) offset: *const c_void,
    pub(crate) stride: *const c_void,
}

impl FieldTable {
    /// The table of the library in which `find` finds symbols.
    pub(crate) fn of(find: impl Fn(&CStr) -> *mut c_void) -> Self {
        Self {
            entries: find(c"gHotSpotVMStructs"),
            type_name: find(c"gHotSpotVMStructEntryTypeNameOffset"),
            field_name: find(c"gHotSpotVMStructEntryFieldNameOffset"),
            offset: find(c"gHotSpotVMStructEntryOffsetOffset"),
            stride: find(c"gHotSpotVMStructEntryArrayStride"),
        }
    }

    /// Offset of a field in its class; `None` if the JVM does not publish it.
    ///
    /// # Safety
    /// The addresses are those of the symbols of a JVM that is complete, or null.
    unsafe fn offset_of(&self, class: &[u8], field: &[u8]) -> Option<isize> {
        let all = [self.entries, self.type_name, self.field_name, self.offset, self.stride];
        if all.iter().any(|address| address.is_null()) {
            return None;
        }
        // SAFETY: the first symbol is a pointer to the table, the others are 64-bit numbers.
        let [mut entry, type_name, field_name, offset, stride] = unsafe { all.map(|address| *address.cast::<usize>()) };
        for _ in 0..MOST_FIELDS {
            // SAFETY: the table ends with an entry without a type; each name is a C string.
            let (of_class, of_field) = unsafe {
                let name = |at: usize| *(entry.wrapping_add(at) as *const *const c_char);
                if entry == 0 || name(type_name).is_null() {
                    return None;
                }
                (c_string(name(type_name), LONGEST_NAME), c_string(name(field_name), LONGEST_NAME))
            };
            if of_class == class && of_field == field {
                // SAFETY: this entry's own offset.
                return Some(unsafe { *(entry.wrapping_add(offset) as *const isize) });
            }
            entry = entry.wrapping_add(stride);
        }
        None
    }
}

impl Anchor {
    /// An anchor that is not known.
    pub(crate) const fn new() -> Self {
        Self { sp: AtomicIsize::new(UNKNOWN), pc: AtomicIsize::new(UNKNOWN) }
    }

    /// Learns where anchors are. `env` and `thread` are the `JNIEnv` and the `JavaThread` of one thread.
    ///
    /// # Safety
    /// The addresses of the table are those of a JVM that is complete, or null.
    pub(crate) unsafe fn learn(&self, table: &FieldTable, env: usize, thread: usize) {
        // SAFETY: our contract.
        let offsets = unsafe {
            [
                table.offset_of(b"JavaThread", b"_anchor"),
                table.offset_of(b"JavaFrameAnchor", b"_last_Java_sp"),
                table.offset_of(b"JavaFrameAnchor", b"_last_Java_pc"),
            ]
        };
        if let [Some(anchor), Some(sp), Some(pc)] = offsets {
            let anchor = (thread.wrapping_sub(env) as isize).wrapping_add(anchor);
            self.pc.store(anchor.wrapping_add(pc), Ordering::Relaxed);
            self.sp.store(anchor.wrapping_add(sp), Ordering::Relaxed);
        }
    }

    /// Calls `capture` with the anchor of this thread completed; `None` if it is not one that the interpreter has left
    /// half-made. `stopped_sp` is the stack pointer where the native frames end, in code of no file.
    ///
    /// # Safety
    /// `env` is the `JNIEnv` of the current thread, and `learn` was told of the same JVM.
    pub(crate) unsafe fn complete<R>(
        &self,
        env: *mut c_void,
        stopped_sp: usize,
        capture: impl FnOnce() -> R,
    ) -> Option<R> {
        let (sp, pc) = (self.sp.load(Ordering::Relaxed), self.pc.load(Ordering::Relaxed));
        if sp == UNKNOWN || pc == UNKNOWN {
            return None;
        }
        let sp = env.wrapping_byte_offset(sp).cast::<usize>();
        let pc = env.wrapping_byte_offset(pc).cast::<usize>();
        // SAFETY: words of this thread's own JavaThread.
        let (last_sp, last_pc) = unsafe { (sp.read_volatile(), pc.read_volatile()) };
        let is_of_this_call = (stopped_sp..stopped_sp.wrapping_add(NEAR)).contains(&last_sp.wrapping_sub(8));
        if last_pc != 0 || !is_of_this_call {
            return None;
        }
        // SAFETY: a word of this thread's stack, towards its root from where we are: the return address into the
        // interpreter. The JVM reads the same word, and other threads do not look at this anchor (see above).
        unsafe {
            pc.write_volatile(*(last_sp.wrapping_sub(8) as *const usize));
            let result = capture();
            pc.write_volatile(0);
            Some(result)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[repr(C)]
    struct Entry {
        type_name: *const c_char,
        field_name: *const c_char,
        type_string: *const c_char,
        is_static: i32,
        offset: u64,
        address: *const c_void,
    }

    const fn entry(class: &'static CStr, field: &'static CStr, offset: u64) -> Entry {
        let null = core::ptr::null();
        Entry {
            type_name: class.as_ptr(),
            field_name: field.as_ptr(),
            type_string: null,
            is_static: 0,
            offset,
            address: null.cast(),
        }
    }

    /// An anchor of a thread with its JNIEnv at byte 64 and its anchor at byte 16, of which sp is the first word.
    fn learnt() -> Anchor {
        let null = core::ptr::null();
        let end = Entry {
            type_name: null,
            field_name: null,
            type_string: null,
            is_static: 0,
            offset: 0,
            address: null.cast(),
        };
        let entries = [
            entry(c"Thread", c"_anchor", 1),
            entry(c"JavaFrameAnchor", c"_last_Java_pc", 8),
            entry(c"JavaThread", c"_anchor", 16),
            entry(c"JavaFrameAnchor", c"_last_Java_sp", 0),
            end,
        ];
        let (first, numbers) = (entries.as_ptr(), [0u64, 8, 32, 48]);
        let number = |i: usize| (&raw const numbers[i]).cast();
        let table = FieldTable {
            entries: (&raw const first).cast(),
            type_name: number(0),
            field_name: number(1),
            offset: number(2),
            stride: number(3),
        };
        let anchor = Anchor::new();
        // SAFETY: a table of that layout.
        unsafe { anchor.learn(&table, 1064, 1000) };
        anchor
    }

    #[test]
    fn a_half_made_anchor_is_completed_and_taken_back() {
        let anchor = learnt();
        let stack = [1usize, 2, 0x7777, 4];
        let stopped = stack.as_ptr() as usize;
        let mut thread = [0usize; 10];
        thread[2] = stopped + 24;
        let base = thread.as_mut_ptr();
        // SAFETY: within the array.
        let (env, pc) = unsafe { (base.add(8).cast(), base.add(3)) };
        // SAFETY: a thread of that layout, whose anchor is in a readable stack.
        let seen = |stopped| unsafe { anchor.complete(env, stopped, || *pc) };
        assert_eq!(seen(stopped), Some(0x7777));
        assert_eq!(seen(stopped + 17), None, "below where the native frames end");
        assert_eq!(seen(stopped - 4096), None, "far from it");
        // SAFETY: within the array.
        unsafe {
            assert_eq!(*pc, 0, "taken back");
            *pc = 5;
        }
        // SAFETY: as above.
        assert_eq!(unsafe { anchor.complete(env, stopped, || ()) }, None, "complete already");
    }

    #[test]
    fn without_a_table_nothing_is_touched() {
        let null = core::ptr::null();
        let table = FieldTable { entries: null, type_name: null, field_name: null, offset: null, stride: null };
        let anchor = Anchor::new();
        // SAFETY: null is allowed.
        unsafe { anchor.learn(&table, 8, 16) };
        // SAFETY: nothing is read where nothing is known.
        assert_eq!(unsafe { anchor.complete(core::ptr::null_mut(), 0, || ()) }, None);
    }
}
