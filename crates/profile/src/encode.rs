//! A profile as pprof, field by field: first half of writing.
//!
//! Frame i becomes location i+1, function i function i+1, module i mapping i+1, so ids are dense and reading needs no
//! search. Each stack becomes one sample with what was ever allocated from it, then one for each kind and age of
//! what is live. What was allocated has no age, so it bears no such label; and it is counted once.

use std::io::{self, Write};

use prost::Message;
use prost::encoding::{encoded_len_varint, key_len};

use crate::changes::Changes;
use crate::extension::{self, Extension, ROWS, TOTALS, frame_code};
use crate::fields::FieldWriter;
use crate::jvms_own::JvmsOwnRows;
use crate::labels::{Age, FreedBy};
use crate::model::{Code, Exit, Kind, Profile, Row, StackId};
use crate::proto;
use crate::strings::Interner;

/// Go's four sample types in Go's order; the last is the default of pprof and speedscope.
pub(crate) const SAMPLE_TYPES: [(&str, &str); 4] =
    [("alloc_objects", "count"), ("alloc_space", "bytes"), ("inuse_objects", "count"), ("inuse_space", "bytes")];

/// The path of the module of Java code. The bracket tells pprof not to look for a file of that name.
pub(crate) const JVM: &str = "[jvm]";

/// Writes a sound profile as pprof, one field after the other.
///
/// # Errors
/// Those of `out`.
pub(crate) fn encode(profile: &Profile, out: &mut impl Write) -> io::Result<()> {
    let comments = comments(profile);
    let mut strings = Interner::new();
    let mut fields = FieldWriter::new(out);
    for (kind, unit) in SAMPLE_TYPES {
        fields.message(1, &value_type(&mut strings, kind, unit))?;
    }
    let stack_sample = samples(profile, &mut strings, &mut fields)?;
    let (mappings, jvm) = mappings(profile, &mut strings);
    for mapping in &mappings {
        fields.message(3, mapping)?;
    }
    for (frame, id) in profile.frames.iter().zip(1..) {
        fields.message(4, &location(frame, id, jvm))?;
    }
    for (function, id) in profile.functions.iter().zip(1..) {
        fields.message(5, &self::function(function, id, &mut strings))?;
    }
    let period_type = value_type(&mut strings, "space", "bytes");
    let comments: Vec<i64> = comments.iter().map(|line| strings.index(line)).collect();
    let default_sample_type = strings.index("inuse_space");
    // Whoever refers to a text has been written by now.
    for text in strings.list() {
        fields.bytes(6, text.as_bytes())?;
    }
    fields.number(9, profile.snapshot.time_unix_ns)?;
    // No duration (10): Parca files anything with one as a delta series.
    fields.message(11, &period_type)?;
    fields.number(12, i64::try_from(profile.settings.interval_bytes).unwrap_or(i64::MAX))?;
    for comment in comments {
        fields.number(13, comment)?;
    }
    // No address of a document (15): they have none yet, and pprof refuses a relative one.
    fields.number(14, default_sample_type)?;
    extension(profile, stack_sample, &mut fields)?;
    fields.finish()
}

fn value_type(strings: &mut Interner<'_>, kind: &'static str, unit: &'static str) -> proto::ValueType {
    proto::ValueType { kind: strings.index(kind), unit: strings.index(unit) }
}

/// The mappings, one for each module and those that only pprof needs, and the id of the one of Java code (0 if none).
fn mappings<'p>(profile: &'p Profile, strings: &mut Interner<'p>) -> (Vec<proto::Mapping>, u64) {
    let mut mappings: Vec<proto::Mapping> = profile
        .modules
        .iter()
        .zip(1..)
        .map(|(module, id)| proto::Mapping {
            id,
            memory_start: module.start,
            memory_limit: module.end,
            file_offset: module.offset,
            filename: strings.index(&module.path),
            build_id: strings.index(&module.build_id),
            ..proto::Mapping::default()
        })
        .collect();
    describe(profile, &mut mappings);
    let mut made_up = |path: &'p str| {
        let id = mappings.len() as u64 + 1;
        mappings.push(proto::Mapping { id, filename: strings.index(path), ..proto::Mapping::default() });
        id
    };
    if profile.modules.is_empty() && !profile.target.exe.is_empty() {
        made_up(&profile.target.exe);
    }
    let java = profile.frames.iter().any(|frame| frame.code == Code::Java);
    let known = profile.modules.iter().position(|module| module.path == JVM);
    let jvm = match known {
        Some(index) => index as u64 + 1,
        None if java => made_up(JVM),
        None => 0,
    };
    if let Some(mapping) = mappings.get_mut((jvm as usize).wrapping_sub(1)) {
        (mapping.has_functions, mapping.has_filenames, mapping.has_line_numbers) = (true, true, true);
    }
    (mappings, jvm)
}

