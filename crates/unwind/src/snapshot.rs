//! The modules of this process as `/proc/self/maps` showed them last: for musl and for glibc before 2.35.
//!
//! Written outside of hooks only ([`refresh`]), read in hooks without a lock. There are two tables. The writer fills
//! the one that is not in use and then makes it the current one, so readers normally see a table that nobody
//! touches; a reader that is so slow that the *next* refresh starts on its table notices by the generation:
//!
//! ```text
//! writer   generation odd (Release fence) · fill · generation even (Release) · CURRENT = this table (Release)
//! reader   CURRENT (Acquire) · generation even? (Acquire) · read · (Acquire fence) generation unchanged? else again
//! ```
//!
//! All cells are atomics, so a race is a retry and never undefined behaviour. A library that was closed since the last
//! refresh is still listed; [`is_current`] finds out before its tables are believed.

#![allow(unsafe_code)] // `is_current` reads the first page of a module

use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering, fence};

use crate::elf::FirstPage;
use crate::identity;
use crate::maps::{self, Mapping};
use crate::x86_64::{self, File, PAGE};

/// Most modules listed. A JVM with a few hundred native libraries is already rare.
const MODULES: usize = 1024;
/// Bytes kept for all paths together.
const PATH_BYTES: usize = 96 * 1024;

struct Row {
    start: AtomicUsize,
    end: AtomicUsize,
    bias: AtomicUsize,
    eh_frame_hdr: AtomicUsize,
    first_page: AtomicU64,
    path_at: AtomicUsize,
    path_length: AtomicUsize,
}

impl Row {
    const fn new() -> Row {
        Row {
            start: AtomicUsize::new(0),
            end: AtomicUsize::new(0),
            bias: AtomicUsize::new(0),
            eh_frame_hdr: AtomicUsize::new(0),
            first_page: AtomicU64::new(0),
            path_at: AtomicUsize::new(0),
            path_length: AtomicUsize::new(0),
        }
    }
}

struct Table {
    /// Odd while the table is being written.
    generation: AtomicU64,
    count: AtomicUsize,
    rows: [Row; MODULES],
    paths: [AtomicU8; PATH_BYTES],
}

impl Table {
    const fn new() -> Table {
        Table {
            generation: AtomicU64::new(0),
            count: AtomicUsize::new(0),
            rows: [const { Row::new() }; MODULES],
            paths: [const { AtomicU8::new(0) }; PATH_BYTES],
        }
    }
}

static TABLES: [Table; 2] = [const { Table::new() }; 2];
static CURRENT: AtomicUsize = AtomicUsize::new(0);
static REFRESHING: AtomicBool = AtomicBool::new(false);
static WANTED: AtomicU64 = AtomicU64::new(0);

/// What a refresh of the module table did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refresh {
    /// The table is new.
    Done {
        /// Modules listed.
        modules: usize,
        /// Modules left out because the table was full.
        dropped: usize,
    },
    /// Another thread is at it, and will look once more after this call.
    Busy,
    /// `/proc/self/maps` cannot be read: frames outside of the old table will not be seen.
    Failed,
}

/// Reads the modules anew. Never call this inside a hook.
pub fn refresh() -> Refresh {
    WANTED.fetch_add(1, Ordering::AcqRel);
    if REFRESHING.swap(true, Ordering::Acquire) {
        return Refresh::Busy;
    }
    let mut result = Refresh::Failed;
    // Once more for those who were told Busy meanwhile; bounded, since they may keep coming.
    for _ in 0..3 {
        let wanted = WANTED.load(Ordering::Acquire);
        result = write_table();
        if WANTED.load(Ordering::Acquire) == wanted {
            break;
        }
    }
    // Release: pairs with the Acquire of the next holder's swap.
    REFRESHING.store(false, Ordering::Release);
    result
}

fn write_table() -> Refresh {
    let next = CURRENT.load(Ordering::Relaxed) ^ 1;
    let Some(table) = TABLES.get(next) else { return Refresh::Failed };
    let generation = table.generation.load(Ordering::Relaxed);
    table.generation.store(generation | 1, Ordering::Relaxed);
    // Release: no store of a row below is seen before the odd generation.
    fence(Ordering::Release);
    let mut writer =
        Writer { table, count: 0, dropped: 0, path_bytes: 0, open: None, memory: File::open(c"/proc/self/mem") };
    let complete = maps::for_each(|mapping| writer.see(&mapping));
    writer.close();
    table.count.store(writer.count, Ordering::Relaxed);
    // Release: pairs with the first Acquire load in `find`.
    table.generation.store((generation | 1).wrapping_add(1), Ordering::Release);
    if !complete {
        return Refresh::Failed;
    }
    CURRENT.store(next, Ordering::Release);
    Refresh::Done { modules: writer.count, dropped: writer.dropped }
}

/// Gathers the mappings of one file, in the order of the maps file, into one row.
struct Writer<'a> {
    table: &'a Table,
    count: usize,
    dropped: usize,
    path_bytes: usize,
    open: Option<Open>,
    memory: Option<File>,
}

/// The module whose mappings are being seen; its fixed fields are in row `count` already.
struct Open {
    file: (u64, u64),
    end: usize,
    executable: bool,
}

