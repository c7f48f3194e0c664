//! The JVMTI calls we make, one method each, with what the JVM allocates given back on drop.
//!
//! All of them belong to the helper thread and to JVMTI's own callbacks; none may run in an allocation hook.
#![allow(unsafe_code)] // calls into the JVM through its function table

use core::ffi::{c_char, c_void};
use core::ptr::{null, null_mut};

use crate::jni::{LocalRef, function};
use crate::libjvm::c_string;
use crate::slot::{self, event};

/// `JVMTI_VERSION_1_2`.
pub(crate) const VERSION: i32 = 0x3001_0200;
/// `JVMTI_PHASE_LIVE`: after VMInit, before VMDeath returned.
pub(crate) const PHASE_LIVE: i32 = 4;
/// `JVMTI_PHASE_DEAD`.
pub(crate) const PHASE_DEAD: i32 = 8;
/// What we say when the JVM answers OK with a null pointer: `JVMTI_ERROR_INTERNAL`.
const ERROR_INTERNAL: i32 = 113;
/// The longest modified UTF-8 that a class file can hold.
const STRING_LIMIT: usize = 65_535;

/// A `jvmtiError` other than NONE.
pub(crate) type Error = i32;
/// The bits of `jvmtiCapabilities`.
pub(crate) type Capabilities = [u64; 2];
/// A raw monitor, `jrawMonitorID`.
pub(crate) type RawMonitor = *mut c_void;
/// `jvmtiEventCallbacks`, as far as we know it.
pub(crate) type Callbacks = [*const c_void; event::COUNT];

/// `jvmtiLineNumberEntry`: from this bytecode index on, this line.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct LineNumberEntry {
    pub(crate) start: i64,
    pub(crate) line: i32,
}

fn check(code: i32) -> Result<(), Error> {
    if code == 0 { Ok(()) } else { Err(code) }
}

/// A `jvmtiEnv *`.
#[derive(Clone, Copy)]
pub(crate) struct Jvmti(pub(crate) *mut c_void);

/// Memory of the JVM's allocator, given back on drop. It holds `length` valid elements.
pub(crate) struct Array<T> {
    jvmti: Jvmti,
    pointer: *mut T,
    length: usize,
}

impl<T> Array<T> {
    /// # Safety
    /// JVMTI has just allocated `pointer`, with this many elements.
    unsafe fn new(jvmti: Jvmti, pointer: *mut T, length: i32) -> Self {
        Self { jvmti, pointer, length: usize::try_from(length).unwrap_or(0) }
    }

    pub(crate) fn as_slice(&self) -> &[T] {
        if self.pointer.is_null() {
            return &[];
        }
        // SAFETY: promised by the creator.
        unsafe { core::slice::from_raw_parts(self.pointer, self.length) }
    }
}

impl<T> Drop for Array<T> {
    fn drop(&mut self) {
        // SAFETY: allocated by this environment and owned by us; null is allowed.
        unsafe { self.jvmti.call2(slot::jvmti::DEALLOCATE, self.pointer.cast()) };
    }
}

/// A zero-terminated string of the JVM (modified UTF-8), given back on drop.
pub(crate) struct Text(Array<c_char>);

impl Text {
    /// # Safety
    /// JVMTI has just allocated this string, or it is null.
    unsafe fn new(jvmti: Jvmti, pointer: *mut c_char) -> Self {
        // SAFETY: a terminated string, or null: no element is read through the array itself.
        Self(unsafe { Array::new(jvmti, pointer, 0) })
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        // SAFETY: a terminated string that lives as long as `self`, or null.
        unsafe { c_string(self.0.pointer, STRING_LIMIT) }
    }
}

/// # Safety
/// Common to all methods: `self` is a live environment, and the thread is attached. What else is needed stands with
/// each. Calls in the wrong phase are refused by the JVM with error 112.
impl Jvmti {
    /// A call with one pointer behind the environment.
    unsafe fn call2(self, position: usize, a: *mut c_void) -> i32 {
        type Call = unsafe extern "C" fn(*mut c_void, *mut c_void) -> i32;
        // SAFETY: the caller's promise.
        unsafe { function::<Call>(self.0, position)(self.0, a) }
    }

    /// A call with two pointers behind the environment.
    unsafe fn call3(self, position: usize, a: *mut c_void, b: *mut c_void) -> i32 {
        type Call = unsafe extern "C" fn(*mut c_void, *mut c_void, *mut c_void) -> i32;
        // SAFETY: the caller's promise.
        unsafe { function::<Call>(self.0, position)(self.0, a, b) }
    }

    /// A call with three pointers behind the environment.
    unsafe fn call4(self, position: usize, a: *mut c_void, b: *mut c_void, c: *mut c_void) -> i32 {
        type Call = unsafe extern "C" fn(*mut c_void, *mut c_void, *mut c_void, *mut c_void) -> i32;
        // SAFETY: the caller's promise.
        unsafe { function::<Call>(self.0, position)(self.0, a, b, c) }
    }

