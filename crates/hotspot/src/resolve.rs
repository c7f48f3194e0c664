//! Names for method ids: the helper thread's side of a Java frame.
#![allow(unsafe_code)] // JVMTI calls on the helper thread

use core::marker::PhantomData;

use crate::jni::{Jni, LocalRef};
use crate::jvmti::{Jvmti, LineNumberEntry};

/// A method, as its class file has it; strings in modified UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MethodNames<'n> {
    /// `Ljava/util/zip/Deflater;`
    pub class_signature: &'n [u8],
    /// `init`, `<init>`, ...
    pub name: &'n [u8],
    /// `(IIZ)J`
    pub signature: &'n [u8],
    /// `Deflater.java`; empty if the class does not say.
    pub source_file: &'n [u8],
    /// Whether it is a native method.
    pub is_native: bool,
}

/// Resolves method ids. It belongs to the helper thread and to one tick, and cannot leave either.
pub struct Resolver<'t> {
    jvmti: Jvmti,
    jni: Jni,
    is_last: bool,
    /// Neither Send nor Sync: a `Jni` belongs to its thread.
    tick: PhantomData<(&'t (), *const ())>,
}

impl Resolver<'_> {
    /// # Safety
    /// Both belong to this attached thread, and the resolver is dropped before it is detached.
    pub(crate) unsafe fn new(jvmti: Jvmti, jni: Jni, is_last: bool) -> Self {
        Self { jvmti, jni, is_last, tick: PhantomData }
    }

    /// Whether the JVM is ending: what is not resolved in this tick will never be.
    ///
    /// The JVM's exit waits for this tick, but for 30 ms at most.
    #[must_use]
    pub fn is_last(&self) -> bool {
        self.is_last
    }

    /// Calls `f` with the names of a method; they are valid during the call only.
    ///
    /// # Errors
    /// JVMTI's code, and `f` is not called: 23 = no such method, its class was unloaded; 112 = the JVM is gone.
    pub fn method(&self, id: usize, f: &mut dyn FnMut(&MethodNames<'_>)) -> Result<(), i32> {
        if id == 0 {
            return Err(INVALID_METHOD_ID);
        }
        // SAFETY: JVMTI validates the id; we are on the helper thread (`new`).
        let (name, signature) = unsafe { self.jvmti.method_name(id) }?;
        // SAFETY: the same.
        let class = Local { jni: self.jni, reference: unsafe { self.jvmti.declaring_class(id) }? };
        // SAFETY: the reference is alive.
        let class_signature = unsafe { self.jvmti.class_signature(class.reference) }?;
        // SAFETY: the same. Absent information is an error to JVMTI, not to us.
        let source_file = unsafe { self.jvmti.source_file(class.reference) }.ok();
        // SAFETY: JVMTI validates the id.
        let is_native = unsafe { self.jvmti.is_native(id) }.unwrap_or(false);
        f(&MethodNames {
            class_signature: class_signature.as_bytes(),
            name: name.as_bytes(),
            signature: signature.as_bytes(),
            source_file: source_file.as_ref().map(|text| text.as_bytes()).unwrap_or_default(),
            is_native,
        });
        Ok(())
    }

    /// Source line of a bytecode index, 0 if unknown (no line table, native method, class unloaded).
    #[must_use]
    pub fn line(&self, id: usize, bci: i32) -> u32 {
        if id == 0 || bci < 0 {
            return 0;
        }
        // SAFETY: JVMTI validates the id; we are on the helper thread (`new`).
        let Ok(table) = (unsafe { self.jvmti.line_numbers(id) }) else { return 0 };
        line_of(table.as_slice(), i64::from(bci))
    }

    /// Calls `f` with the JVM's version, such as `17.0.15+6-Debian-1deb12u1`.
    ///
    /// # Errors
    /// JVMTI's code, and `f` is not called.
    pub fn jvm_version(&self, f: &mut dyn FnMut(&[u8])) -> Result<(), i32> {
        // SAFETY: we are on the helper thread (`new`).
        let text = unsafe { self.jvmti.system_property(c"java.vm.version") }?;
        f(text.as_bytes());
        Ok(())
    }
}

/// `JVMTI_ERROR_INVALID_METHODID`.
const INVALID_METHOD_ID: i32 = 23;

/// The line of the last entry that starts at or before `bci`; the table need not be in order.
fn line_of(table: &[LineNumberEntry], bci: i64) -> u32 {
    let entry = table.iter().filter(|entry| entry.start <= bci).max_by_key(|entry| entry.start);
    entry.and_then(|entry| u32::try_from(entry.line).ok()).unwrap_or(0)
}

/// A local reference, given up on drop.
struct Local {
    jni: Jni,
    reference: LocalRef,
}

impl Drop for Local {
    fn drop(&mut self) {
        // SAFETY: made by this thread, not used afterwards.
        unsafe { self.jni.delete(self.reference) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_line_of_a_bytecode_index() {
        let entry = |start, line| LineNumberEntry { start, line };
        let table = [entry(0, 10), entry(12, 14), entry(5, 11)];
        let lines: Vec<u32> = [0, 4, 5, 11, 12, 400].map(|bci| line_of(&table, bci)).to_vec();
        assert_eq!(lines, [10, 10, 11, 11, 14, 14]);
        assert_eq!(line_of(&table[1..], 4), 0, "before the first entry");
        assert_eq!(line_of(&[], 4), 0);
    }
}