impl Writer<'_> {
    fn see(&mut self, mapping: &Mapping<'_>) {
        let is_file = mapping.path.starts_with(b"/") || mapping.path == b"[vdso]";
        if !is_file {
            return; // zeroed data between or after the segments of a module
        }
        if let Some(open) = &mut self.open
            && open.file == mapping.file
            && mapping.offset != 0
        {
            open.end = mapping.end;
            open.executable |= mapping.executable;
            return;
        }
        self.close();
        if mapping.offset == 0 && mapping.readable {
            self.begin(mapping);
        }
    }

    fn begin(&mut self, mapping: &Mapping<'_>) {
        let Some(row) = self.table.rows.get(self.count) else {
            self.dropped = self.dropped.wrapping_add(1);
            return;
        };
        // Through the kernel: the library may be closed at this very moment.
        let mut page = [0_u8; PAGE];
        let read = self.memory.as_ref().and_then(|memory| memory.read_at(&mut page, mapping.start));
        if read != Some(PAGE) {
            return;
        }
        let Some(first) = FirstPage::parse(&page) else { return };
        let Some(lowest) = first.first_load() else { return };
        let bias = mapping.start.wrapping_sub(lowest & !(PAGE.wrapping_sub(1)));
        row.start.store(mapping.start, Ordering::Relaxed);
        row.bias.store(bias, Ordering::Relaxed);
        row.eh_frame_hdr.store(first.eh_frame_hdr().map_or(0, |at| at.wrapping_add(bias)), Ordering::Relaxed);
        row.first_page.store(identity::of_first_page(&page), Ordering::Relaxed);
        self.store_path(row, mapping.path);
        self.open = Some(Open { file: mapping.file, end: mapping.end, executable: mapping.executable });
    }

    fn store_path(&mut self, row: &Row, path: &[u8]) {
        let cells = self.table.paths.get(self.path_bytes..).unwrap_or_default();
        for (cell, byte) in cells.iter().zip(path) {
            cell.store(*byte, Ordering::Relaxed);
        }
        let length = path.len().min(cells.len());
        row.path_at.store(self.path_bytes, Ordering::Relaxed);
        row.path_length.store(length, Ordering::Relaxed);
        self.path_bytes = self.path_bytes.wrapping_add(length);
    }

    /// Ends the open module. Files without code (data, archives of classes) are forgotten.
    fn close(&mut self) {
        let Some(open) = self.open.take() else { return };
        if let Some(row) = self.table.rows.get(self.count)
            && open.executable
        {
            row.end.store(open.end, Ordering::Relaxed);
            self.count = self.count.wrapping_add(1);
        }
    }
}

/// A module of the current table, copied out of it.
#[derive(Debug, Clone, Copy)]
pub struct Found {
    /// First address.
    pub start: usize,
    /// One past the last address.
    pub end: usize,
    /// What to add to the file's addresses.
    pub bias: usize,
    /// Address of the unwind tables' header, 0 if there is none.
    pub eh_frame_hdr: usize,
    /// Hash of the first page as it was at the refresh.
    pub first_page: u64,
}

/// Whether the file whose first page had this hash is still mapped at `start`. Costs a system call, so only for a pc
/// seen for the first time.
pub fn is_current(start: usize, first_page: u64) -> bool {
    if !x86_64::is_readable(start) {
        return false;
    }
    // SAFETY: just found readable. A library closed between that and here has no code on the walked stack; the pc
    // would have to be a guess which the guess's own checks had let through.
    let page = unsafe { core::slice::from_raw_parts(core::ptr::with_exposed_provenance(start), PAGE) };
    identity::of_first_page(page) == first_page
}

/// The module of the current table that contains `pc`.
///
/// # Hot path
/// A binary search. No allocation, lock, system call or panic; signal-safe.
pub fn find(pc: usize) -> Option<Found> {
    consistent(|table| {
        let row = table.search(pc)?;
        Some(Found {
            start: row.start.load(Ordering::Relaxed),
            end: row.end.load(Ordering::Relaxed),
            bias: row.bias.load(Ordering::Relaxed),
            eh_frame_hdr: row.eh_frame_hdr.load(Ordering::Relaxed),
            first_page: row.first_page.load(Ordering::Relaxed),
        })
    })
}

/// Copies the path of the module that contains `pc`, as much as fits; the bytes copied.
pub fn copy_path(pc: usize, into: &mut [u8]) -> usize {
    let copied = consistent(|table| {
        let row = table.search(pc)?;
        let cells = table.paths.get(row.path_at.load(Ordering::Relaxed)..)?;
        let length = row.path_length.load(Ordering::Relaxed).min(into.len()).min(cells.len());
        for (to, cell) in into.iter_mut().zip(cells).take(length) {
            *to = cell.load(Ordering::Relaxed);
        }
        Some(length)
    });
    copied.unwrap_or(0)
}

/// Reads from the current table until nobody wrote to it meanwhile, three times at most.
fn consistent<T>(mut read: impl FnMut(&Table) -> Option<T>) -> Option<T> {
    for _ in 0..3 {
        let table = TABLES.get(CURRENT.load(Ordering::Acquire))?;
        let before = table.generation.load(Ordering::Acquire);
        let result = read(table);
        // Acquire: the loads of `read` are done before the generation is looked at again.
        fence(Ordering::Acquire);
        if before & 1 == 0 && table.generation.load(Ordering::Relaxed) == before {
            return result;
        }
    }
    None
}

impl Table {
    fn search(&self, pc: usize) -> Option<&Row> {
        let rows = self.rows.get(..self.count.load(Ordering::Relaxed))?;
        let above = rows.partition_point(|row| row.start.load(Ordering::Relaxed) <= pc);
        let row = rows.get(above.checked_sub(1)?)?;
        (pc < row.end.load(Ordering::Relaxed)).then_some(row)
    }
}
