//! A profile from the layout of a file with leakscope's extension: second half of reading our own files.
//!
//! The inverse of `encode`, and exact. What only other tools need, the values and labels of samples, is not looked at: a
//! recording is hundreds of files, and reading them is what its report takes. Every index is checked where it is followed; what the values of rows must
//! satisfy is left to [`Profile::check`].

use prost::Message;

use crate::columns;
use crate::error::{Inconsistent, ReadError};
use crate::extension::{self, Extension};
use crate::layout::Layout;
use crate::model::{
    Code, Exit, Frame, FrameId, Function, FunctionId, Memory, Module, ModuleId, Profile, Settings, Snapshot, Stack,
    Target,
};
use crate::proto;
use crate::strings::Strings;
use crate::wire::{Fields, Value, packed_count};

/// Reads a file of our own: its layout, the head of the extension, and the extension itself.
///
/// # Errors
/// An index out of range, ids that are not dense, columns of unequal length.
pub(crate) fn decode(
    layout: &Layout<'_>,
    head: Extension,
    extension: &[u8],
    mut strings: Strings<'_>,
) -> Result<Profile, ReadError> {
    let modules = modules(layout, &head, &mut strings)?;
    let functions = functions(layout, &mut strings)?;
    let frames = frames(layout, &head, modules.len())?;
    let [totals, rows] = large_parts(extension)?;
    let stacks = stacks(layout, &head.stack_sample, totals)?;
    Ok(Profile {
        target: target(head.target.unwrap_or_default())?,
        snapshot: snapshot(head.snapshot.unwrap_or_default(), layout.time_nanos)?,
        settings: settings(head.settings.unwrap_or_default())?,
        losses: head.losses,
        modules,
        functions,
        frames,
        stacks,
        rows: columns::rows(rows)?,
        memory: memory(head.memory.unwrap_or_default()),
    })
}

/// The messages of columns, fields 10 and 11; empty where they are absent.
fn large_parts(extension: &[u8]) -> Result<[&[u8]; 2], Inconsistent> {
    let mut parts = [None; 2];
    let mut fields = Fields::new(extension);
    while let Some(field) = fields.next()? {
        let Some(part) = field.number.checked_sub(10).and_then(|at| parts.get_mut(at as usize)) else { continue };
        if part.replace(field.value.bytes()?).is_some() {
            return Err(Inconsistent::new("its columns are there twice"));
        }
    }
    Ok(parts.map(Option::unwrap_or_default))
}

