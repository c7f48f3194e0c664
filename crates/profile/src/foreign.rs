//! A profile from pprof of another tool (Go, jemalloc, tcmalloc), or from ours after a tool dropped the extension.
//!
//! Such a file has estimates and no samples. What was observed is reckoned back from them, as if all blocks of a
//! sample were of the mean size: with mean m, estimate N objects and p = 1 - e^(-m/interval), N p blocks were seen.
//! Worked: 10 MiB in 20 objects at an interval of 512 KiB is m = 512 KiB, p = 0.632, 13 blocks seen. That gives
//! error bars of the right size, not the right ones; and with the session id all zero nothing is ever paired.

use std::collections::HashMap;
use std::ops::Range;

use crate::builder::ProfileBuilder;
use crate::encode::{JVM, SAMPLE_TYPES};
use crate::error::{Inconsistent, ReadError};
use crate::model::{
    Code, FrameId, Function, Kind, Module, ModuleId, Profile, Row, Settings, Snapshot, StackId, Target, Totals,
};
use crate::proto;
use crate::strings::Strings;

/// Most frames that the stacks of a file may have together once inlined functions are laid out: 64 MiB of them.
const MAX_FRAMES: usize = 16 << 20;

/// Reads a file without the extension.
///
/// # Errors
/// It has no `inuse_space` (or `space`) in bytes; an index out of range; a negative value, as in a difference.
pub(crate) fn decode(file: &proto::Profile, mut strings: Strings) -> Result<Profile, ReadError> {
    let columns = Columns::find(file, &strings)?;
    let interval_bytes = interval(file, &strings)?;
    let exe = file.mapping.first().map_or(Ok(String::new()), |mapping| strings.copy(mapping.filename))?;
    let exe = if exe.starts_with('[') { String::new() } else { exe };
    let name = exe.rsplit('/').next().unwrap_or_default().to_owned();
    let mut builder = ProfileBuilder::new(
        Target { exe, name, ..Target::default() },
        Snapshot { time_unix_ns: file.time_nanos, ..Snapshot::default() },
        Settings { interval_bytes, ..Settings::default() },
    );
    let locations = Locations::read(file, &mut strings, &mut builder)?;
    let mut budget = MAX_FRAMES;
    for sample in &file.sample {
        let values = columns.values(sample)?;
        let frames = locations.frames(sample, &mut budget)?;
        let stack = builder.stack(frames);
        let seen = Estimate { bytes: values.alloc_bytes, objects: values.alloc_objects, interval_bytes }.seen();
        builder.totals(
            stack,
            &Totals {
                samples: seen.samples,
                bytes: seen.bytes,
                bytes_variance: seen.bytes_variance,
                bytes_observed: seen.bytes_observed,
                objects: seen.objects,
                ..Totals::default()
            },
        );
        let live = Estimate { bytes: values.live_bytes, objects: values.live_objects, interval_bytes };
        if live.bytes > 0 || live.objects > 0 {
            builder.add_row(row(stack, kind(sample, &strings), &live));
        }
    }
    Ok(builder.finish())
}

/// The interval that the file was sampled with; 1 if it does not say.
fn interval(file: &proto::Profile, strings: &Strings) -> Result<u64, Inconsistent> {
    let space = match file.period_type {
        Some(period_type) => strings.get(period_type.kind)? == "space",
        None => false,
    };
    Ok(if space { u64::try_from(file.period).unwrap_or(1).max(1) } else { 1 })
}

/// Where in a sample's values the four of a heap profile are.
struct Columns {
    count: usize,
    alloc_objects: Option<usize>,
    alloc_space: Option<usize>,
    inuse_objects: Option<usize>,
    inuse_space: usize,
}

/// The values of one sample.
struct Values {
    alloc_objects: u64,
    alloc_bytes: u64,
    live_objects: u64,
    live_bytes: u64,
}

impl Columns {
    fn find(file: &proto::Profile, strings: &Strings) -> Result<Self, ReadError> {
        let mut types = Vec::with_capacity(file.sample_type.len());
        for sample_type in &file.sample_type {
            types.push((strings.get(sample_type.kind)?, strings.get(sample_type.unit)?));
        }
        let at = |wanted| types.iter().position(|&found| found == wanted);
        let [alloc_objects, alloc_space, inuse_objects, inuse_space] = SAMPLE_TYPES.map(at);
        // gperftools and old jemalloc converters know no other heap than the live one.
        let Some(inuse_space) = inuse_space.or_else(|| at(("space", "bytes"))) else {
            let show = |(kind, unit): &(&str, &str)| format!("{kind}/{unit}").chars().take(64).collect();
            return Err(ReadError::NotAHeapProfile { sample_types: types.iter().take(16).map(show).collect() });
        };
        let inuse_objects = inuse_objects.or_else(|| at(("objects", "count")));
        Ok(Self { count: types.len(), alloc_objects, alloc_space, inuse_objects, inuse_space })
    }

