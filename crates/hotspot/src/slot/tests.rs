//! Compares every position with what a C compiler makes of the headers of the installed JDKs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{capability, event, jni, jvmti, vm};

/// Structure, field, and our position of it.
const FUNCTIONS: &[(&str, &str, usize)] = &[
    ("struct JNIInvokeInterface_", "DetachCurrentThread", vm::DETACH_CURRENT_THREAD),
    ("struct JNIInvokeInterface_", "GetEnv", vm::GET_ENV),
    ("struct JNIInvokeInterface_", "AttachCurrentThreadAsDaemon", vm::ATTACH_CURRENT_THREAD_AS_DAEMON),
    ("struct JNINativeInterface_", "ExceptionClear", jni::EXCEPTION_CLEAR),
    ("struct JNINativeInterface_", "GetObjectClass", jni::GET_OBJECT_CLASS),
    ("struct JNINativeInterface_", "GetFieldID", jni::GET_FIELD_ID),
    ("struct JNINativeInterface_", "GetLongField", jni::GET_LONG_FIELD),
    ("struct JNINativeInterface_", "PushLocalFrame", jni::PUSH_LOCAL_FRAME),
    ("struct JNINativeInterface_", "PopLocalFrame", jni::POP_LOCAL_FRAME),
    ("struct JNINativeInterface_", "DeleteLocalRef", jni::DELETE_LOCAL_REF),
    ("struct jvmtiInterface_1_", "SetEventNotificationMode", jvmti::SET_EVENT_NOTIFICATION_MODE),
    ("struct jvmtiInterface_1_", "GetCurrentThread", jvmti::GET_CURRENT_THREAD),
    ("struct jvmtiInterface_1_", "CreateRawMonitor", jvmti::CREATE_RAW_MONITOR),
    ("struct jvmtiInterface_1_", "RawMonitorEnter", jvmti::RAW_MONITOR_ENTER),
    ("struct jvmtiInterface_1_", "RawMonitorExit", jvmti::RAW_MONITOR_EXIT),
    ("struct jvmtiInterface_1_", "RawMonitorWait", jvmti::RAW_MONITOR_WAIT),
    ("struct jvmtiInterface_1_", "RawMonitorNotifyAll", jvmti::RAW_MONITOR_NOTIFY_ALL),
    ("struct jvmtiInterface_1_", "Deallocate", jvmti::DEALLOCATE),
    ("struct jvmtiInterface_1_", "GetClassSignature", jvmti::GET_CLASS_SIGNATURE),
    ("struct jvmtiInterface_1_", "GetSourceFileName", jvmti::GET_SOURCE_FILE_NAME),
    ("struct jvmtiInterface_1_", "GetClassMethods", jvmti::GET_CLASS_METHODS),
    ("struct jvmtiInterface_1_", "GetMethodName", jvmti::GET_METHOD_NAME),
    ("struct jvmtiInterface_1_", "GetMethodDeclaringClass", jvmti::GET_METHOD_DECLARING_CLASS),
    ("struct jvmtiInterface_1_", "GetLineNumberTable", jvmti::GET_LINE_NUMBER_TABLE),
    ("struct jvmtiInterface_1_", "IsMethodNative", jvmti::IS_METHOD_NATIVE),
    ("struct jvmtiInterface_1_", "GetLoadedClasses", jvmti::GET_LOADED_CLASSES),
    ("struct jvmtiInterface_1_", "SetEventCallbacks", jvmti::SET_EVENT_CALLBACKS),
    ("struct jvmtiInterface_1_", "GetSystemProperty", jvmti::GET_SYSTEM_PROPERTY),
    ("struct jvmtiInterface_1_", "GetPhase", jvmti::GET_PHASE),
    ("struct jvmtiInterface_1_", "AddCapabilities", jvmti::ADD_CAPABILITIES),
    ("struct jvmtiInterface_1_", "GetEnvironmentLocalStorage", jvmti::GET_ENVIRONMENT_LOCAL_STORAGE),
    ("struct jvmtiInterface_1_", "SetEnvironmentLocalStorage", jvmti::SET_ENVIRONMENT_LOCAL_STORAGE),
    ("jvmtiEventCallbacks", "VMDeath", event::VM_DEATH),
    ("jvmtiEventCallbacks", "ClassLoad", event::CLASS_LOAD),
    ("jvmtiEventCallbacks", "ClassPrepare", event::CLASS_PREPARE),
    ("jvmtiEventCallbacks", "GarbageCollectionStart", event::GC_START),
    ("jvmtiEventCallbacks", "GarbageCollectionFinish", event::GC_FINISH),
];

const CAPABILITIES: &[(&str, usize)] = &[
    ("can_get_source_file_name", capability::GET_SOURCE_FILE_NAME),
    ("can_get_line_numbers", capability::GET_LINE_NUMBERS),
    ("can_generate_garbage_collection_events", capability::GARBAGE_COLLECTION_EVENTS),
];

