//! Symbolized frames, each once: what a site is made of, and what reports print.
//!
//! Two frames of a profile with different addresses but the same function, file, line and library are one here.
//! The table also holds each frame's hash, so that hashing a stack does not look at strings again; a diff puts both
//! profiles into one table.

use std::collections::HashMap;

use leakscope_profile::model::{Code, Frame, Profile};

use crate::hash::Fnv;
use crate::names;

/// Index into a [`FrameTable`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SiteFrameId(pub(crate) u32);

/// What kind of code a frame runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FrameKind {
    /// A Java method.
    Java,
    /// Machine code.
    Native,
    /// No code: a note of leakscope, such as `[truncated]`.
    Marker,
}

/// A symbolized frame without its address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SiteFrame {
    /// What kind of code it is.
    pub kind: FrameKind,
    /// The function's shown name: demangled, or dotted Java; counters of the running process removed.
    pub function: String,
    /// Source file, empty if unknown.
    pub file: String,
    /// Source line, 0 if unknown.
    pub line: u32,
    /// File name of the library, random digits replaced; empty for Java and where unknown.
    pub library: String,
    /// Whether the function was inlined into the next frame towards the root.
    pub inlined: bool,
}

impl SiteFrame {
    /// Hash for a site's `id`: function, file, line, library.
    fn id_hash(&self) -> u64 {
        let mut hash = Fnv::new();
        hash.text(&self.function).text(&self.file).number(u64::from(self.line)).text(&self.library);
        hash.finish()
    }

    /// Hash for a site's `key`: function and library, without what edits elsewhere change.
    fn key_hash(&self) -> u64 {
        let mut hash = Fnv::new();
        hash.text(&names::key_name(&self.function, self.kind == FrameKind::Java)).text(&self.library);
        hash.finish()
    }
}

/// Distinct symbolized frames.
#[derive(Debug, Clone, Default)]
pub struct FrameTable {
    frames: Vec<SiteFrame>,
    hashes: Vec<Hashes>,
    index: HashMap<SiteFrame, SiteFrameId>,
}

/// Both hashes of a frame.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hashes {
    pub id: u64,
    pub key: u64,
}

impl FrameTable {
    /// The frame of an id that this table gave out.
    pub fn get(&self, id: SiteFrameId) -> &SiteFrame {
        &self.frames[id.0 as usize]
    }

    /// All frames of a stack.
    pub fn resolve<'a>(&'a self, ids: &'a [SiteFrameId]) -> impl Iterator<Item = &'a SiteFrame> {
        ids.iter().map(|id| self.get(*id))
    }

    pub(crate) fn hashes(&self, id: SiteFrameId) -> Hashes {
        self.hashes[id.0 as usize]
    }

    pub(crate) fn intern(&mut self, frame: SiteFrame) -> SiteFrameId {
        if let Some(id) = self.index.get(&frame) {
            return *id;
        }
        let id = SiteFrameId(self.frames.len() as u32);
        self.hashes.push(Hashes { id: frame.id_hash(), key: frame.key_hash() });
        self.frames.push(frame.clone());
        self.index.insert(frame, id);
        id
    }

    /// Adds one frame of a profile whose libraries' shown names are `libraries`.
    pub(crate) fn add_frame(&mut self, profile: &Profile, frame: &Frame, libraries: &[String]) -> SiteFrameId {
        self.intern(site_frame(profile, frame, libraries))
    }

    /// Adds every frame of a profile; the answer maps its [`leakscope_profile::model::FrameId`]s to ids of this
    /// table.
    pub(crate) fn add_profile(&mut self, profile: &Profile) -> Vec<SiteFrameId> {
        let libraries = libraries(profile);
        profile.frames.iter().map(|frame| self.intern(site_frame(profile, frame, &libraries))).collect()
    }
}

/// The shown names of a profile's libraries, by module.
pub(crate) fn libraries(profile: &Profile) -> Vec<String> {
    profile.modules.iter().map(|m| names::library_name(&m.path)).collect()
}

/// Indexes are looked up leniently: a profile may come from anywhere.
fn site_frame(profile: &Profile, frame: &Frame, libraries: &[String]) -> SiteFrame {
    let function = profile.functions.get(frame.function.0 as usize);
    let name = function.map_or("[unknown]", |f| f.name.as_str());
    let (kind, shown, library) = match frame.code {
        Code::Java => (FrameKind::Java, names::java_name(name), String::new()),
        Code::Marker => (FrameKind::Marker, name.into(), String::new()),
        Code::Native { module, .. } => {
            let library = module.and_then(|m| libraries.get(m.0 as usize)).cloned();
            (FrameKind::Native, names::native_name(name), library.unwrap_or_default())
        }
    };
    SiteFrame {
        kind,
        function: shown.into_owned(),
        file: function.map_or(String::new(), |f| f.file.clone()),
        line: frame.line,
        library,
        inlined: frame.inlined,
    }
}
