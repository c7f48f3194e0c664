//! Positions in the function tables of JNI and JVMTI, as `jni.h` and `jvmti.h` lay them out.
//!
//! Both interfaces are tables of function pointers which are only ever appended to, so a position holds for every
//! JDK since 1.4. They are written by hand instead of taking a bindings library, because about thirty of some five
//! hundred functions are wanted; a test compares each with the headers of the installed JDKs.

/// Positions in `JNIInvokeInterface_`, the table of a `JavaVM`.
pub(crate) mod vm {
    pub(crate) const DETACH_CURRENT_THREAD: usize = 5;
    pub(crate) const GET_ENV: usize = 6;
    pub(crate) const ATTACH_CURRENT_THREAD_AS_DAEMON: usize = 7;
}

/// Positions in `JNINativeInterface_`, the table of a `JNIEnv`.
pub(crate) mod jni {
    pub(crate) const EXCEPTION_CLEAR: usize = 17;
    pub(crate) const PUSH_LOCAL_FRAME: usize = 19;
    pub(crate) const POP_LOCAL_FRAME: usize = 20;
    pub(crate) const DELETE_LOCAL_REF: usize = 23;
    pub(crate) const GET_OBJECT_CLASS: usize = 31;
    pub(crate) const GET_FIELD_ID: usize = 94;
    pub(crate) const GET_LONG_FIELD: usize = 101;
}

/// Positions in `jvmtiInterface_1_`, the table of a `jvmtiEnv`.
pub(crate) mod jvmti {
    pub(crate) const SET_EVENT_NOTIFICATION_MODE: usize = 1;
    pub(crate) const GET_CURRENT_THREAD: usize = 17;
    pub(crate) const CREATE_RAW_MONITOR: usize = 30;
    pub(crate) const RAW_MONITOR_ENTER: usize = 32;
    pub(crate) const RAW_MONITOR_EXIT: usize = 33;
    pub(crate) const RAW_MONITOR_WAIT: usize = 34;
    pub(crate) const RAW_MONITOR_NOTIFY_ALL: usize = 36;
    pub(crate) const DEALLOCATE: usize = 46;
    pub(crate) const GET_CLASS_SIGNATURE: usize = 47;
    pub(crate) const GET_SOURCE_FILE_NAME: usize = 49;
    pub(crate) const GET_CLASS_METHODS: usize = 51;
    pub(crate) const GET_METHOD_NAME: usize = 63;
    pub(crate) const GET_METHOD_DECLARING_CLASS: usize = 64;
    pub(crate) const GET_LINE_NUMBER_TABLE: usize = 69;
    pub(crate) const IS_METHOD_NATIVE: usize = 75;
    pub(crate) const GET_LOADED_CLASSES: usize = 77;
    pub(crate) const SET_EVENT_CALLBACKS: usize = 121;
    pub(crate) const GET_SYSTEM_PROPERTY: usize = 130;
    pub(crate) const GET_PHASE: usize = 132;
    pub(crate) const ADD_CAPABILITIES: usize = 141;
    pub(crate) const GET_ENVIRONMENT_LOCAL_STORAGE: usize = 146;
    pub(crate) const SET_ENVIRONMENT_LOCAL_STORAGE: usize = 147;
}

/// Positions in `jvmtiEventCallbacks`, and the number of each event (`jvmtiEvent`).
pub(crate) mod event {
    /// `JVMTI_MIN_EVENT_TYPE_VAL`: the number of the event in position 0.
    pub(crate) const FIRST: i32 = 50;
    pub(crate) const VM_DEATH: usize = 1;
    pub(crate) const CLASS_LOAD: usize = 5;
    pub(crate) const CLASS_PREPARE: usize = 6;
    pub(crate) const GC_START: usize = 31;
    pub(crate) const GC_FINISH: usize = 32;
    /// Length of the table that we fill in: the events of JDK 9; later ones are only appended.
    pub(crate) const COUNT: usize = 36;
}

/// Positions of bits in `jvmtiCapabilities`, counted from the least significant bit of its first byte.
pub(crate) mod capability {
    pub(crate) const GET_SOURCE_FILE_NAME: usize = 11;
    pub(crate) const GET_LINE_NUMBERS: usize = 12;
    pub(crate) const GARBAGE_COLLECTION_EVENTS: usize = 31;
}

#[cfg(test)]
mod tests;