/// C expression and our value of it.
fn values() -> Vec<(&'static str, i64)> {
    let number = |position: usize| i64::from(event::FIRST) + position as i64;
    vec![
        ("JVMTI_MIN_EVENT_TYPE_VAL", i64::from(event::FIRST)),
        ("JVMTI_EVENT_VM_DEATH", number(event::VM_DEATH)),
        ("JVMTI_EVENT_CLASS_LOAD", number(event::CLASS_LOAD)),
        ("JVMTI_EVENT_CLASS_PREPARE", number(event::CLASS_PREPARE)),
        ("JVMTI_EVENT_GARBAGE_COLLECTION_START", number(event::GC_START)),
        ("JVMTI_EVENT_GARBAGE_COLLECTION_FINISH", number(event::GC_FINISH)),
        ("sizeof(jvmtiCapabilities)", size_of::<crate::jvmti::Capabilities>() as i64),
        ("sizeof(jvmtiLineNumberEntry)", size_of::<crate::jvmti::LineNumberEntry>() as i64),
        ("offsetof(jvmtiLineNumberEntry, line_number)", 8),
        ("sizeof(JavaVMAttachArgs)", size_of::<crate::jni::AttachArguments>() as i64),
        ("offsetof(JavaVMAttachArgs, name)", 8),
        ("JVMTI_PHASE_LIVE", i64::from(crate::jvmti::PHASE_LIVE)),
        ("JVMTI_PHASE_DEAD", i64::from(crate::jvmti::PHASE_DEAD)),
        ("JVMTI_VERSION_1_2", i64::from(crate::jvmti::VERSION)),
        ("JNI_VERSION_1_6", i64::from(crate::jni::VERSION)),
        ("JVMTI_ENABLE", 1),
    ]
}

fn program() -> String {
    let mut c = String::from("#include <jvmti.h>\n#include <stddef.h>\n#include <stdio.h>\n#include <string.h>\n");
    c.push_str("int main(void) {\n");
    for (structure, field, _) in FUNCTIONS {
        writeln!(c, "printf(\"{field} %zu\\n\", offsetof({structure}, {field}) / sizeof(void *));").expect("a string");
    }
    for (name, _) in CAPABILITIES {
        writeln!(
            c,
            "{{ jvmtiCapabilities set; memset(&set, 0, sizeof set); set.{name} = 1; unsigned char *b = (void *)&set;\n\
             for (int i = 0; i < 128; i++) if (b[i / 8] >> (i % 8) & 1) printf(\"{name} %d\\n\", i); }}"
        )
        .expect("a string");
    }
    for (index, (expression, _)) in values().iter().enumerate() {
        writeln!(c, "printf(\"value{index} %ld\\n\", (long)({expression}));").expect("a string");
    }
    c.push_str("printf(\"callbacks %zu\\n\", sizeof(jvmtiEventCallbacks) / sizeof(void *));\nreturn 0; }\n");
    c
}

/// Include directories of the JDK whose javac is found first, of its neighbours, and of `JAVA_HOME`.
fn headers() -> Vec<PathBuf> {
    let javac = std::env::var_os("PATH")
        .iter()
        .flat_map(|path| std::env::split_paths(path).collect::<Vec<_>>())
        .map(|directory| directory.join("javac"))
        .find_map(|javac| javac.canonicalize().ok())
        .expect("a JDK with headers is needed: javac is not on PATH (run scripts/setup)");
    let home = javac.ancestors().nth(2).expect("javac lies in HOME/bin").to_path_buf();
    let neighbours = home.parent().into_iter().flat_map(|parent| parent.read_dir().into_iter().flatten());
    let mut homes: Vec<PathBuf> = neighbours.flatten().filter_map(|entry| entry.path().canonicalize().ok()).collect();
    homes.extend(std::env::var_os("JAVA_HOME").map(PathBuf::from));
    homes.push(home);
    homes.sort();
    homes.dedup();
    homes.retain(|home| home.join("include/jvmti.h").exists());
    homes.into_iter().map(|home| home.join("include")).collect()
}

fn layout(include: &Path) -> BTreeMap<String, i64> {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let (source, binary) = (folder.path().join("layout.c"), folder.path().join("layout"));
    std::fs::write(&source, program()).expect("written");
    let status = Command::new("cc")
        .arg("-I")
        .arg(include)
        .arg("-I")
        .arg(include.join("linux"))
        .arg(&source)
        .arg("-o")
        .arg(&binary)
        .status();
    assert!(status.expect("a C compiler is needed").success(), "{} does not compile", include.display());
    let output = Command::new(binary).output().expect("it runs");
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines()
        .map(|line| {
            let (name, value) = line.split_once(' ').expect("two words");
            (name.to_owned(), value.parse().expect("a number"))
        })
        .collect()
}

#[test]
fn positions_are_those_of_the_headers() {
    let headers = headers();
    assert!(!headers.is_empty(), "no jvmti.h beside javac: install a full JDK (scripts/setup)");
    for include in headers {
        let layout = layout(&include);
        for (_, field, position) in FUNCTIONS {
            assert_eq!(layout[*field], *position as i64, "{field} in {}", include.display());
        }
        for (name, position) in CAPABILITIES {
            assert_eq!(layout[*name], *position as i64, "{name} in {}", include.display());
        }
        for (index, (expression, value)) in values().into_iter().enumerate() {
            assert_eq!(layout[&format!("value{index}")], value, "{expression} in {}", include.display());
        }
        assert!(layout["callbacks"] >= event::COUNT as i64, "our callback table is longer than {}", include.display());
    }
}