    fn values(&self, sample: &proto::Sample) -> Result<Values, Inconsistent> {
        if sample.value.len() != self.count {
            return Err(Inconsistent::new("a sample has not one value for each sample type"));
        }
        let value = |column: Option<usize>| {
            let value = column.map_or(0, |column| sample.value[column]);
            u64::try_from(value).map_err(|_| {
                Inconsistent::new(format!("a sample has the value {value}: this is a difference, not a profile"))
            })
        };
        Ok(Values {
            alloc_objects: value(self.alloc_objects)?,
            alloc_bytes: value(self.alloc_space)?,
            live_objects: value(self.inuse_objects)?,
            live_bytes: value(Some(self.inuse_space))?,
        })
    }
}

/// What a sample of another tool says: already scaled up.
#[derive(Clone, Copy)]
struct Estimate {
    bytes: u64,
    objects: u64,
    interval_bytes: u64,
}

/// What must have been seen for such an estimate.
struct Seen {
    samples: u64,
    bytes: f64,
    bytes_variance: f64,
    bytes_observed: u64,
    objects: f64,
    objects_variance: f64,
}

impl Estimate {
    fn seen(self) -> Seen {
        let interval = self.interval_bytes as f64;
        // A tool that counts no objects: as many as would on average yield these samples.
        let unknown = || if self.interval_bytes > 1 { (self.bytes as f64 / interval).max(1.0) } else { 1.0 };
        let bytes = self.bytes as f64;
        let objects = match (self.objects, self.bytes) {
            (0, 0) => 0.0,
            (0, _) => unknown(),
            (objects, _) => objects as f64,
        };
        if self.interval_bytes == 1 || objects == 0.0 {
            let samples = objects as u64;
            let (bytes_variance, objects_variance) = (0.0, 0.0);
            return Seen { samples, bytes, bytes_variance, bytes_observed: self.bytes, objects, objects_variance };
        }
        let mean = bytes / objects;
        let p = -(-mean.max(1.0) / interval).exp_m1();
        let samples = (objects * p).round().clamp(1.0, objects) as u64;
        let observed = ((samples as f64 * mean) as u64).min(self.bytes);
        let variance = samples as f64 * (1.0 - p) / (p * p);
        Seen {
            samples,
            bytes,
            bytes_variance: variance * mean * mean,
            bytes_observed: observed,
            objects,
            objects_variance: variance,
        }
    }
}

fn row(stack: StackId, kind: Kind, live: &Estimate) -> Row {
    let seen = live.seen();
    Row {
        stack,
        kind,
        epoch: 0,
        interval_bytes: live.interval_bytes,
        samples: seen.samples,
        bytes: seen.bytes,
        bytes_variance: seen.bytes_variance,
        bytes_observed: seen.bytes_observed,
        objects: seen.objects,
        objects_variance: seen.objects_variance,
        smallest_bytes: seen.bytes_observed / seen.samples.max(1),
        oldest_ms: 0,
        resident_bytes: None,
    }
}

/// The kind by our own label, which survives tools that drop the extension.
fn kind(sample: &proto::Sample, strings: &Strings) -> Kind {
    let text = |label: &proto::Label| match strings.get(label.key) {
        Ok("kind") => strings.get(label.str).ok(),
        _ => None,
    };
    let word = sample.label.iter().find_map(text).unwrap_or_default();
    let kinds = [Kind::Malloc, Kind::MmapAnon, Kind::MmapFile, Kind::Thread];
    kinds.into_iter().find(|kind| kind.as_str() == word).unwrap_or_default()
}

/// The frames of each location, by its id.
struct Locations {
    frames: Vec<FrameId>,
    ranges: HashMap<u64, Range<usize>>,
}

impl Locations {
    fn read(file: &proto::Profile, strings: &mut Strings, builder: &mut ProfileBuilder) -> Result<Self, ReadError> {
        let modules = modules(file, strings, builder)?;
        let functions = by_id("function", file.function.iter().map(|function| (function.id, function)))?;
        let mut this = Self { frames: Vec::new(), ranges: HashMap::with_capacity(file.location.len()) };
        for location in &file.location {
            let start = this.frames.len();
            let module = match location.mapping_id {
                0 => None,
                id => Some(*modules.get(&id).ok_or_else(|| Inconsistent::new(format!("no mapping {id}")))?),
            };
            this.lay_out(location, module, &functions, strings, builder)?;
            if this.ranges.insert(location.id, start..this.frames.len()).is_some() {
                return Err(Inconsistent::new(format!("two locations with the id {}", location.id)).into());
            }
        }
        Ok(this)
    }

