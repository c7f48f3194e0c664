//! Which loaded file an address belongs to, without a lock.
//!
//! glibc 2.35 and later answer through `_dl_find_object`, which was made for unwinders: lock-free and signal-safe.
//! Elsewhere the snapshot of `/proc/self/maps` answers. `dl_iterate_phdr` is deliberately not used: it takes the
//! loader's lock, and a hook may run on a thread that waits for a lock which the holder of that one needs.

#![allow(unsafe_code)] // calls the loader and reads the modules' headers and tables

use core::ffi::{c_char, c_void};
use core::mem::MaybeUninit;

use crate::elf::{FirstPage, READABLE};
use crate::identity;
use crate::reader::Region;
use crate::snapshot::{self, Found, Refresh};
use crate::x86_64::{self, PAGE};

/// Who says which modules there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModuleSource {
    /// The loader, through `_dl_find_object`.
    Loader,
    /// The snapshot that [`refresh_modules`] takes.
    Snapshot,
}

impl ModuleSource {
    /// The best source that this process has.
    #[inline(always)]
    pub fn current() -> ModuleSource {
        if x86_64::dl_find_object_address() == 0 { ModuleSource::Snapshot } else { ModuleSource::Loader }
    }

    /// The module that contains `pc`; `None` if no file does, as for code that a JIT compiler made.
    ///
    /// # Hot path
    /// No allocation, lock, system call or panic; signal-safe.
    #[inline(never)] // asked from many places, and not for most frames
    pub fn find(self, pc: usize) -> Option<LoadedModule> {
        match self {
            ModuleSource::Loader => ask_loader(pc),
            ModuleSource::Snapshot => snapshot::find(pc).map(LoadedModule::from_snapshot),
        }
    }
}

/// The module that contains `pc`, by the best source there is.
pub fn find_module(pc: usize) -> Option<LoadedModule> {
    ModuleSource::current().find(pc)
}

/// Takes a new snapshot of the modules. To be called at start, at `pthread_create` and now and then by a helper
/// thread, never in a hook: it reads `/proc/self/maps` and takes 10 KiB of stack.
///
/// Needed only where the loader does not answer, see [`ModuleSource::current`]. There, frames of libraries loaded
/// since the last call end a walk as if a JIT compiler had made them.
pub fn refresh_modules() -> Refresh {
    snapshot::refresh()
}

/// What a walk needs to know of a module.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub start: usize,
    pub bytes: usize,
    pub identity: u64,
    /// It is never unloaded.
    pub stays: bool,
}

impl Span {
    /// Contains nothing.
    pub(crate) const NONE: Span = Span { start: 0, bytes: 0, identity: 0, stays: false };

    #[inline(always)]
    pub(crate) fn contains(&self, address: usize) -> bool {
        address.wrapping_sub(self.start) < self.bytes
    }
}

/// A file that is loaded into this process.
#[derive(Debug, Clone, Copy)]
pub struct LoadedModule {
    /// First address.
    pub start: usize,
    /// One past the last address.
    pub end: usize,
    /// What to add to an address of the file to get the address in the process (`l_addr`).
    pub bias: usize,
    /// Address of `.eh_frame_hdr`, 0 if the file has none.
    pub eh_frame_hdr: usize,
    /// Tells it from other modules loaded at the same address at other times.
    pub(crate) identity: u64,
    name: Name,
}

#[derive(Debug, Clone, Copy)]
enum Name {
    /// Address of the zero-terminated `l_name`.
    LinkMap(usize),
    /// In the snapshot's table; and what the first page looked like then.
    Snapshot { first_page: u64 },
}

/// `struct dl_find_object` of glibc (x86-64: without the optional fields).
#[repr(C)]
struct DlFindObject {
    flags: u64,
    map_start: usize,
    map_end: usize,
    link_map: *const LinkMap,
    eh_frame_hdr: usize,
    /// glibc need not write it.
    reserved: MaybeUninit<[u64; 7]>,
}