    pub(crate) unsafe fn phase(self) -> Result<i32, Error> {
        let mut phase = 0i32;
        // SAFETY: the phase is written to a local.
        check(unsafe { self.call2(slot::jvmti::GET_PHASE, (&raw mut phase).cast()) })?;
        Ok(phase)
    }

    pub(crate) unsafe fn add_capability(self, bit: usize) -> Result<(), Error> {
        let wanted = 1u128.wrapping_shl(bit as u32);
        let mut set: Capabilities = [wanted as u64, (wanted >> 64) as u64];
        // SAFETY: the set is only read.
        check(unsafe { self.call2(slot::jvmti::ADD_CAPABILITIES, (&raw mut set).cast()) })
    }

    /// The table is copied by the JVM; its entries have the signatures of their events.
    pub(crate) unsafe fn set_callbacks(self, callbacks: &Callbacks) -> Result<(), Error> {
        type Set = unsafe extern "C" fn(*mut c_void, *const c_void, i32) -> i32;
        let size = size_of::<Callbacks>() as i32;
        // SAFETY: a table of this size.
        check(unsafe {
            function::<Set>(self.0, slot::jvmti::SET_EVENT_CALLBACKS)(self.0, callbacks.as_ptr().cast(), size)
        })
    }

    pub(crate) unsafe fn enable(self, position: usize) -> Result<(), Error> {
        type SetMode = unsafe extern "C" fn(*mut c_void, i32, i32, LocalRef, ...) -> i32;
        let event = event::FIRST.wrapping_add(position as i32);
        // SAFETY: JVMTI_ENABLE, for all threads; the function takes no further arguments today.
        check(unsafe {
            function::<SetMode>(self.0, slot::jvmti::SET_EVENT_NOTIFICATION_MODE)(self.0, 1, event, null_mut())
        })
    }

    pub(crate) unsafe fn set_local_storage(self, data: *const c_void) -> Result<(), Error> {
        // SAFETY: the pointer is only stored.
        check(unsafe { self.call2(slot::jvmti::SET_ENVIRONMENT_LOCAL_STORAGE, data.cast_mut()) })
    }

    /// May be called from every callback.
    pub(crate) unsafe fn local_storage(self) -> *const c_void {
        let mut data = null::<c_void>();
        // SAFETY: written to a local.
        unsafe { self.call2(slot::jvmti::GET_ENVIRONMENT_LOCAL_STORAGE, (&raw mut data).cast()) };
        data
    }

    pub(crate) unsafe fn create_monitor(self, name: &'static core::ffi::CStr) -> Result<RawMonitor, Error> {
        let mut monitor: RawMonitor = null_mut();
        let name = name.as_ptr().cast_mut().cast();
        // SAFETY: the name is copied, the monitor written to a local.
        check(unsafe { self.call3(slot::jvmti::CREATE_RAW_MONITOR, name, (&raw mut monitor).cast()) })?;
        Ok(monitor)
    }

    pub(crate) unsafe fn enter(self, monitor: RawMonitor) -> Result<(), Error> {
        // SAFETY: a monitor of this environment.
        check(unsafe { self.call2(slot::jvmti::RAW_MONITOR_ENTER, monitor) })
    }

    pub(crate) unsafe fn exit(self, monitor: RawMonitor) -> Result<(), Error> {
        // SAFETY: a monitor of this environment, entered by this thread.
        check(unsafe { self.call2(slot::jvmti::RAW_MONITOR_EXIT, monitor) })
    }

    pub(crate) unsafe fn notify_all(self, monitor: RawMonitor) -> Result<(), Error> {
        // SAFETY: as for exit.
        check(unsafe { self.call2(slot::jvmti::RAW_MONITOR_NOTIFY_ALL, monitor) })
    }

    /// Waits for a notification, at most this long; 0 = for ever. The monitor is entered.
    pub(crate) unsafe fn wait(self, monitor: RawMonitor, milliseconds: i64) -> Result<(), Error> {
        type Wait = unsafe extern "C" fn(*mut c_void, RawMonitor, i64) -> i32;
        // SAFETY: as for exit.
        check(unsafe { function::<Wait>(self.0, slot::jvmti::RAW_MONITOR_WAIT)(self.0, monitor, milliseconds) })
    }

    /// Local references to all classes; the caller pops the frame which it pushed for them.
    pub(crate) unsafe fn loaded_classes(self) -> Result<Array<LocalRef>, Error> {
        let (mut count, mut classes) = (0i32, null_mut::<LocalRef>());
        let (a, b) = ((&raw mut count).cast(), (&raw mut classes).cast());
        // SAFETY: both are written to locals.
        check(unsafe { self.call3(slot::jvmti::GET_LOADED_CLASSES, a, b) })?;
        // SAFETY: just allocated by JVMTI with this length.
        Ok(unsafe { Array::new(self, classes, count) })
    }