fn modules(layout: &Layout<'_>, head: &Extension, strings: &mut Strings<'_>) -> Result<Vec<Module>, ReadError> {
    let damaged = |error: prost::DecodeError| Inconsistent::new(error.to_string());
    let mappings: Result<Vec<_>, _> = layout.mappings.iter().map(|bytes| proto::Mapping::decode(*bytes)).collect();
    let mappings = mappings.map_err(damaged)?;
    dense("mapping", mappings.iter().map(|mapping| mapping.id))?;
    if head.module_bias.len() > mappings.len() {
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
    mappings.iter().zip(&head.module_bias).map(module).collect()
}

fn functions(layout: &Layout<'_>, strings: &mut Strings<'_>) -> Result<Vec<Function>, ReadError> {
    let function = |(&bytes, expected): (&&[u8], u64)| {
        let [id, name, system_name, filename] = numbers(bytes)?;
        dense_id("function", id, expected)?;
        Ok(Function {
            name: strings.copy(name as i64)?,
            system_name: strings.copy(system_name as i64)?,
            file: strings.copy(filename as i64)?,
        })
    };
    columns::all(layout.functions.len(), layout.functions.iter().zip(1..).map(function))
}

fn frames(layout: &Layout<'_>, head: &Extension, modules: usize) -> Result<Vec<Frame>, Inconsistent> {
    if head.frame_code.len() != layout.locations.len() {
        return Err(Inconsistent::new("it has not one frame code for each location"));
    }
    let frame = |((&bytes, &code), expected): ((&&[u8], &u32), u64)| {
        let location = Location::of(bytes)?;
        dense_id("location", location.id, expected)?;
        let line = location.line as i64;
        Ok(Frame {
            code: frame_code(code & !4, &location, modules)?,
            function: FunctionId(index(location.function, layout.functions.len(), "function")?),
            line: u32::try_from(line).map_err(|_| Inconsistent::new(format!("a line {line}")))?,
            inlined: code & 4 != 0,
        })
    };
    columns::all(layout.locations.len(), layout.locations.iter().zip(&head.frame_code).zip(1..).map(frame))
}

/// A location of our own, which has one line.
struct Location {
    id: u64,
    mapping: u64,
    address: u64,
    function: u64,
    line: u64,
}

impl Location {
    fn of(bytes: &[u8]) -> Result<Self, Inconsistent> {
        let (mut head, mut line) = ([0; 3], None);
        let mut fields = Fields::new(bytes);
        while let Some(field) = fields.next()? {
            match field.number {
                1..=3 => head[field.number as usize - 1] = field.value.number()?,
                4 if line.is_none() => line = Some(numbers(field.value.bytes()?)?),
                4 => return Err(Inconsistent::new(format!("location {} has not one line", head[0]))),
                _ => {}
            }
        }
        let [id, mapping, address] = head;
        let [function, line] = line.ok_or_else(|| Inconsistent::new(format!("location {id} has not one line")))?;
        Ok(Self { id, mapping, address, function, line })
    }
}

/// The first `N` fields of a message of numbers; 0 where they are absent.
fn numbers<const N: usize>(bytes: &[u8]) -> Result<[u64; N], Inconsistent> {
    let mut numbers = [0; N];
    let mut fields = Fields::new(bytes);
    while let Some(field) = fields.next()? {
        if let Some(number) = numbers.get_mut((field.number as usize).wrapping_sub(1)) {
            *number = field.value.number()?;
        }
    }
    Ok(numbers)
}

fn frame_code(code: u32, location: &Location, modules: usize) -> Result<Code, Inconsistent> {
    match code {
        0 => {
            let module = match location.mapping {
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

fn stacks(layout: &Layout<'_>, samples: &[u32], totals: &[u8]) -> Result<Vec<Stack>, Inconsistent> {
    // Strictly increasing, so that no sample is copied twice: a file cannot name one long stack a million times.
    if !samples.is_sorted_by(|a, b| a < b) {
        return Err(Inconsistent::new("its stacks are out of order"));
    }
    let totals = columns::totals(totals, samples.len())?;
    let stack = |(&sample, totals)| {
        let sample = layout.samples.get(sample as usize);
        let sample = sample.ok_or_else(|| Inconsistent::new("a stack without a sample"))?;
        Ok(Stack { frames: frames_of(sample, layout.locations.len())?, totals })
    };
    columns::all(samples.len(), samples.iter().zip(totals).map(stack))
}

/// The frames of a sample. Its values and labels are for other tools; ours are in the extension.
fn frames_of(sample: &[u8], locations: usize) -> Result<Vec<FrameId>, Inconsistent> {
    let frame = |id| Ok::<_, Inconsistent>(FrameId(index(id, locations, "location")?));
    let mut frames = Vec::new();
    let mut fields = Fields::new(sample);
    while let Some(field) = fields.next()? {
        match (field.number, field.value) {
            (1, Value::Bytes(packed)) => {
                frames.reserve(packed_count(packed));
                let mut packed = Fields::new(packed);
                while !packed.is_at_end() {
                    frames.push(frame(packed.varint()?)?);
                }
            }
            (1, value) => frames.push(frame(value.number()?)?),
            _ => {}
        }
    }
    Ok(frames)
}

/// The position of an id that counts from 1.
fn index(id: u64, count: usize, what: &str) -> Result<u32, Inconsistent> {
    let index = id.checked_sub(1).filter(|&index| index < count as u64).and_then(|index| u32::try_from(index).ok());
    index.ok_or_else(|| Inconsistent::new(format!("no {what} {id}")))
}

fn dense(what: &str, ids: impl Iterator<Item = u64>) -> Result<(), Inconsistent> {
    ids.zip(1..).try_for_each(|(id, expected)| dense_id(what, id, expected))
}

fn dense_id(what: &str, id: u64, expected: u64) -> Result<(), Inconsistent> {
    if id == expected {
        return Ok(());
    }
    Err(Inconsistent::new(format!("{what} {expected} has the id {id}: ids are not dense")))
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