/// The public part of `struct link_map`.
#[repr(C)]
struct LinkMap {
    bias: usize,
    name: *const c_char,
    dynamic: usize,
    next: *const LinkMap,
    previous: *const LinkMap,
}

/// Calls `visit` for each module in the loader's list, oldest first, until it says false. It must do so before the first that
/// can be unloaded.
pub(crate) fn for_each_loaded(mut visit: impl FnMut(LoadedModule) -> bool) {
    let Some(own) = dl_find_object(find_module as *const () as usize) else { return };
    let mut at = own.link_map;
    // SAFETY: the loader's list up to a module of the program's start: those stay, by the caller's promise. So below.
    while let Some(map) = unsafe { at.as_ref() }
        && !map.previous.is_null()
    {
        at = map.previous;
    }
    // SAFETY: as above.
    while let Some(map) = unsafe { at.as_ref() } {
        if ask_loader(map.dynamic).is_some_and(|module| !visit(module)) {
            return;
        }
        at = map.next;
    }
}

/// What the loader says of `pc`.
#[inline]
fn dl_find_object(pc: usize) -> Option<DlFindObject> {
    type Find = unsafe extern "C" fn(*const c_void, *mut DlFindObject) -> i32;
    let address = x86_64::dl_find_object_address();
    if address == 0 {
        return None;
    }
    // SAFETY: this is the address of glibc's `_dl_find_object`, which has this type.
    let find = unsafe { core::mem::transmute::<usize, Find>(address) };
    let mut found = MaybeUninit::<DlFindObject>::uninit();
    // SAFETY: the pointer is only compared; 0 means that the structure has been filled.
    unsafe { (find(core::ptr::without_provenance(pc), found.as_mut_ptr()) == 0).then(|| found.assume_init()) }
}

#[inline]
fn ask_loader(pc: usize) -> Option<LoadedModule> {
    let found = dl_find_object(pc)?;
    // SAFETY: a loaded object has a link_map; it is loaded as long as its code can be returned to.
    let link_map = unsafe { found.link_map.as_ref()? };
    let known = [found.map_end, found.link_map as usize, link_map.dynamic, found.eh_frame_hdr];
    let known = known.iter().fold(found.map_start as u64, |hash, word| identity::mix(hash, *word as u64));
    Some(LoadedModule {
        start: found.map_start,
        end: found.map_end,
        bias: link_map.bias,
        eh_frame_hdr: found.eh_frame_hdr,
        // SAFETY: the first page of a loaded object is mapped, and readable since it is data or readable code.
        identity: unsafe { identity::of_module(found.map_start, known) },
        name: Name::LinkMap(link_map.name as usize),
    })
}

impl LoadedModule {
    fn from_snapshot(found: Found) -> LoadedModule {
        let words = [found.end as u64, found.eh_frame_hdr as u64, found.first_page];
        LoadedModule {
            start: found.start,
            end: found.end,
            bias: found.bias,
            eh_frame_hdr: found.eh_frame_hdr,
            identity: words.iter().fold(found.start as u64, |hash, word| identity::mix(hash, *word)),
            name: Name::Snapshot { first_page: found.first_page },
        }
    }

    pub(crate) fn span(&self) -> Span {
        Span { start: self.start, bytes: self.end.wrapping_sub(self.start), identity: self.identity, stays: false }
    }

    /// Whether `address` lies in it.
    #[inline(always)]
    pub fn contains(&self, address: usize) -> bool {
        address.wrapping_sub(self.start) < self.end.wrapping_sub(self.start)
    }

