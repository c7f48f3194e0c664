//! The finished profile gone over once more, with everything the desk knows.
//!
//! While recording, frames get names from symbol tables only. Here each native frame whose object is still there is
//! looked up again; where functions were inlined, one frame becomes several. Stack ids stay, since rows refer to them;
//! functions and frames are numbered anew, equal ones once.
//!
//! Going over a profile twice gives the same as going over it once: frames that were inlined share code with the
//! physical frame after them and are replaced together with it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;

use leakscope_profile::model::{Code, Frame, FrameId, Function, FunctionId, Module, ModuleId, Profile};

use crate::address::LookupAddress;
use crate::file_note::FileNote;
use crate::library::unsymbolized_name;
use crate::symbolizer::{ObjectRef, Symbol, Symbolizer};

/// What is known of a module and a return address in the process.
type Found = HashMap<(ModuleId, u64), Vec<Symbol>>;

/// Replaces functions and lines of native frames by what the symbolizer finds, and expands inlined functions. Frames
/// it does not find stay as they are; a frame whose function has no name gets one made of library and address.
pub fn refine(profile: &mut Profile, symbolizer: &mut Symbolizer) {
    let found = look_up(profile, symbolizer);
    let mut rebuilt = Rebuilt::default();
    let stacks: Vec<Vec<FrameId>> =
        profile.stacks.iter().map(|stack| rebuilt.stack(&stack.frames, profile, &found)).collect();
    for (stack, frames) in profile.stacks.iter_mut().zip(stacks) {
        stack.frames = frames;
    }
    profile.functions = rebuilt.functions.into_items();
    profile.frames = rebuilt.frames.into_items();
}

/// Looks up all addresses, object by object.
fn look_up(profile: &Profile, symbolizer: &mut Symbolizer) -> Found {
    // A file is mapped in several places; one look-up serves them all.
    let mut objects: BTreeMap<(&str, &str), Vec<Place<'_>>> = BTreeMap::new();
    let held = held(profile);
    for (at, frame) in profile.frames.iter().enumerate() {
        if let Code::Native { module: Some(id), address } = frame.code
            && let Some(module) = profile.modules.get(id.0 as usize)
            && module.path.starts_with('/')
        {
            let key = (module.build_id.as_str(), module.path.as_str());
            objects.entry(key).or_default().push(Place { module: id, address, frame, is_held: held.contains(&at) });
        }
    }
    let mut found = Found::new();
    for ((build_id, path), places) in objects {
        let addresses: Vec<LookupAddress> = places
            .iter()
            .map(|place| {
                let Module { bias, .. } = profile.modules[place.module.0 as usize];
                LookupAddress::of_return(place.address, bias)
            })
            .collect();
        let object = ObjectRef {
            path: PathBuf::from(path),
            build_id: (!build_id.is_empty()).then(|| build_id.to_owned()),
            file: None,
        };
        let (chains, note) = symbolizer.look_up(&object, &addresses);
        let is_news =
            |note: &FileNote| places.iter().zip(&chains).any(|(place, chain)| matters(*note, place, chain, profile));
        symbolizer.warn(&object, note.filter(is_news));
        found.extend(places.iter().map(|place| (place.module, place.address)).zip(chains));
    }
    found.retain(|_, symbols| !symbols.is_empty());
    found
}

/// A frame of an object.
struct Place<'a> {
    module: ModuleId,
    address: u64,
    frame: &'a Frame,
    /// Whether memory is held by a stack with it: others are not shown.
    is_held: bool,
}

/// Indices of the frames of stacks that hold memory.
fn held(profile: &Profile) -> HashSet<usize> {
    let stacks = profile.rows.iter().filter_map(|row| profile.stacks.get(row.stack.0 as usize));
    stacks.flat_map(|stack| stack.frames.iter().map(|id| id.0 as usize)).collect()
}

/// Whether it makes a difference to a frame what is said of its object's file: it is shown without a name, and the file is gone; or
/// it gets one, or a line, from a file that may be another.
fn matters(note: FileNote, place: &Place<'_>, chain: &[Symbol], profile: &Profile) -> bool {
    let name = profile.functions.get(place.frame.function.0 as usize).map_or("", |function| &*function.name);
    match note {
        FileNote::Gone => place.is_held && (name.is_empty() || name.contains("+0x")),
        FileNote::Doubtful => {
            !chain.is_empty() && !chain.iter().any(|symbol| symbol.name == name && symbol.line == place.frame.line)
        }
        FileNote::OtherBuild => true,
    }
}

