//! Allocation sites: which stacks count as one place, and what that place is called.
//!
//! A site is one kind of memory and one symbolized stack (function, file, line, library; no addresses). It bears two
//! names: its `id`, which changes when a line moves, and its `key`, which survives that and is what two builds of a
//! program are matched by. With [`By`] other than `Stack`, stacks are put together further and the place is a Java
//! method, a library or a kind; it is called a site all the same.

use std::collections::HashMap;
use std::fmt;

use leakscope_profile::model::{FrameId, Kind, Profile, StackId};

use crate::application::{Application, library_frame};
use crate::frames::{FrameKind, FrameTable, SiteFrame, SiteFrameId};
use crate::hash::Fnv;

/// What is counted as one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum By {
    /// One symbolized stack.
    #[default]
    Stack,
    /// The application's Java method (see [`crate::is_framework`]).
    Java,
    /// The library that allocated, the C and C++ run-time not counted.
    Library,
    /// The kind of memory.
    Kind,
}

impl By {
    /// Every way, in the order of the option's help.
    pub const ALL: [By; 4] = [By::Stack, By::Java, By::Library, By::Kind];

    /// The word used in options.
    pub fn as_str(self) -> &'static str {
        match self {
            By::Stack => "stack",
            By::Java => "java",
            By::Library => "library",
            By::Kind => "kind",
        }
    }
}

/// How sites are made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grouping {
    /// What is counted as one place.
    pub by: By,
    /// Prefixes of the reader's own functions (`com.acme.`); empty: guessed.
    pub packages: Vec<String>,
}

/// Hash that names a site in every recording of the same program; printed as 16 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SiteId(pub u64);

impl fmt::Display for SiteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// What makes a site the one it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Stable as long as functions, files, lines and libraries are.
    pub id: SiteId,
    /// The same without files and lines and without what edits elsewhere change.
    pub key: SiteId,
    /// Kind of memory.
    pub kind: Kind,
    /// Frames, leaf first; a single one for a method or a library, none for a kind.
    pub frames: Vec<SiteFrameId>,
    /// Which of `frames` is the reader's own code.
    pub application: Option<usize>,
    /// Whether the JVM itself allocated for its own ends: a stack without a Java frame that comes from libjvm. Never
    /// where stacks are put together.
    pub is_jvms_own: bool,
}

/// Collects the places of one or two profiles.
pub(crate) struct Places<'a> {
    pub table: FrameTable,
    pub places: Vec<Place>,
    index: HashMap<SiteId, usize>,
    by: By,
    application: Application<'a>,
}

impl<'a> Places<'a> {
    pub(crate) fn new(grouping: &'a Grouping) -> Places<'a> {
        Places {
            table: FrameTable::default(),
            places: Vec::new(),
            index: HashMap::new(),
            by: grouping.by,
            application: Application { packages: &grouping.packages },
        }
    }

    /// With frames that are known already.
    pub(crate) fn with_table(grouping: &'a Grouping, table: FrameTable) -> Places<'a> {
        Places { table, ..Places::new(grouping) }
    }

    /// A cursor that answers for each stack of `profile` which place it is.
    pub(crate) fn of_profile<'p>(&mut self, profile: &'p Profile) -> ProfilePlaces<'p> {
        let frames = self.table.add_profile(profile);
        ProfilePlaces { profile, frames, known: HashMap::new() }
    }

    /// Index of the place of this stack and kind, added if it is new.
    pub(crate) fn place(&mut self, stack: &[SiteFrameId], kind: Kind) -> usize {
        let frames = match self.by {
            By::Stack => stack.to_vec(),
            By::Java => self.method(stack),
            By::Library => self.library(stack),
            By::Kind => Vec::new(),
        };
        let (id, key) = self.identity(&frames, kind);
        if let Some(at) = self.index.get(&id) {
            return *at;
        }
        let application = self.application.frame(&self.table, &frames);
        self.index.insert(id, self.places.len());
        let is_jvms_own = self.by == By::Stack && self.is_jvms_own(stack);
        self.places.push(Place { id, key, kind, frames, application, is_jvms_own });
        self.places.len() - 1
    }

    fn identity(&self, frames: &[SiteFrameId], kind: Kind) -> (SiteId, SiteId) {
        let (mut id, mut key) = (Fnv::new(), Fnv::new());
        id.text(kind.as_str());
        key.text(kind.as_str());
        for frame in frames {
            let hashes = self.table.hashes(*frame);
            id.number(hashes.id);
            key.number(hashes.key);
        }
        (SiteId(id.finish()), SiteId(key.finish()))
    }

    fn is_jvms_own(&self, stack: &[SiteFrameId]) -> bool {
        let is_native = stack.iter().all(|id| self.table.get(*id).kind != FrameKind::Java);
        let owner = library_frame(&self.table, stack).map(|at| self.table.get(stack[at]).library.as_str());
        is_native && owner.is_some_and(|library| library.starts_with("libjvm.so"))
    }

    /// The application's method, whatever its line; the library where a stack has no Java frame.
    fn method(&mut self, stack: &[SiteFrameId]) -> Vec<SiteFrameId> {
        let is_native = stack.iter().all(|id| self.table.get(*id).kind != FrameKind::Java);
        let own = self.application.frame(&self.table, stack);
        let Some(at) = own.filter(|at| !is_native || self.application.is_configured(self.table.get(stack[*at]))) else {
            let mut whole = self.library(stack);
            for id in &mut whole {
                let library = self.table.get(*id).clone();
                let function = format!("{} (no Java frame)", library.function);
                *id = self.table.intern(SiteFrame { function, ..library });
            }
            return whole;
        };
        let method = SiteFrame { line: 0, inlined: false, ..self.table.get(stack[at]).clone() };
        vec![self.table.intern(method)]
    }

    /// A frame that stands for the whole library.
    fn library(&mut self, stack: &[SiteFrameId]) -> Vec<SiteFrameId> {
        let name = match library_frame(&self.table, stack).map(|at| self.table.get(stack[at])) {
            Some(frame) if frame.kind == FrameKind::Java => "[jvm]".to_owned(),
            Some(frame) => frame.library.clone(),
            None => "[unknown]".to_owned(),
        };
        let whole = SiteFrame {
            kind: FrameKind::Native,
            function: name.clone(),
            file: String::new(),
            line: 0,
            library: name,
            inlined: false,
        };
        vec![self.table.intern(whole)]
    }
}

/// The stacks of one profile, and which place each is.
pub(crate) struct ProfilePlaces<'p> {
    profile: &'p Profile,
    frames: Vec<SiteFrameId>,
    known: HashMap<(StackId, Kind), usize>,
}

impl ProfilePlaces<'_> {
    /// Index into `places` of this stack and kind. An index that the profile does not hold is an empty stack.
    pub(crate) fn place(&mut self, places: &mut Places<'_>, stack: StackId, kind: Kind) -> usize {
        if let Some(at) = self.known.get(&(stack, kind)) {
            return *at;
        }
        let frames: &[FrameId] = self.profile.stacks.get(stack.0 as usize).map_or(&[], |s| &s.frames);
        let resolved: Vec<SiteFrameId> = frames.iter().filter_map(|f| self.frames.get(f.0 as usize).copied()).collect();
        let at = places.place(&resolved, kind);
        self.known.insert((stack, kind), at);
        at
    }
}
