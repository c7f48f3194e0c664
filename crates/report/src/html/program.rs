//! The page's functions, call tree and sites, as many as there is room for; the rest is put together and said.

use std::collections::HashMap;

use leakscope_analyze::{FrameKind, History, Site, SiteFrame, SiteHistory, SiteId, Sites, is_framework};
use leakscope_profile::model::Kind;

use super::series;
use super::view::{ProgramView, SiteView, interval};
use crate::printable::printable;

/// Bytes of JSON that functions, tree and sites may take.
const MOST_BYTES: usize = 2_600_000;
/// A longer name is cut: C++ templates reach thousands of characters.
const LONGEST_NAME: usize = 240;
/// Most frames of a stack; those between both ends are left out.
const DEEPEST: usize = 160;

/// Libraries whose frames say how memory is allocated, hardly ever why.
const PLUMBING: [&str; 10] = [
    "libjvm.so",
    "libjava.so",
    "libjli.so",
    "libzip.so",
    "libnio.so",
    "libnet.so",
    "libc.so",
    "libstdc++",
    "ld-linux",
    "libpthread",
];

/// What was made, and what was left out.
pub(crate) struct Program {
    pub view: ProgramView,
    index: HashMap<SiteId, usize>,
    /// Sites that stand together in the last ones.
    pub merged: usize,
    /// Stacks of which frames are left out.
    pub shortened: usize,
}

impl Program {
    /// Which of the page's sites a site is, unless it stands together with others.
    pub(crate) fn alone(&self, id: SiteId) -> Option<usize> {
        self.index.get(&id).copied().filter(|at| self.view.sites[*at].merged == 0)
    }
}

/// Chooses and packs the sites. `first` are the ids that must be there if any.
pub(crate) fn program(history: &History, sites: &Sites, first: &[SiteId]) -> Program {
    let now: HashMap<SiteId, &Site> = sites.sites.iter().map(|site| (site.place.id, site)).collect();
    let mut maker = Maker::default();
    let mut packed = Vec::new();
    let ordered = by_importance(history, first);
    let mut kept = 0;
    for site in &ordered {
        let bytes = series::pack(site);
        // Base64 makes four of three.
        if maker.bytes + (packed.len() + bytes.bytes.len()) * 4 / 3 > MOST_BYTES {
            break;
        }
        packed.extend(&bytes.bytes);
        maker.site(history, site, now.get(&site.place.id).copied(), bytes.exponents);
        kept += 1;
    }
    let rest = &ordered[kept..];
    for kind in [Kind::Malloc, Kind::MmapAnon, Kind::MmapFile, Kind::Thread] {
        let of_kind: Vec<&SiteHistory> = rest.iter().copied().filter(|site| site.place.kind == kind).collect();
        if let Some(together) = SiteHistory::together(&of_kind) {
            let bytes = series::pack(&together);
            packed.extend(&bytes.bytes);
            maker.rest(&together, &of_kind, &now, bytes.exponents);
        }
    }
    let mut view = maker.view;
    view.series = series::text(&packed);
    Program { view, index: maker.index, merged: rest.len(), shortened: maker.shortened }
}

/// The sites in the order in which they get room: those asked for, then by the most that ever was live.
fn by_importance<'a>(history: &'a History, first: &[SiteId]) -> Vec<&'a SiteHistory> {
    let rank: HashMap<SiteId, usize> = first.iter().enumerate().map(|(at, id)| (*id, at)).collect();
    let last = history.instants.len().saturating_sub(1) as u32;
    let mut sites: Vec<(usize, f64, &SiteHistory)> = history
        .sites
        .iter()
        .map(|site| {
            // The most that lived of any birth is a bound that costs no sum over snapshots.
            let mut most = site.live(last, 0..=last).bytes;
            for cells in site.cells.chunk_by(|a, b| a.born == b.born) {
                most = most.max(cells.iter().map(|cell| cell.bytes).fold(0.0, f64::max));
            }
            let allocated = site.allocated.last().map_or(0.0, |now| now.bytes);
            (rank.get(&site.place.id).copied().unwrap_or(usize::MAX), most.max(allocated / 64.0), site)
        })
        .collect();
    sites.sort_by(|a, b| {
        let by_rank = a.0.cmp(&b.0);
        by_rank.then_with(|| b.1.total_cmp(&a.1)).then_with(|| a.2.place.id.cmp(&b.2.place.id))
    });
    sites.into_iter().map(|(.., site)| site).collect()
}