    /// Appends the frames of one location: each line is inlined into the next.
    fn lay_out(
        &mut self,
        location: &proto::Location,
        module: Option<Mapped>,
        functions: &HashMap<u64, &proto::Function>,
        strings: &mut Strings,
        builder: &mut ProfileBuilder,
    ) -> Result<(), ReadError> {
        let address = location.address.saturating_add(1);
        let id = module.map(|module| module.id);
        if location.line.is_empty() {
            strings.pay(module.map_or(0, |module| module.path_len) + 24)?;
            self.frames.push(builder.native_frame(id, address));
        }
        for (line, rest) in location.line.iter().zip((0..location.line.len()).rev()) {
            let missing = || Inconsistent::new(format!("no function {}", line.function_id));
            let function = functions.get(&line.function_id).ok_or_else(missing)?;
            let mut function = Function {
                name: strings.copy(function.name)?,
                system_name: strings.copy(function.system_name)?,
                file: strings.copy(function.filename)?,
            };
            if function.name.is_empty() {
                function.name = format!("{:#x}", location.address);
            }
            let java = module.is_some_and(|module| module.jvm) || is_java_source(&function.file);
            let code = if java { Code::Java } else { Code::Native { module: id, address } };
            let number = u32::try_from(line.line).unwrap_or_default();
            self.frames.push(builder.frame(code, function, number, rest > 0));
        }
        Ok(())
    }

    fn frames(&self, sample: &proto::Sample, budget: &mut usize) -> Result<Vec<FrameId>, ReadError> {
        let mut frames = Vec::with_capacity(sample.location_id.len());
        for id in &sample.location_id {
            let range = self.ranges.get(id).ok_or_else(|| Inconsistent::new(format!("no location {id}")))?;
            let limit_bytes = (MAX_FRAMES * size_of::<FrameId>()) as u64;
            let too_large = ReadError::TooLarge { what: "its stacks", limit_bytes };
            *budget = budget.checked_sub(range.len()).ok_or(too_large)?;
            frames.extend_from_slice(&self.frames[range.clone()]);
        }
        Ok(frames)
    }
}

/// What is to be known of a mapping.
#[derive(Clone, Copy)]
struct Mapped {
    id: ModuleId,
    jvm: bool,
    path_len: usize,
}

fn modules(
    file: &proto::Profile,
    strings: &mut Strings,
    builder: &mut ProfileBuilder,
) -> Result<HashMap<u64, Mapped>, ReadError> {
    let mut modules = Vec::with_capacity(file.mapping.len());
    for mapping in &file.mapping {
        let module = Module {
            start: mapping.memory_start,
            end: mapping.memory_limit.max(mapping.memory_start),
            offset: mapping.file_offset,
            // Holds for position-independent files, whose first segment lies at address 0: nearly all there are.
            bias: mapping.memory_start.wrapping_sub(mapping.file_offset),
            path: strings.copy(mapping.filename)?,
            build_id: strings.copy(mapping.build_id)?,
        };
        let (jvm, path_len) = (module.path == JVM, module.path.len());
        modules.push((mapping.id, Mapped { id: builder.add_module(module), jvm, path_len }));
    }
    Ok(by_id("mapping", modules.into_iter())?)
}

fn by_id<T>(what: &str, items: impl Iterator<Item = (u64, T)>) -> Result<HashMap<u64, T>, Inconsistent> {
    let mut map = HashMap::with_capacity(items.size_hint().0);
    for (id, item) in items {
        if map.insert(id, item).is_some() {
            return Err(Inconsistent::new(format!("two {what}s with the id {id}")));
        }
    }
    Ok(map)
}

fn is_java_source(file: &str) -> bool {
    [".java", ".kt", ".scala", ".groovy", ".clj"].iter().any(|extension| file.ends_with(extension))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_is_reckoned_back() {
        let seen = Estimate { bytes: 10 << 20, objects: 20, interval_bytes: 512 << 10 }.seen();
        assert_eq!(seen.samples, 13);
        assert_eq!(seen.bytes_observed, 13 * (512 << 10));
        // One standard error of 13 blocks seen of 20: 13 * 0.368 / 0.632^2 = 11.97, so 3.46 objects.
        assert!((seen.objects_variance.sqrt() - 3.46).abs() < 0.01, "{}", seen.objects_variance);
    }

    #[test]
    fn what_is_exact_stays_exact() {
        let seen = Estimate { bytes: 100, objects: 3, interval_bytes: 1 }.seen();
        assert_eq!((seen.samples, seen.bytes_observed, seen.bytes_variance), (3, 100, 0.0));
    }

    #[test]
    fn objects_that_were_not_counted_are_guessed() {
        let seen = Estimate { bytes: 10 << 20, objects: 0, interval_bytes: 1 << 20 }.seen();
        assert_eq!(seen.objects, 10.0);
        assert_eq!(Estimate { bytes: 7, objects: 0, interval_bytes: 1 }.seen().samples, 1);
    }
}
