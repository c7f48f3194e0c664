//! What a JVM, or a dynamic linker, allocates for its own ends on an application's thread.
//!
//! A method that is compiled, a monitor that is waited for: the JVM takes memory for it, once or until it gets round to
//! giving it back, and nobody's change to an application moves that. A gate sets it aside by stack, before stacks are put
//! together by the application's line, where it would count as that line's own. What the built-in suppressions put up
//! with to a limit only, as class loading, stays.
//!
//! What the memory is for is said by the frames from the allocation to the first that is neither the JVM's nor libc's:
//! beyond that, a frame of start-up means no more than that some code runs meanwhile, and that code may leak.

//!
//! A libjvm without symbols has names for its entries only. What it allocates under Java is its own business then, unless it
//! was entered to load classes, or by `Unsafe`, through which Java code takes memory for itself.

use crate::suppression::{Suppression, built_in};
use leakscope_profile::is_jvms_library;
use leakscope_profile::model::{Code, Profile};

/// Takes the rows of such stacks out of `profile`.
pub fn set_housekeeping_aside(profile: &mut Profile) {
    let patterns = built_in();
    let is_in = |name: &str| !name.is_empty() && patterns.iter().any(|pattern| is_pattern_in(pattern, name));
    let functions: Vec<bool> = profile.functions.iter().map(|function| is_in(&function.name)).collect();
    let modules: Vec<Library> = profile.modules.iter().map(|module| library(&module.path, &is_in)).collect();
    let named = |is: &dyn Fn(&str) -> bool| profile.functions.iter().map(|function| is(&function.name)).collect();
    let nameless: Vec<bool> = named(&|name| name.starts_with("libjvm.so+0x"));
    let entries: Vec<bool> = named(&|name| name.starts_with("JVM_") && !name.starts_with("JVM_Monitor"));
    let unsafes: Vec<bool> = named(&|name| name.contains(".Unsafe."));
    let flag = |flags: &[bool], at: u32| flags.get(at as usize).copied().unwrap_or(false);
    let frames: Vec<Kind> = profile
        .frames
        .iter()
        .map(|frame| match frame.code {
            Code::Java if flag(&unsafes, frame.function.0) => Kind::Application,
            Code::Java => Kind::Java,
            Code::Native { module: Some(module), .. } => match modules.get(module.0 as usize) {
                Some(Library::Leakscopes) => Kind::Housekeeping,
                Some(Library::Runtimes) if flag(&functions, frame.function.0) => Kind::Housekeeping,
                Some(Library::Others) => Kind::Application,
                Some(Library::Runtimes) if flag(&nameless, frame.function.0) => Kind::Nameless,
                Some(Library::Runtimes) if flag(&entries, frame.function.0) => Kind::Application,
                _ => Kind::Other,
            },
            _ => Kind::Other,
        })
        .collect();
    let stacks = &profile.stacks;
    let is_housekeeping = |stack: u32| {
        let kinds = stacks.get(stack as usize).into_iter().flat_map(|stack| &stack.frames);
        let mut is_nameless = false;
        for kind in kinds.filter_map(|frame| frames.get(frame.0 as usize)) {
            match kind {
                Kind::Housekeeping => return true,
                Kind::Application => return false,
                Kind::Java => return is_nameless,
                Kind::Nameless => is_nameless = true,
                Kind::Other => {}
            }
        }
        false
    };
    profile.rows.retain(|row| !is_housekeeping(row.stack.0));
}

/// Whose code a library is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Library {
    /// That of the JVM or of libc: names mean there what they say.
    Runtimes,
    /// Of this profiler.
    Leakscopes,
    /// The application's: it may have a `Compiler` of its own.
    Others,
}

fn library(path: &str, is_in: &impl Fn(&str) -> bool) -> Library {
    let file = path.rsplit('/').next().unwrap_or_default();
    match ["libc.", "libc-", "ld-"].iter().any(|start| file.starts_with(start)) || is_jvms_library(path) {
        true => Library::Runtimes,
        false if is_in(file) => Library::Leakscopes,
        false => Library::Others,
    }
}

/// What a frame says of its stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Code of a library that is neither the JVM's nor libc, or `Unsafe`: what is behind it does not matter.
    Application,
    /// Other Java code: the same.
    Java,
    /// Code of the JVM without a name.
    Nameless,
    Housekeeping,
    Other,
}