#[derive(Default)]
struct Maker {
    view: ProgramView,
    index: HashMap<SiteId, usize>,
    names: HashMap<String, u32>,
    frames: HashMap<[u32; 7], u32>,
    nodes: HashMap<(u32, u32), u32>,
    shortened: usize,
    /// About as many bytes of JSON so far.
    bytes: usize,
}

impl Maker {
    fn name(&mut self, name: &str) -> u32 {
        if self.view.names.is_empty() {
            self.view.names.push(String::new());
            self.names.insert(String::new(), 0);
        }
        let shown = printable(name);
        let shown = match shown.char_indices().nth(LONGEST_NAME) {
            Some((end, _)) => format!("{}...", &shown[..end]),
            None => shown.into_owned(),
        };
        if let Some(at) = self.names.get(&shown) {
            return *at;
        }
        let at = self.view.names.len() as u32;
        // Quotes and a comma; and these six characters each in the page.
        self.bytes += shown.len() + 3 + 5 * shown.matches(['<', '>', '&', '"', '\\']).count();
        self.names.insert(shown.clone(), at);
        self.view.names.push(shown);
        at
    }

    fn frame(&mut self, frame: &SiteFrame) -> u32 {
        let kind = match frame.kind {
            FrameKind::Java => 0,
            FrameKind::Native => 1,
            FrameKind::Marker => 2,
        };
        let bits = u32::from(is_plumbing(frame)) | u32::from(frame.inlined) << 1;
        let file = frame.file.rsplit('/').next().unwrap_or_default();
        let (function, file) = (self.name(&frame.function), self.name(file));
        let (library, package) = (self.name(&frame.library), self.name(&package(frame)));
        self.intern_frame([kind, function, file, frame.line, library, package, bits])
    }

    fn intern_frame(&mut self, frame: [u32; 7]) -> u32 {
        let next = self.view.frames.len() as u32;
        let at = *self.frames.entry(frame).or_insert(next);
        if at == next {
            self.bytes += 30;
            self.view.frames.push(frame);
        }
        at
    }

    /// The node of a stack, leaf first.
    fn node(&mut self, stack: &[u32]) -> u32 {
        if self.view.callers.is_empty() {
            let all = self.name("all");
            let root = self.intern_frame([2, all, 0, 0, 0, 0, 0]);
            self.view.callers.push(0);
            self.view.frame_of.push(root);
        }
        let mut node = 0;
        for frame in stack.iter().rev() {
            let next = self.view.callers.len() as u32;
            let at = *self.nodes.entry((node, *frame)).or_insert(next);
            if at == next {
                self.bytes += 12;
                self.view.callers.push(node);
                self.view.frame_of.push(*frame);
            }
            node = at;
        }
        node
    }

    fn note(&mut self, text: &str) -> u32 {
        let name = self.name(text);
        self.intern_frame([2, name, 0, 0, 0, name, 0])
    }

    fn site(&mut self, history: &History, site: &SiteHistory, now: Option<&Site>, exponents: [u32; 2]) {
        let place = &site.place;
        let mut own = place.application.unwrap_or(0);
        let mut stack: Vec<u32> = history.frames.resolve(&place.frames).map(|frame| self.frame(frame)).collect();
        if stack.is_empty() {
            stack.push(self.note(&format!("[{}]", place.kind.as_str())));
        }
        if stack.len() > DEEPEST {
            // The leaf's end is where the reader's own frame is likeliest to be.
            let (left, right) = (DEEPEST * 2 / 3, stack.len() - DEEPEST / 3);
            let note = self.note("[frames left out]");
            if own >= right {
                own -= right - left - 1;
            } else if own >= left {
                own = left;
            }
            stack.splice(left..right, [note]);
            self.shortened += 1;
        }
        self.index.insert(place.id, self.view.sites.len());
        self.bytes += 190;
        let node = self.node(&stack);
        self.view.sites.push(SiteView {
            id: place.id.to_string(),
            kind: place.kind.as_str(),
            node,
            own,
            missable: site.missable_bytes,
            exponents,
            samples: now.map_or(0, |site| site.amounts.samples),
            objects: now.map(|site| interval(&site.amounts.live_objects)),
            oldest: now.and_then(|site| site.oldest_age_ms),
            freed: now.map_or([0, 0], |site| [site.amounts.freed.by_app, site.amounts.freed.by_gc]),
            merged: 0,
        });
    }

