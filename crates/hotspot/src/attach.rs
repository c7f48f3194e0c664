//! From "a JVM is complete" to "the gate is open": attaches the helper thread and sets JVMTI up.
//!
//! The order matters. Attach first, with a name (without one the JVM counts us, and the application's first thread
//! becomes Thread-1); only then ask for JVMTI (asking from a thread that is not attached crashes a JVM in start-up);
//! go on only in the live phase. Enable ClassPrepare before listing the loaded classes, so that none falls between.
#![allow(unsafe_code)] // JNI and JVMTI calls on the helper thread

use core::ptr::{from_ref, null_mut};
use core::sync::atomic::Ordering;

use crate::anchor::Layout;
use crate::events::{callbacks, create_method_ids};
use crate::jni::{JavaVm, Jni};
use crate::jvm::Jvm;
use crate::jvmti::{self, Jvmti, RawMonitor};
use crate::libjvm::Libjvm;
use crate::slot::{capability, event};

/// Local references that `-Xcheck:jni` lets pass without a warning; the JVM allows no larger number.
const FRAME_CAPACITY: i32 = 65_536;

/// The helper thread as a Java thread, set up.
pub(crate) struct Attached {
    pub(crate) jvm: &'static Jvm,
    pub(crate) vm: JavaVm,
    pub(crate) jni: Jni,
    pub(crate) jvmti: Jvmti,
    pub(crate) monitor: RawMonitor,
}

/// Why an attempt failed. The thread is not attached then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The JVM is not there yet, try again.
    Early,
    /// The JVM is ending.
    Dead,
    /// A call without which there are no stacks was refused.
    Refused,
}

/// Makes one attempt. `environment` keeps the JVMTI environment for the next one, since each request makes a new one.
///
/// # Safety
/// `vm` came from JNI_GetCreatedJavaVMs in a JVM whose last thread has started; this thread is not attached.
pub(crate) unsafe fn attempt(
    jvm: &'static Jvm,
    vm: JavaVm,
    environment: &mut Option<Jvmti>,
) -> Result<Attached, Failure> {
    jvm.tally.attach_attempts.add(1);
    // SAFETY: the caller's promise.
    let attached = unsafe {
        let Ok(jni) = vm.attach_as_daemon(c"leakscope") else {
            jvm.tally.attach_failures.add(1);
            return Err(Failure::Early);
        };
        set_up(jvm, vm, jni, environment)
    };
    if attached.is_err() {
        jvm.tally.attach_failures.add(1);
        // SAFETY: attached above, and nothing of it is kept but the JVMTI environment, which belongs to no thread.
        unsafe { vm.detach() };
    }
    attached
}

/// # Safety
/// This thread is attached.
unsafe fn set_up(
    jvm: &'static Jvm,
    vm: JavaVm,
    jni: Jni,
    environment: &mut Option<Jvmti>,
) -> Result<Attached, Failure> {
    let jvmti = match *environment {
        Some(jvmti) => jvmti,
        // SAFETY: attached to a complete JVM.
        None => Jvmti(unsafe { vm.env(jvmti::VERSION) }.map_err(|_| Failure::Early)?),
    };
    *environment = Some(jvmti);
    // SAFETY: a live environment.
    match unsafe { jvmti.phase() } {
        Ok(jvmti::PHASE_LIVE) => {}
        Ok(jvmti::PHASE_DEAD) => return Err(Failure::Dead),
        _ => return Err(Failure::Early),
    }
    // SAFETY: attached, live phase.
    let result = unsafe { listen(jvm, jvmti).map(|monitor| Attached { jvm, vm, jni, jvmti, monitor }) };
    match result {
        Ok(attached) => {
            attached.create_method_ids();
            Ok(attached)
        }
        Err(_) => {
            // VMDeath may be enabled already: it shall not wait for us. If it does so now, the JVM is ending.
            let is_dead = !jvm.farewell.give_up();
            Err(if is_dead { Failure::Dead } else { Failure::Refused })
        }
    }
}