/// Sets what each mapping has. Where pprof reads that all functions are there it never looks for symbols itself, so
/// one location without a symbol is enough to leave it unset.
fn describe(profile: &Profile, mappings: &mut [proto::Mapping]) {
    let of = |code: Code| match code {
        Code::Native { module: Some(module), .. } => Some(module.0 as usize),
        _ => None,
    };
    for frame in &profile.frames {
        if let Some(mapping) = of(frame.code).and_then(|module| mappings.get_mut(module)) {
            (mapping.has_functions, mapping.has_filenames, mapping.has_line_numbers) = (true, true, true);
        }
    }
    for frame in &profile.frames {
        if let Some(mapping) = of(frame.code).and_then(|module| mappings.get_mut(module)) {
            let function = &profile.functions[frame.function.0 as usize];
            mapping.has_functions &= function.is_symbolized();
            mapping.has_filenames &= !function.file.is_empty();
            mapping.has_line_numbers &= frame.line != 0;
            mapping.has_inline_frames |= frame.inlined;
        }
    }
}

fn location(frame: &crate::model::Frame, id: u64, jvm: u64) -> proto::Location {
    let (mapping_id, address) = match frame.code {
        // A return address, one back: pprof wants an address inside the call.
        Code::Native { module, address } => (module.map_or(0, |module| u64::from(module.0) + 1), address - 1),
        Code::Java => (jvm, 0),
        Code::Marker => (0, 0),
    };
    let line = proto::Line { function_id: u64::from(frame.function.0) + 1, line: i64::from(frame.line) };
    proto::Location { id, mapping_id, address, line: vec![line] }
}

fn function<'p>(function: &'p crate::model::Function, id: u64, strings: &mut Interner<'p>) -> proto::Function {
    proto::Function {
        id,
        name: strings.index(&function.name),
        system_name: strings.index(&function.system_name),
        filename: strings.index(&function.file),
    }
}

/// Writes the samples; for each stack the index of its first one.
fn samples<W: Write>(
    profile: &Profile,
    strings: &mut Interner<'_>,
    fields: &mut FieldWriter<'_, W>,
) -> io::Result<Vec<u32>> {
    let age = |row: &Row| Age::of_ms(profile.snapshot.uptime_ms.saturating_sub(row.oldest_ms));
    let mut rows: Vec<&Row> = profile.rows.iter().collect();
    rows.sort_by_key(|row| (row.stack, row.kind, age(row)));
    let mut rows = rows.as_slice();
    let mut labels = Labels::new(strings, profile.snapshot.session != [0; 16]);
    let mut first = Vec::with_capacity(profile.stacks.len());
    let own = JvmsOwnRows::of(profile);
    let mut count = 0;
    for (stack, id) in profile.stacks.iter().zip(0..) {
        let (here, rest) = rows.split_at(rows.partition_point(|row| row.stack == StackId(id)));
        rows = rest;
        let freed_by = FreedBy::of(&stack.totals);
        let kind = match here {
            [] => None,
            [one, others @ ..] => others.iter().all(|row| row.kind == one.kind).then_some(one.kind),
        };
        let (objects, bytes) = (stack.totals.objects, stack.totals.bytes);
        // Its first sample is there all the same: it holds the stack.
        let is_own = !here.is_empty() && here.iter().all(|row| own.contains(profile, row));
        let shown = if is_own { [0, 0] } else { [objects.round() as i64, bytes.round() as i64] };
        let mut sample = proto::Sample {
            location_id: stack.frames.iter().map(|frame| u64::from(frame.0) + 1).collect(),
            value: vec![shown[0], shown[1], 0, 0],
            label: labels.of(kind, freed_by, None, bytes / objects),
        };
        first.push(count);
        fields.message(2, &sample)?;
        count += 1;
        for group in here.chunk_by(|a, b| (a.kind, age(a)) == (b.kind, age(b))) {
            if own.contains(profile, group[0]) {
                continue;
            }
            let objects: f64 = group.iter().map(|row| row.objects).sum();
            let bytes: f64 = group.iter().map(|row| row.bytes).sum();
            sample.value = vec![0, 0, objects.round() as i64, bytes.round() as i64];
            sample.label = labels.of(Some(group[0].kind), freed_by, Some(age(group[0])), bytes / objects);
            fields.message(2, &sample)?;
            count += 1;
        }
    }
    Ok(first)
}

/// Makes the labels of samples.
struct Labels<'a, 'p> {
    strings: &'a mut Interner<'p>,
    /// Whether leakscope recorded this: a profile of another tool knows neither ages nor who frees.
    recorded: bool,
}