    /// Copies the file's path into `into`, as much as fits, without a zero byte; the number of bytes copied. 0 for
    /// the main executable under glibc (its path is `/proc/self/exe`).
    ///
    /// The path belongs to the loader: call this only while the module is known to be loaded.
    pub fn copy_path(&self, into: &mut [u8]) -> usize {
        let name = match self.name {
            Name::LinkMap(name) => core::ptr::with_exposed_provenance::<u8>(name),
            Name::Snapshot { .. } => return snapshot::copy_path(self.start, into),
        };
        if name.is_null() {
            return 0;
        }
        let mut copied = 0;
        for to in into {
            // SAFETY: l_name is a zero-terminated string, and no byte up to here was zero.
            let byte = unsafe { name.wrapping_add(copied).read() };
            if byte == 0 {
                break;
            }
            *to = byte;
            copied = copied.wrapping_add(1);
        }
        copied
    }

    /// Whether the file is still loaded, as far as that can be doubted: the loader's word is never in doubt, that of
    /// a snapshot may be old.
    pub(crate) fn is_current(&self) -> bool {
        match self.name {
            Name::LinkMap(_) => true,
            Name::Snapshot { first_page } => snapshot::is_current(self.start, first_page),
        }
    }

    /// The file's headers. Of an executable with holes between its segments (node, which aligns its code to 2 MiB) the
    /// loader answers with one segment, not with all from the first to the last: then they lie in one further down.
    ///
    /// # Safety
    /// As [`LoadedModule::region`].
    unsafe fn first_page(&self) -> Option<FirstPage<'_>> {
        /// Pages below a segment that are looked at: as many as the largest alignment of segments in use skips.
        const LARGEST_HOLE: usize = 512;
        let Name::LinkMap(name) = self.name else {
            // SAFETY: the caller's promise.
            return unsafe { headers_at(self.start, self.bias) };
        };
        let (mut start, mut hole) = (self.start & !(PAGE - 1), 0);
        while hole <= LARGEST_HOLE {
            // SAFETY: the start of a loaded segment, by the caller's promise.
            if let Some(page) = (hole == 0).then(|| unsafe { headers_at(start, self.bias) }).flatten() {
                return Some(page);
            }
            start = start.checked_sub(PAGE)?;
            hole = hole.wrapping_add(1);
            // SAFETY: a loaded object has a link_map, and this one stays loaded.
            let below = dl_find_object(start)
                .filter(|below| unsafe { below.link_map.as_ref() }.is_some_and(|map| map.name as usize == name));
            if let Some(below) = below {
                (start, hole) = (below.map_start & !(PAGE - 1), 0);
            }
        }
        None
    }

    /// The bytes from `address` to the end of its segment. `None` if no readable segment of the file contains it.
    ///
    /// # Safety
    /// The module is loaded ([`LoadedModule::is_current`]) and stays so as long as the region is used: its code is on
    /// the stack that is being walked, so closing it would be the target's own error.
    pub(crate) unsafe fn region(&self, address: usize) -> Option<Region<'_>> {
        // SAFETY: the caller's promise.
        let segment = unsafe { self.first_page()? }.load_segment(address.wrapping_sub(self.bias))?;
        let end = segment.end.wrapping_add(self.bias);
        if segment.flags & READABLE == 0 || end < address {
            return None;
        }
        let length = end.wrapping_sub(address);
        // SAFETY: inside a readable segment that comes from the file, so mapped; such segments are not written to
        // (tables and code), and the module stays loaded by the caller's promise.
        let bytes = unsafe { core::slice::from_raw_parts(core::ptr::with_exposed_provenance(address), length) };
        Some(Region::new(bytes, address))
    }
}

/// The headers of an ELF file whose first segment starts at `start`; `None` if that is another of its segments.
///
/// # Safety
/// The page at `start` is mapped and readable as long as the result is used. All segments are readable that linkers
/// write; the loader tells nothing of their rights.
unsafe fn headers_at<'a>(start: usize, bias: usize) -> Option<FirstPage<'a>> {
    // SAFETY: the caller's promise; nothing writes to the headers of a loaded file.
    let page = unsafe { core::slice::from_raw_parts(core::ptr::with_exposed_provenance(start), PAGE) };
    let page = FirstPage::parse(page)?;
    (page.first_load()?.wrapping_add(bias) & !(PAGE - 1) == start).then_some(page)
}
