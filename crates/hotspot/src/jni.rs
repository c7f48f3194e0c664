//! The JNI calls we make: attaching the helper thread, reading a field of it, and dropping references.
//!
//! [`JavaVm`] and [`Jni`] are pointers to a pointer to a table of functions, as `jni.h` has them.
#![allow(unsafe_code)] // calls into the JVM through its function tables

use core::ffi::{c_char, c_void};
use core::mem::transmute_copy;
use core::ptr::null_mut;

use crate::slot;

/// `JNI_VERSION_1_6`: every HotSpot from 6 on knows it.
pub(crate) const VERSION: i32 = 0x0001_0006;
/// `JNI_OK`.
pub(crate) const OK: i32 = 0;

/// A reference to a Java object, valid in the thread and frame in which it was made.
pub(crate) type LocalRef = *mut c_void;

/// `JavaVMAttachArgs`.
#[repr(C)]
pub(crate) struct AttachArguments {
    pub(crate) version: i32,
    pub(crate) name: *const c_char,
    pub(crate) group: *mut c_void,
}

/// Reads a function out of a table of JNI or JVMTI.
///
/// # Safety
/// `interface` points to a pointer to a table with more than `position` entries, and `F` is the function pointer
/// type of that entry.
pub(crate) unsafe fn function<F: Copy>(interface: *mut c_void, position: usize) -> F {
    const { assert!(size_of::<F>() == size_of::<*const c_void>()) };
    // SAFETY: the caller's promise.
    unsafe {
        let table = *interface.cast::<*const *const c_void>();
        transmute_copy(&*table.add(position))
    }
}

/// A `JavaVM *`.
#[derive(Clone, Copy)]
pub(crate) struct JavaVm(pub(crate) *mut c_void);

impl JavaVm {
    /// The interface of this version for the current thread: a `JNIEnv *` or a `jvmtiEnv *`.
    ///
    /// # Errors
    /// JNI's code: -2 = not attached, -3 = version not supported.
    ///
    /// # Safety
    /// `self` is the JavaVM of a JVM whose creation is complete.
    #[inline]
    pub(crate) unsafe fn env(self, version: i32) -> Result<*mut c_void, i32> {
        type GetEnv = unsafe extern "C" fn(*mut c_void, *mut *mut c_void, i32) -> i32;
        let mut env = null_mut();
        // SAFETY: the position is GetEnv's; JavaVM pointers stay valid for ever.
        let code = unsafe { function::<GetEnv>(self.0, slot::vm::GET_ENV)(self.0, &mut env, version) };
        if code == OK { Ok(env) } else { Err(code) }
    }

    /// Makes this thread a Java daemon thread with this name.
    ///
    /// # Safety
    /// As for [`JavaVm::env`]; the thread is not attached.
    pub(crate) unsafe fn attach_as_daemon(self, name: &'static core::ffi::CStr) -> Result<Jni, i32> {
        type Attach = unsafe extern "C" fn(*mut c_void, *mut *mut c_void, *mut AttachArguments) -> i32;
        let mut arguments = AttachArguments { version: VERSION, name: name.as_ptr(), group: null_mut() };
        let mut env = null_mut();
        // SAFETY: the position is AttachCurrentThreadAsDaemon's; the arguments live through the call.
        let code = unsafe {
            function::<Attach>(self.0, slot::vm::ATTACH_CURRENT_THREAD_AS_DAEMON)(self.0, &mut env, &mut arguments)
        };
        if code == OK && !env.is_null() { Ok(Jni(env)) } else { Err(code) }
    }

    /// Ends what [`JavaVm::attach_as_daemon`] began.
    ///
    /// # Safety
    /// This thread is attached and has no Java frames; its `Jni` is not used afterwards.
    pub(crate) unsafe fn detach(self) {
        type Detach = unsafe extern "C" fn(*mut c_void) -> i32;
        // SAFETY: the position is DetachCurrentThread's.
        unsafe { function::<Detach>(self.0, slot::vm::DETACH_CURRENT_THREAD)(self.0) };
    }
}

/// The `JNIEnv *` of the current thread.
#[derive(Clone, Copy)]
pub(crate) struct Jni(pub(crate) *mut c_void);

impl Jni {
    /// Opens a frame for local references; false if the JVM has no memory.
    ///
    /// # Safety
    /// Called on the thread to which this environment belongs.
    pub(crate) unsafe fn push_frame(self, capacity: i32) -> bool {
        type Push = unsafe extern "C" fn(*mut c_void, i32) -> i32;
        // SAFETY: the position is PushLocalFrame's.
        unsafe { function::<Push>(self.0, slot::jni::PUSH_LOCAL_FRAME)(self.0, capacity) == OK }
    }

    /// Closes the frame: every local reference made in it is gone.
    ///
    /// # Safety
    /// As for [`Jni::push_frame`], which was called before and said true.
    pub(crate) unsafe fn pop_frame(self) {
        type Pop = unsafe extern "C" fn(*mut c_void, LocalRef) -> LocalRef;
        // SAFETY: the position is PopLocalFrame's; no result is carried over.
        unsafe { function::<Pop>(self.0, slot::jni::POP_LOCAL_FRAME)(self.0, null_mut()) };
    }

    /// The value of a field of type `long`, by name; `None` if the object's class has no such field.
    ///
    /// # Safety
    /// On the environment's thread, in a frame which the caller pops; the reference is alive.
    pub(crate) unsafe fn long_field(self, object: LocalRef, name: &'static core::ffi::CStr) -> Option<i64> {
        type ClassOf = unsafe extern "C" fn(*mut c_void, LocalRef) -> LocalRef;
        type FieldId = unsafe extern "C" fn(*mut c_void, LocalRef, *const c_char, *const c_char) -> *mut c_void;
        type GetLong = unsafe extern "C" fn(*mut c_void, LocalRef, *mut c_void) -> i64;
        type Clear = unsafe extern "C" fn(*mut c_void);
        // SAFETY: the positions are those of GetObjectClass, GetFieldID, ExceptionClear and GetLongField; the field is
        // of the object's class and a `long`, or there is none and an exception of ours.
        unsafe {
            let class = function::<ClassOf>(self.0, slot::jni::GET_OBJECT_CLASS)(self.0, object);
            let field =
                function::<FieldId>(self.0, slot::jni::GET_FIELD_ID)(self.0, class, name.as_ptr(), c"J".as_ptr());
            if field.is_null() {
                function::<Clear>(self.0, slot::jni::EXCEPTION_CLEAR)(self.0);
                return None;
            }
            Some(function::<GetLong>(self.0, slot::jni::GET_LONG_FIELD)(self.0, object, field))
        }
    }

    /// Gives up a local reference.
    ///
    /// # Safety
    /// On the environment's thread; the reference is not used afterwards.
    pub(crate) unsafe fn delete(self, reference: LocalRef) {
        type Delete = unsafe extern "C" fn(*mut c_void, LocalRef);
        // SAFETY: the position is DeleteLocalRef's.
        unsafe { function::<Delete>(self.0, slot::jni::DELETE_LOCAL_REF)(self.0, reference) };
    }
}