impl<'a, 'p> Labels<'a, 'p> {
    fn new(strings: &'a mut Interner<'p>, recorded: bool) -> Self {
        Self { strings, recorded }
    }

    fn of(&mut self, kind: Option<Kind>, freed_by: FreedBy, age: Option<Age>, mean_bytes: f64) -> Vec<proto::Label> {
        let texts = [
            ("kind", kind.map(Kind::as_str)),
            ("freed_by", self.recorded.then(|| freed_by.as_str())),
            ("age", age.filter(|_| self.recorded).map(Age::as_str)),
        ];
        let mut labels = Vec::with_capacity(texts.len() + 1);
        for (key, value) in texts {
            if let Some(value) = value {
                let (key, str) = (self.strings.index(key), self.strings.index(value));
                labels.push(proto::Label { key, str, ..proto::Label::default() });
            }
        }
        if mean_bytes.is_finite() && mean_bytes >= 0.5 {
            let (key, num) = (self.strings.index("bytes"), mean_bytes.round() as i64);
            labels.push(proto::Label { key, num, num_unit: key, ..proto::Label::default() });
        }
        labels
    }
}

/// What `pprof -comments` shows: one to three lines for people, nothing for machines.
fn comments(profile: &Profile) -> Vec<String> {
    let mut lines = vec![format!("leakscope {}", profile.settings.version).trim_end().to_owned()];
    if profile.target.pid != 0 {
        lines.push(format!("pid {} {}", profile.target.pid, profile.target.command.join(" ")).trim_end().to_owned());
    }
    let own = JvmsOwnRows::of(profile);
    let bytes: f64 = profile.rows.iter().filter(|row| !own.contains(profile, row)).map(|row| row.bytes).sum();
    let error = profile.rows.iter().map(|row| row.bytes_variance).sum::<f64>().sqrt() * 1.96;
    let mut live = format!("tracked live {}", binary(bytes));
    if error > 0.0 {
        live += &format!(" ± {:.1} %", 100.0 * error / bytes);
    }
    if profile.memory.rss_bytes > 0 {
        live = format!("RSS {}, {live}", binary(profile.memory.rss_bytes as f64));
    }
    lines.push(live);
    lines
}

/// A number of bytes for people: `1.31 GiB`, `512 bytes`.
fn binary(bytes: f64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024.0 {
        return format!("{bytes:.0} bytes");
    }
    let power = ((bytes.log2() / 10.0) as usize).clamp(1, UNITS.len());
    format!("{:.2} {}", bytes / 1024f64.powi(power as i32), UNITS[power - 1])
}

/// Writes leakscope's own field: first what is small, then the columns of totals and rows.
fn extension<W: Write>(profile: &Profile, stack_sample: Vec<u32>, fields: &mut FieldWriter<'_, W>) -> io::Result<()> {
    let head = head(profile, stack_sample).encode_to_vec();
    let totals: usize = TOTALS.iter().map(|column| column.len(&profile.stacks)).sum();
    let rows: usize = ROWS.iter().map(|column| column.len(&profile.rows)).sum();
    let message = |field, len| key_len(field) + encoded_len_varint(len as u64) + len;
    fields.begin(proto::EXTENSION_FIELD, head.len() + message(10, totals) + message(11, rows));
    fields.encoded(&head)?;
    fields.begin(10, totals);
    for column in &TOTALS {
        fields.column(column, &profile.stacks)?;
    }
    fields.begin(11, rows);
    for column in &ROWS {
        fields.column(column, &profile.rows)?;
    }
    Ok(())
}

