//! A profile from pprof messages with leakscope's extension: second half of reading our own files.
//!
//! The inverse of `encode`, and exact. Every index is checked where it is followed; what the values of rows must
//! satisfy is left to [`Profile::check`].

use crate::error::{Inconsistent, ReadError};
use crate::extension::{self, Extension};
use crate::model::{
    Code, Exit, Frame, FrameId, Function, FunctionId, Memory, Module, ModuleId, Profile, Settings, Snapshot, Stack,
    Target,
};
use crate::proto;
use crate::strings::Strings;

/// Reads a file of our own.
///
/// # Errors
/// An index out of range, ids that are not dense, columns of unequal length.
pub(crate) fn decode(file: proto::Profile, extension: Extension, mut strings: Strings) -> Result<Profile, ReadError> {
    let modules = modules(&file, &extension, &mut strings)?;
    let functions = functions(&file, &mut strings)?;
    let frames = frames(&file, &extension, modules.len())?;
    let stacks = stacks(&file, &extension.stack_sample, extension.totals.unwrap_or_default())?;
    let rows = extension.rows.unwrap_or_default().into_rows()?;
    Ok(Profile {
        target: target(extension.target.unwrap_or_default())?,
        snapshot: snapshot(extension.snapshot.unwrap_or_default(), file.time_nanos)?,
        settings: settings(extension.settings.unwrap_or_default())?,
        losses: extension.losses,
        modules,
        functions,
        frames,
        stacks,
        rows,
        memory: memory(extension.memory.unwrap_or_default()),
    })
}

fn modules(file: &proto::Profile, extension: &Extension, strings: &mut Strings) -> Result<Vec<Module>, ReadError> {
    dense("mapping", file.mapping.iter().map(|mapping| mapping.id))?;
    if extension.module_bias.len() > file.mapping.len() {
        return Err(Inconsistent::new("it has more modules than mappings").into());
    }
    let module = |(mapping, &bias): (&proto::Mapping, &u64)| {
        Ok(Module {
            start: mapping.memory_start,
            end: mapping.memory_limit,
            offset: mapping.file_offset,
            bias,
            path: strings.copy(mapping.filename)?,
            build_id: strings.copy(mapping.build_id)?,
        })
    };
    file.mapping.iter().zip(&extension.module_bias).map(module).collect()
}

fn functions(file: &proto::Profile, strings: &mut Strings) -> Result<Vec<Function>, ReadError> {
    dense("function", file.function.iter().map(|function| function.id))?;
    let function = |function: &proto::Function| {
        Ok(Function {
            name: strings.copy(function.name)?,
            system_name: strings.copy(function.system_name)?,
            file: strings.copy(function.filename)?,
        })
    };
    file.function.iter().map(function).collect()
}

fn frames(file: &proto::Profile, extension: &Extension, modules: usize) -> Result<Vec<Frame>, Inconsistent> {
    dense("location", file.location.iter().map(|location| location.id))?;
    if extension.frame_code.len() != file.location.len() {
        return Err(Inconsistent::new("it has not one frame code for each location"));
    }
    let frame = |(location, &code): (&proto::Location, &u32)| {
        let [line] = location.line[..] else {
            return Err(Inconsistent::new(format!("location {} has not one line", location.id)));
        };
        Ok(Frame {
            code: frame_code(code & !4, location, modules)?,
            function: FunctionId(index(line.function_id, file.function.len(), "function")?),
            line: u32::try_from(line.line).map_err(|_| Inconsistent::new(format!("a line {}", line.line)))?,
            inlined: code & 4 != 0,
        })
    };
    file.location.iter().zip(&extension.frame_code).map(frame).collect()
}

fn frame_code(code: u32, location: &proto::Location, modules: usize) -> Result<Code, Inconsistent> {
    match code {
        0 => {
            let module = match location.mapping_id {
                0 => None,
                id => Some(ModuleId(index(id, modules, "module")?)),
            };
            let address = location.address.checked_add(1).ok_or_else(|| Inconsistent::new("an address beyond all"))?;
            Ok(Code::Native { module, address })
        }
        1 => Ok(Code::Java),
        2 => Ok(Code::Marker),
        _ => Err(Inconsistent::new(format!("unknown frame code {code}"))),
    }
}

fn stacks(file: &proto::Profile, samples: &[u32], totals: extension::Totals) -> Result<Vec<Stack>, Inconsistent> {
    // Strictly increasing, so that no sample is copied twice: a file cannot name one long stack a million times.
    if !samples.is_sorted_by(|a, b| a < b) {
        return Err(Inconsistent::new("its stacks are out of order"));
    }
    let totals = totals.into_totals(samples.len())?;
    let stack = |(&sample, totals)| {
        let sample = file.sample.get(sample as usize);
        let sample = sample.ok_or_else(|| Inconsistent::new("a stack without a sample"))?;
        let frame = |&id: &u64| Ok(FrameId(index(id, file.location.len(), "location")?));
        Ok(Stack { frames: sample.location_id.iter().map(frame).collect::<Result<_, Inconsistent>>()?, totals })
    };
    samples.iter().zip(totals).map(stack).collect()
}

/// The position of an id that counts from 1.
fn index(id: u64, count: usize, what: &str) -> Result<u32, Inconsistent> {
    let index = id.checked_sub(1).filter(|&index| index < count as u64).and_then(|index| u32::try_from(index).ok());
    index.ok_or_else(|| Inconsistent::new(format!("no {what} {id}")))
}

fn dense(what: &str, ids: impl Iterator<Item = u64>) -> Result<(), Inconsistent> {
    let wrong = ids.zip(1..).find(|(id, expected)| id != expected);
    wrong.map_or(Ok(()), |(id, expected)| {
        Err(Inconsistent::new(format!("{what} {expected} has the id {id}: ids are not dense")))
    })
}

fn target(target: extension::Target) -> Result<Target, Inconsistent> {
    let exit = match target.exit {
        0 => None,
        1 => Some(Exit::Code(target.exit_value)),
        2 => Some(Exit::Signal(target.exit_value)),
        3 => Some(Exit::Unknown),
        other => return Err(Inconsistent::new(format!("unknown kind of exit {other}"))),
    };
    Ok(Target {
        pid: target.pid,
        name: target.name,
        command: target.command,
        exe: target.exe,
        exit,
        jvm: target.jvm,
        bypassed_by: target.bypassed_by,
        inner_allocators: target.inner_allocators,
    })
}

fn snapshot(snapshot: extension::Snapshot, time_unix_ns: i64) -> Result<Snapshot, Inconsistent> {
    let session = snapshot.session.try_into().map_err(|_| Inconsistent::new("a session id not of 16 bytes"))?;
    Ok(Snapshot {
        session,
        index: snapshot.index,
        epoch: snapshot.epoch,
        time_unix_ns,
        uptime_ms: snapshot.uptime_ms,
        reason: snapshot.reason,
    })
}

fn settings(settings: extension::Settings) -> Result<Settings, Inconsistent> {
    Ok(Settings {
        interval_bytes: settings.interval_bytes,
        native_depth: settings.native_depth,
        java_depth: settings.java_depth,
        version: settings.version,
        changes: settings.changes.unwrap_or_default().into_changes()?,
    })
}

fn memory(memory: extension::Memory) -> Memory {
    Memory { rss_bytes: memory.rss_bytes, limit_bytes: memory.limit_bytes, cgroup_bytes: memory.cgroup_bytes }
}