/// Capabilities, monitor, callbacks, events.
///
/// # Safety
/// Attached, live phase.
unsafe fn listen(jvm: &'static Jvm, jvmti: Jvmti) -> Result<RawMonitor, jvmti::Error> {
    // SAFETY: attached, live phase; the Jvm is static, the callbacks have the signatures of their events.
    unsafe {
        for bit in
            [capability::GET_SOURCE_FILE_NAME, capability::GET_LINE_NUMBERS, capability::GARBAGE_COLLECTION_EVENTS]
        {
            if jvmti.add_capability(bit).is_err() {
                jvm.tally.refused_capabilities.add(1);
            }
        }
        let monitor = jvmti.create_monitor(c"leakscope")?;
        // Release: pairs with the load in vm_death.
        jvm.monitor.store(monitor, Ordering::Release);
        jvmti.set_local_storage(from_ref(jvm).cast())?;
        jvmti.set_callbacks(&callbacks())?;
        for position in [event::VM_DEATH, event::CLASS_LOAD, event::CLASS_PREPARE] {
            jvmti.enable(position)?;
        }
        for position in [event::GC_START, event::GC_FINISH] {
            if jvmti.enable(position).is_err() {
                jvm.tally.refused_capabilities.add(1);
            }
        }
        Ok(monitor)
    }
}

impl Attached {
    /// Has the JVM create the method ids of all classes that are loaded, and pins none of them.
    fn create_method_ids(&self) {
        // SAFETY: attached and live; all references die with the frame.
        unsafe {
            if !self.jni.push_frame(FRAME_CAPACITY) {
                self.jvm.tally.failed_classes.add(1);
                return;
            }
            if let Ok(classes) = self.jvmti.loaded_classes() {
                for &class in classes.as_slice() {
                    if self.jvm.farewell.has_begun() {
                        break; // the JVM's exit waits for us
                    }
                    create_method_ids(self.jvm, self.jvmti, class);
                }
            } else {
                self.jvm.tally.failed_classes.add(1);
            }
            self.jni.pop_frame();
        }
    }

    /// Learns where threads keep their frame anchors, before there are captures. Without that they go without.
    pub(crate) fn learn_anchor(&self, libjvm: &Libjvm) {
        // SAFETY: attached and live; this thread runs native code and has no Java frames.
        let layout = unsafe {
            libjvm
                .vm_structs
                .as_ref()
                .zip(self.java_thread())
                .and_then(|(structs, thread)| Layout::learn(structs, self.jni.0.expose_provenance(), thread))
        };
        match layout {
            Some(layout) => self.jvm.anchor.set(layout),
            None => self.jvm.tally.unknown_anchors.add(1),
        }
    }

    /// Address of this thread's JavaThread, which its `java.lang.Thread` keeps in the field `eetop`.
    fn java_thread(&self) -> Option<usize> {
        // SAFETY: attached and live; the references die with the frame.
        unsafe {
            if !self.jni.push_frame(8) {
                return None;
            }
            let thread = self.jvmti.current_thread().ok();
            let address = thread.and_then(|thread| self.jni.long_field(thread, c"eetop"));
            self.jni.pop_frame();
            address.and_then(|address| usize::try_from(address).ok())
        }
    }

    /// The JavaVM of the process if there is exactly one.
    ///
    /// # Safety
    /// `function` is null or libjvm's JNI_GetCreatedJavaVMs.
    pub(crate) unsafe fn created_vm(function: *mut core::ffi::c_void) -> Option<JavaVm> {
        type Created = unsafe extern "C" fn(*mut *mut core::ffi::c_void, i32, *mut i32) -> i32;
        if function.is_null() {
            return None;
        }
        // SAFETY: not null, so it is this function.
        let created: Created = unsafe { core::mem::transmute(function) };
        let (mut vm, mut count) = (null_mut(), 0);
        // SAFETY: room for one pointer, and so it is said.
        let code = unsafe { created(&mut vm, 1, &mut count) };
        (code == crate::jni::OK && count == 1 && !vm.is_null()).then_some(JavaVm(vm))
    }
}
