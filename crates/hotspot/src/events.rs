//! What the JVM tells us: classes, garbage collections, and its death.
//!
//! JVMTI calls these on whatever thread the event happens, application threads included. They find their [`Jvm`] in
//! the environment's local storage.
#![allow(unsafe_code)] // callbacks from the JVM, JVMTI calls

use core::ffi::c_void;
use core::ptr::null;
use core::sync::atomic::Ordering;

use crate::jni::LocalRef;
use crate::jvm::{FAREWELL_NS, Jvm};
use crate::jvmti::{Callbacks, Jvmti};
use crate::loads::LOADS;
use crate::slot::event;

/// Most method ids that we have the JVM create, unless told otherwise ([`Jvm::set_method_id_cap`]): it never frees one,
/// and a leak profiler must not leak. The class that reaches it still gets all of its own.
pub const METHOD_ID_CAP: u64 = 300_000;

/// `JVMTI_ERROR_CLASS_NOT_PREPARED`: its ClassPrepare is still to come.
const CLASS_NOT_PREPARED: i32 = 22;

/// The callback table.
pub(crate) fn callbacks() -> Callbacks {
    let mut table = [null(); event::COUNT];
    for (position, function) in [
        (event::VM_DEATH, vm_death as *const c_void),
        (event::CLASS_LOAD, class_load as *const c_void),
        (event::CLASS_PREPARE, class_prepare as *const c_void),
        (event::GC_START, gc_start as *const c_void),
        (event::GC_FINISH, gc_finish as *const c_void),
    ] {
        if let Some(entry) = table.get_mut(position) {
            *entry = function;
        }
    }
    table
}

/// Has the JVM create the ids of a class's methods, which AsyncGetCallTrace cannot.
///
/// # Safety
/// `class` is a live reference of this thread, in the live phase.
pub(crate) unsafe fn create_method_ids(jvm: &Jvm, jvmti: Jvmti, class: LocalRef) {
    let tally = &jvm.tally;
    // SAFETY: the caller's promise.
    let is_churned =
        || unsafe { jvmti.class_signature(class) }.is_ok_and(|text| LOADS.is_one_too_many(text.as_bytes()));
    if jvm.has_enough_method_ids() || is_churned() {
        tally.skipped_classes.add(1);
        return;
    }
    // SAFETY: the caller's promise.
    match unsafe { jvmti.class_methods(class) } {
        Ok(methods) => tally.method_ids.add(methods.as_slice().len() as u64),
        Err(CLASS_NOT_PREPARED) => {}
        Err(_) => tally.failed_classes.add(1),
    }
}

/// The Jvm that belongs to this environment.
///
/// # Safety
/// `jvmti` is the environment of a callback.
unsafe fn owner(jvmti: Jvmti) -> Option<&'static Jvm> {
    // SAFETY: callable from every callback; what is stored is null or the `&'static Jvm` of `attach`.
    unsafe { jvmti.local_storage().cast::<Jvm>().as_ref() }
}

/// Does nothing, but must be enabled: without it AsyncGetCallTrace answers -1.
unsafe extern "C" fn class_load(_: *mut c_void, _: *mut c_void, _: LocalRef, _: LocalRef) {}

/// On the thread that loads the class, whose frame takes care of the reference.
unsafe extern "C" fn class_prepare(jvmti: *mut c_void, _: *mut c_void, _: LocalRef, class: LocalRef) {
    let jvmti = Jvmti(jvmti);
    // SAFETY: called by JVMTI with its environment and a live reference.
    unsafe {
        if let Some(jvm) = owner(jvmti) {
            create_method_ids(jvm, jvmti, class);
        }
    }
}

/// At a safepoint: nothing but local storage may be asked of the JVM.
unsafe extern "C" fn gc_start(jvmti: *mut c_void) {
    // SAFETY: called by JVMTI with its environment.
    if let Some(jvm) = unsafe { owner(Jvmti(jvmti)) } {
        jvm.tally.gc_starts.add(1);
    }
}

/// As `gc_start`.
unsafe extern "C" fn gc_finish(jvmti: *mut c_void) {
    // SAFETY: called by JVMTI with its environment.
    if let Some(jvm) = unsafe { owner(Jvmti(jvmti)) } {
        jvm.tally.gc_finishes.add(1);
    }
}

/// On the thread that ends the JVM, which goes on when this returns; the order is explained in `jvm`.
unsafe extern "C" fn vm_death(jvmti: *mut c_void, _: *mut c_void) {
    let jvmti = Jvmti(jvmti);
    // SAFETY: called by JVMTI with its environment.
    let Some(jvm) = (unsafe { owner(jvmti) }) else { return };
    let must_wait = jvm.farewell.begin();
    jvm.close();
    if !must_wait {
        return;
    }
    let monitor = jvm.monitor.load(Ordering::Acquire);
    // SAFETY: a monitor of this environment. The helper holds it only on its way into the wait, so this is short;
    // it looks at the farewell while it holds it, so no wake-up is lost.
    unsafe {
        if jvmti.enter(monitor).is_ok() {
            let _ = jvmti.notify_all(monitor);
            let _ = jvmti.exit(monitor);
        }
    }
    if !jvm.farewell.await_helper(FAREWELL_NS) {
        jvm.tally.abandoned.add(1);
    }
}