    /// The ids of the class's methods; creates those that do not exist.
    pub(crate) unsafe fn class_methods(self, class: LocalRef) -> Result<Array<usize>, Error> {
        let (mut count, mut methods) = (0i32, null_mut::<usize>());
        let (b, c) = ((&raw mut count).cast(), (&raw mut methods).cast());
        // SAFETY: a valid reference; the results go to locals.
        check(unsafe { self.call4(slot::jvmti::GET_CLASS_METHODS, class, b, c) })?;
        // SAFETY: just allocated by JVMTI with this length.
        Ok(unsafe { Array::new(self, methods, count) })
    }

    /// A new local reference to the current thread's `java.lang.Thread`.
    pub(crate) unsafe fn current_thread(self) -> Result<LocalRef, Error> {
        let mut thread: LocalRef = null_mut();
        // SAFETY: written to a local.
        check(unsafe { self.call2(slot::jvmti::GET_CURRENT_THREAD, (&raw mut thread).cast()) })?;
        if thread.is_null() { Err(ERROR_INTERNAL) } else { Ok(thread) }
    }

    /// `Ljava/util/zip/Deflater;`
    pub(crate) unsafe fn class_signature(self, class: LocalRef) -> Result<Text, Error> {
        let mut text = null_mut::<c_char>();
        // SAFETY: a valid reference; the generic signature is not wanted.
        check(unsafe { self.call4(slot::jvmti::GET_CLASS_SIGNATURE, class, (&raw mut text).cast(), null_mut()) })?;
        // SAFETY: just allocated by JVMTI.
        Ok(unsafe { Text::new(self, text) })
    }

    pub(crate) unsafe fn source_file(self, class: LocalRef) -> Result<Text, Error> {
        let mut text = null_mut::<c_char>();
        // SAFETY: a valid reference.
        check(unsafe { self.call3(slot::jvmti::GET_SOURCE_FILE_NAME, class, (&raw mut text).cast()) })?;
        // SAFETY: just allocated by JVMTI.
        Ok(unsafe { Text::new(self, text) })
    }

    /// A new local reference to the class that declares the method.
    pub(crate) unsafe fn declaring_class(self, method: usize) -> Result<LocalRef, Error> {
        let mut class: LocalRef = null_mut();
        let id = core::ptr::without_provenance_mut(method);
        // SAFETY: JVMTI validates the id; the result goes to a local.
        check(unsafe { self.call3(slot::jvmti::GET_METHOD_DECLARING_CLASS, id, (&raw mut class).cast()) })?;
        if class.is_null() { Err(ERROR_INTERNAL) } else { Ok(class) }
    }

    /// Name and signature.
    pub(crate) unsafe fn method_name(self, method: usize) -> Result<(Text, Text), Error> {
        type GetName = unsafe extern "C" fn(*mut c_void, usize, *mut *mut c_char, *mut *mut c_char, *mut c_void) -> i32;
        let (mut name, mut signature) = (null_mut(), null_mut());
        // SAFETY: JVMTI validates the id; the generic signature is not wanted.
        check(unsafe {
            let get_name = function::<GetName>(self.0, slot::jvmti::GET_METHOD_NAME);
            get_name(self.0, method, &mut name, &mut signature, null_mut())
        })?;
        // SAFETY: just allocated by JVMTI.
        Ok(unsafe { (Text::new(self, name), Text::new(self, signature)) })
    }

    pub(crate) unsafe fn is_native(self, method: usize) -> Result<bool, Error> {
        let mut native = 0u8;
        let id = core::ptr::without_provenance_mut(method);
        // SAFETY: JVMTI validates the id.
        check(unsafe { self.call3(slot::jvmti::IS_METHOD_NATIVE, id, (&raw mut native).cast()) })?;
        Ok(native != 0)
    }

    pub(crate) unsafe fn line_numbers(self, method: usize) -> Result<Array<LineNumberEntry>, Error> {
        let (mut count, mut entries) = (0i32, null_mut::<LineNumberEntry>());
        let id = core::ptr::without_provenance_mut(method);
        let (b, c) = ((&raw mut count).cast(), (&raw mut entries).cast());
        // SAFETY: JVMTI validates the id; the results go to locals.
        check(unsafe { self.call4(slot::jvmti::GET_LINE_NUMBER_TABLE, id, b, c) })?;
        // SAFETY: just allocated by JVMTI with this length.
        Ok(unsafe { Array::new(self, entries, count) })
    }

    pub(crate) unsafe fn system_property(self, name: &'static core::ffi::CStr) -> Result<Text, Error> {
        let mut text = null_mut::<c_char>();
        let name = name.as_ptr().cast_mut().cast();
        // SAFETY: a terminated name.
        check(unsafe { self.call3(slot::jvmti::GET_SYSTEM_PROPERTY, name, (&raw mut text).cast()) })?;
        // SAFETY: just allocated by JVMTI.
        Ok(unsafe { Text::new(self, text) })
    }
}