    /// One site in the place of many.
    fn rest(
        &mut self,
        together: &SiteHistory,
        parts: &[&SiteHistory],
        now: &HashMap<SiteId, &Site>,
        exponents: [u32; 2],
    ) {
        let kind = together.place.kind.as_str();
        let note = self.note(&format!("[{} smaller {kind} sites]", parts.len()));
        let node = self.node(&[note]);
        let sites = || parts.iter().filter_map(|part| now.get(&part.place.id));
        let freed = sites()
            .map(|site| site.amounts.freed)
            .fold([0u64, 0], |[app, gc], freed| [app.saturating_add(freed.by_app), gc.saturating_add(freed.by_gc)]);
        parts.iter().for_each(|part| {
            self.index.insert(part.place.id, self.view.sites.len());
        });
        self.view.sites.push(SiteView {
            id: String::new(),
            kind,
            node,
            own: 0,
            missable: together.missable_bytes,
            exponents,
            samples: sites().map(|site| site.amounts.samples).fold(0, u64::saturating_add),
            objects: None,
            oldest: sites().filter_map(|site| site.oldest_age_ms).max(),
            freed,
            merged: parts.len(),
        });
    }
}

/// Whether a frame belongs to the JDK, a framework or the run-time of a language.
fn is_plumbing(frame: &SiteFrame) -> bool {
    match frame.kind {
        FrameKind::Java => is_framework(&frame.function),
        FrameKind::Native => PLUMBING.iter().any(|library| frame.library.starts_with(library)),
        FrameKind::Marker => false,
    }
}

/// What a frame is coloured by: three levels of a Java package, the library, or the note itself.
fn package(frame: &SiteFrame) -> String {
    match frame.kind {
        FrameKind::Java => {
            let segments: Vec<&str> = frame.function.split('.').collect();
            let is_package = |segment: &&&str| segment.starts_with(|c: char| c.is_lowercase());
            // Without the method, which may be in lower case, too.
            let classes = segments.len().saturating_sub(1);
            let names: Vec<&str> = segments[..classes].iter().take_while(is_package).take(3).copied().collect();
            if names.is_empty() { "(default package)".to_owned() } else { names.join(".") }
        }
        FrameKind::Native if frame.library.is_empty() => "(unknown library)".to_owned(),
        FrameKind::Native => frame.library.clone(),
        FrameKind::Marker => frame.function.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: FrameKind, function: &str, library: &str) -> SiteFrame {
        SiteFrame {
            kind,
            function: function.to_owned(),
            file: String::new(),
            line: 0,
            library: library.to_owned(),
            inlined: false,
        }
    }

    #[test]
    fn frames_are_coloured_by_package_or_library() {
        for (kind, function, library, expected) in [
            (FrameKind::Java, "com.acme.log.deep.ExceptionLogger.compress", "", "com.acme.log"),
            (FrameKind::Java, "java.util.zip.Deflater.init", "", "java.util.zip"),
            (FrameKind::Java, "Main.main", "", "(default package)"),
            (FrameKind::Java, "main", "", "(default package)"),
            (FrameKind::Java, "com.acme.Foo$$Lambda.run", "", "com.acme"),
            (FrameKind::Native, "deflateInit2_", "libz.so.1", "libz.so.1"),
            (FrameKind::Native, "x", "", "(unknown library)"),
            (FrameKind::Marker, "[truncated]", "", "[truncated]"),
        ] {
            assert_eq!(package(&frame(kind, function, library)), expected, "{function}");
        }
    }

    #[test]
    fn what_is_nobodys_own_is_plumbing() {
        assert!(is_plumbing(&frame(FrameKind::Java, "java.util.zip.Deflater.init", "")));
        assert!(is_plumbing(&frame(FrameKind::Native, "os::malloc", "libjvm.so")));
        assert!(!is_plumbing(&frame(FrameKind::Java, "com.acme.Main.main", "")));
        assert!(!is_plumbing(&frame(FrameKind::Native, "deflateInit2_", "libz.so.1")));
    }
}