/// The extension without its columns.
fn head(profile: &Profile, stack_sample: Vec<u32>) -> Extension {
    let snapshot = &profile.snapshot;
    let settings = &profile.settings;
    let target = &profile.target;
    let (exit, exit_value) = match target.exit {
        None => (0, 0),
        Some(Exit::Code(code)) => (1, code),
        Some(Exit::Signal(signal)) => (2, signal),
        Some(Exit::Unknown) => (3, 0),
    };
    Extension {
        version: extension::VERSION,
        snapshot: Some(extension::Snapshot {
            session: snapshot.session.to_vec(),
            index: snapshot.index,
            epoch: snapshot.epoch,
            uptime_ms: snapshot.uptime_ms,
            reason: snapshot.reason.clone(),
        }),
        settings: Some(extension::Settings {
            interval_bytes: settings.interval_bytes,
            native_depth: settings.native_depth,
            java_depth: settings.java_depth,
            version: settings.version.clone(),
            changes: (!settings.changes.is_empty()).then(|| Changes::of(&settings.changes)),
        }),
        target: Some(extension::Target {
            pid: target.pid,
            name: target.name.clone(),
            command: target.command.clone(),
            exe: target.exe.clone(),
            exit,
            exit_value,
            jvm: target.jvm.clone(),
            bypassed_by: target.bypassed_by.clone(),
            inner_allocators: target.inner_allocators.clone(),
        }),
        memory: Some(extension::Memory {
            rss_bytes: profile.memory.rss_bytes,
            limit_bytes: profile.memory.limit_bytes,
            cgroup_bytes: profile.memory.cgroup_bytes,
        }),
        losses: profile.losses.clone(),
        module_bias: profile.modules.iter().map(|module| module.bias).collect(),
        frame_code: profile.frames.iter().map(frame_code).collect(),
        stack_sample,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builder::{Block, ProfileBuilder};
    use crate::model::{Function, Module, Settings, Snapshot, Target};

    fn java(session: [u8; 16], module: Option<&str>) -> proto::Profile {
        let target = Target { exe: "/bin/java".to_owned(), ..Target::default() };
        let snapshot = Snapshot { session, ..Snapshot::default() };
        let mut builder = ProfileBuilder::new(target, snapshot, Settings::default());
        let module = module.map(|path| builder.module(Module { path: path.to_owned(), ..Module::default() }));
        let native = builder.native_frame(module, 0x1000);
        let java = builder.java_frame(Function { name: "a.B.c".to_owned(), ..Function::default() }, 7);
        let stack = builder.stack([native, java]);
        builder.add_block(&Block {
            stack,
            kind: Kind::Malloc,
            epoch: 0,
            interval_bytes: 1,
            size_bytes: 64,
            probability: 1.0,
            birth_ms: 0,
        });
        let mut bytes = Vec::new();
        encode(&builder.finish(), &mut bytes).expect("sound");
        proto::Profile::decode(&bytes[..]).expect("protobuf")
    }

    fn text(file: &proto::Profile, index: i64) -> &str {
        std::str::from_utf8(&file.string_table[index as usize]).expect("utf-8")
    }

    fn keys(file: &proto::Profile, sample: usize) -> Vec<&str> {
        file.sample[sample].label.iter().map(|label| text(file, label.key)).collect()
    }

    #[test]
    fn the_executable_is_the_first_mapping_and_java_has_one_of_its_own() {
        for (module, expected) in [
            (None, vec!["/bin/java", "[jvm]"]),
            (Some("/lib/libc.so.6"), vec!["/bin/java", "/lib/libc.so.6", "[jvm]"]),
            (Some("[jvm]"), vec!["/bin/java", "[jvm]"]),
        ] {
            let file = java([1; 16], module);
            let paths: Vec<_> = file.mapping.iter().map(|mapping| text(&file, mapping.filename)).collect();
            assert_eq!(paths, expected);
            let last = file.mapping.last().expect("two");
            assert_eq!((file.location[1].mapping_id, file.location[1].address), (last.id, 0));
            assert!(last.has_functions && last.has_filenames && last.has_line_numbers);
        }
    }

    #[test]
    fn what_other_tools_insist_on() {
        let file = java([1; 16], Some("/lib/libc.so.6"));
        assert_eq!(file.string_table[0], b"");
        assert_eq!(file.duration_nanos, 0);
        assert_eq!(text(&file, file.default_sample_type), "inuse_space");
        assert_eq!(text(&file, file.doc_url), "", "a relative one would be refused");
        assert!(file.mapping.iter().map(|mapping| mapping.id).eq(1..=3));
        assert!(file.location.iter().map(|location| location.id).eq(1..=2));
        assert!(file.location.iter().all(|location| location.line.len() == 1));
        assert_eq!(file.location[0].address, 0xfff, "inside the call, not the return address");
        assert!(file.function.iter().map(|function| function.id).eq(1..=2));
        assert!((1..=3).contains(&file.comment.len()));
    }

    #[test]
    fn labels_say_only_what_is_known() {
        let file = java([1; 16], None);
        assert_eq!(keys(&file, 0), ["kind", "freed_by"], "what was allocated has no age");
        assert_eq!(keys(&file, 1), ["kind", "freed_by", "age", "bytes"]);
        assert_eq!(
            (file.sample[0].value.as_slice(), file.sample[1].value.as_slice()),
            (&[0; 4][..], &[0, 0, 1, 64][..])
        );
        let foreign = java([0; 16], None);
        assert_eq!(keys(&foreign, 1), ["kind", "bytes"], "another tool's profile has neither ages nor frees");
    }

    #[test]
    fn bytes_are_told_in_binary_units() {
        let shown = [0.0, 1023.0, 1024.0, 1.5 * 1024.0 * 1024.0, 3e15].map(binary);
        assert_eq!(shown, ["0 bytes", "1023 bytes", "1.00 KiB", "1.50 MiB", "2728.48 TiB"]);
    }
}