fn is_pattern_in(suppression: &Suppression, name: &str) -> bool {
    suppression.pattern.is_in(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use leakscope_profile::model::{
        Frame, FrameId, Function, FunctionId, Module, ModuleId, Row, Stack, StackId, Totals,
    };

    /// A row of bytes for each stack of functions, leaf first; those with a dot are of Java, those after `@` libraries.
    fn profile(stacks: &[&[&str]]) -> Profile {
        let mut profile = Profile::default();
        for (at, names) in stacks.iter().enumerate() {
            let mut frames = Vec::new();
            for name in *names {
                let (name, library) = name.split_once('@').unwrap_or((name, "libjvm.so"));
                let module = Some(ModuleId(profile.modules.len() as u32));
                profile.modules.push(Module { path: format!("/lib/{library}"), ..Module::default() });
                let code = if name.contains('.') && !name.contains("+0x") {
                    Code::Java
                } else {
                    Code::Native { module, address: 7 }
                };
                frames.push(FrameId(profile.frames.len() as u32));
                let function = FunctionId(profile.functions.len() as u32);
                profile.functions.push(Function { name: name.to_owned(), ..Function::default() });
                profile.frames.push(Frame { code, function, line: 0, inlined: false });
            }
            profile.stacks.push(Stack { frames, totals: Totals::default() });
            profile.rows.push(Row {
                stack: StackId(at as u32),
                kind: leakscope_profile::model::Kind::Malloc,
                epoch: 0,
                interval_bytes: 1,
                samples: 1,
                bytes: 1.0,
                bytes_variance: 0.0,
                bytes_observed: 1,
                objects: 1.0,
                objects_variance: 0.0,
                smallest_bytes: 1,
                oldest_ms: 0,
                resident_bytes: None,
            });
        }
        profile
    }

    #[test]
    fn a_jvm_without_symbols_is_told_by_who_called_it() {
        let stacks: [&[&str]; 6] = [
            &["libjvm.so+0x1", "libjvm.so+0x2", "JVM_MonitorWait", "java.lang.Object.wait", "com.acme.A.b"],
            &["libjvm.so+0x1", "libjvm.so+0x3", "com.acme.A.b"],
            &["libjvm.so+0x1", "libjvm.so+0x4", "JVM_DefineClass", "com.acme.Loader.define"],
            &["libjvm.so+0x1", "libjvm.so+0x5", "jdk.internal.misc.Unsafe.allocateMemory0", "com.acme.A.b"],
            &["libjvm.so+0x1", "encode@libacme.so", "com.acme.A.b"],
            &["libjvm.so+0x1", "libjvm.so+0x6"],
        ];
        let mut profile = profile(&stacks);
        set_housekeeping_aside(&mut profile);
        let kept: Vec<u32> = profile.rows.iter().map(|row| row.stack.0).collect();
        assert_eq!(kept, [2, 3, 4, 5]);
    }

    #[test]
    fn what_the_jvm_takes_for_itself_is_told_from_what_runs_meanwhile() {
        let stacks: [&[&str]; 10] = [
            &["os::malloc", "SymbolTable::add", "ClassFileParser::parse", "JVM_DefineClass", "com.acme.Loader.define"],
            &["os::malloc", "ObjectSynchronizer::inflate", "JVM_MonitorWait", "java.lang.Object.wait"],
            &["create_method_ids@libleakscope_shim.so", "InstanceKlass::link", "com.acme.A.b"],
            &["Arena::grow", "C2Compiler::compile_method", "CompileBroker::compiler_thread_loop"],
            &["Unsafe_AllocateMemory0", "jdk.internal.misc.Unsafe.allocateMemory0", "com.acme.A.b"],
            &["init@libacme.so", "com.acme.Agent.premain", "Threads::create_vm", "JavaMain@libjli.so"],
            &["encode@libacme.so", "main@acme"],
            &["Chunk::operator new", "Arena::grow", "com.acme.A.b"],
            &["Compiler::compile_method@libacme.so", "main@acme"],
            &["constructor@libplugin.so", "_dl_init@ld-linux-x86-64.so.2", "dl_open@libc.so.6", "main@acme"],
        ];
        let mut profile = profile(&stacks);
        set_housekeeping_aside(&mut profile);
        let kept: Vec<u32> = profile.rows.iter().map(|row| row.stack.0).collect();
        assert_eq!(kept, [0, 4, 5, 6, 8, 9]);
    }
}