/// Functions and frames of the new profile.
#[derive(Default)]
struct Rebuilt {
    functions: Interned<Function>,
    frames: Interned<Frame>,
    /// By old frame, what stands for the physical frame that begins with it, where something was found. Stacks share
    /// frames: names are looked at once for each.
    expanded: HashMap<FrameId, Vec<FrameId>>,
    /// By old frame, what stands for it alone.
    kept: HashMap<FrameId, FrameId>,
}

impl Rebuilt {
    fn stack(&mut self, old: &[FrameId], profile: &Profile, found: &Found) -> Vec<FrameId> {
        let frame = |id: &FrameId| Some((*id, profile.frames.get(id.0 as usize)?));
        let old: Vec<(FrameId, &Frame)> = old.iter().filter_map(frame).collect();
        let mut new = Vec::with_capacity(old.len());
        let mut rest = &old[..];
        while let Some(((id, first), _)) = rest.split_first() {
            let (chain, after) = rest.split_at(chain_len(rest));
            if let Some(known) = self.expanded.get(id) {
                new.extend_from_slice(known);
            } else if let Some(symbols) = symbols(first.code, found) {
                let frames: Vec<FrameId> = symbols.iter().map(|symbol| self.found(first.code, symbol)).collect();
                new.extend_from_slice(&frames);
                self.expanded.insert(*id, frames);
            } else {
                for (id, frame) in chain {
                    let known = self.kept.get(id).copied();
                    new.push(known.unwrap_or_else(|| self.keep(*id, frame, profile)));
                }
            }
            rest = after;
        }
        new
    }

    fn found(&mut self, code: Code, symbol: &Symbol) -> FrameId {
        let function = self.functions.id(Function {
            name: symbol.name.clone(),
            system_name: symbol.system_name.clone(),
            file: symbol.file.clone(),
        });
        self.frame(code, function, symbol.line, symbol.inlined)
    }

    fn keep(&mut self, id: FrameId, frame: &Frame, profile: &Profile) -> FrameId {
        let function = profile.functions.get(frame.function.0 as usize);
        let mut function = function.cloned().unwrap_or_default();
        if function.name.is_empty() {
            function.name = placeholder(frame.code, profile);
        }
        let function = self.functions.id(function);
        let kept = self.frame(frame.code, function, frame.line, frame.inlined);
        self.kept.insert(id, kept);
        kept
    }

    fn frame(&mut self, code: Code, function: u32, line: u32, inlined: bool) -> FrameId {
        FrameId(self.frames.id(Frame { code, function: FunctionId(function), line, inlined }))
    }
}

/// Frames at the start of this slice that are one physical frame: inlined ones and the one they were inlined into.
fn chain_len(frames: &[(FrameId, &Frame)]) -> usize {
    let code = frames[0].1.code;
    let inlined = frames.iter().take_while(|(_, frame)| frame.inlined && frame.code == code).count();
    let is_native = matches!(code, Code::Native { .. });
    let has_physical = frames.get(inlined).is_some_and(|(_, frame)| !frame.inlined && frame.code == code);
    if !is_native { 1 } else { (inlined + usize::from(has_physical)).max(1) }
}

fn symbols(code: Code, found: &Found) -> Option<&[Symbol]> {
    match code {
        Code::Native { module: Some(module), address } => found.get(&(module, address)).map(Vec::as_slice),
        _ => None,
    }
}

fn placeholder(code: Code, profile: &Profile) -> String {
    let Code::Native { module, address } = code else {
        return "[unknown]".to_owned();
    };
    match module.and_then(|id| profile.modules.get(id.0 as usize)) {
        Some(module) => {
            let address = LookupAddress::of_return(address, module.bias);
            unsymbolized_name(&module.path, address.svma())
        }
        None => "[unknown]".to_owned(),
    }
}

/// Distinct values, numbered in the order of their first use.
struct Interned<T>(HashMap<T, u32>);

impl<T> Default for Interned<T> {
    fn default() -> Self {
        Interned(HashMap::new())
    }
}

impl<T: Eq + std::hash::Hash> Interned<T> {
    fn id(&mut self, value: T) -> u32 {
        // A profile with 2^32 frames cannot be held in memory.
        let next = self.0.len() as u32;
        *self.0.entry(value).or_insert(next)
    }

    fn into_items(self) -> Vec<T> {
        let mut items: Vec<(T, u32)> = self.0.into_iter().collect();
        items.sort_unstable_by_key(|(_, id)| *id);
        items.into_iter().map(|(value, _)| value).collect()
    }
}
