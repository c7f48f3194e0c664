//! The unwind tables of one module: `.eh_frame_hdr`'s binary search and the records of `.eh_frame`.
//!
//! ```text
//! .eh_frame_hdr   version, encodings, -> .eh_frame, count, sorted (function start, -> FDE)*
//! .eh_frame       CIE (what a group of functions has in common)
//!                 FDE (-> CIE, function start and length, call frame program), ...
//! ```
//!
//! Format: Linux Standard Base, chapter "Exception Frames". Pure over byte slices, hostile input safe: a corrupt
//! table gives `None` or a wrong row, never a read outside of the two regions and never a hang.

#![forbid(unsafe_code)]

use crate::cfa::{self, Fault, Row};
use crate::reader::{Reader, Region};

/// The two tables of one module, each with the address it has in the process.
#[derive(Clone, Copy)]
pub struct Tables<'a> {
    /// `.eh_frame_hdr`, possibly with more after it.
    pub header: Region<'a>,
    /// `.eh_frame`, possibly with more after it.
    pub frames: Region<'a>,
}

/// What a group of functions has in common.
#[derive(Clone, Copy)]
pub struct Cie<'a> {
    pub(crate) code_alignment: u64,
    pub(crate) data_alignment: i64,
    pub(crate) return_address: u64,
    pub(crate) program: Reader<'a>,
    pub(crate) pointer_encoding: u8,
    has_augmentation: bool,
    is_signal_frame: bool,
}

/// The record of one function.
#[derive(Clone, Copy)]
pub struct Fde<'a> {
    pub(crate) cie: Cie<'a>,
    pub(crate) start: usize,
    pub(crate) program: Reader<'a>,
    length: usize,
}

/// Address of `.eh_frame` as the header gives it.
pub fn eh_frame_address(header: Region<'_>) -> Option<usize> {
    let mut fields = header.reader_at(header.start())?;
    let [version, frame_encoding, _, _] = *fields.bytes(4)?.first_chunk::<4>()?;
    (version == 1).then(|| fields.pointer(frame_encoding, header.start())).flatten()
}

impl<'a> Tables<'a> {
    /// The record of the function that contains `pc`.
    pub fn find(&self, pc: usize) -> Option<Fde<'a>> {
        let fde = self.fde_at(self.search(pc)?)?;
        (pc.wrapping_sub(fde.start) < fde.length).then_some(fde)
    }

    /// The row of the unwind table that holds at `pc`.
    pub fn row(&self, pc: usize) -> Result<Row<'a>, Fault> {
        let fde = self.find(pc).ok_or(Fault::NoFunction)?;
        cfa::row(&fde, pc)
    }

    /// Address of the FDE with the highest start not above `pc`. Only the form that all linkers write is read:
    /// a sorted table of pairs of signed 4-byte offsets from the header.
    fn search(&self, pc: usize) -> Option<usize> {
        const DATA_RELATIVE_SDATA4: u8 = 0x3b;
        const PAIR_BYTES: usize = 8;
        let base = self.header.start();
        let mut fields = self.header.reader_at(base)?;
        let [_, frame_encoding, count_encoding, table_encoding] = *fields.bytes(4)?.first_chunk::<4>()?;
        fields.pointer(frame_encoding, base)?;
        let count = fields.value(count_encoding)?;
        if table_encoding != DATA_RELATIVE_SDATA4 {
            return None;
        }
        let table = fields.address();
        let pair = |index: usize| {
            let mut entry = self.header.reader_at(table.wrapping_add(index.wrapping_mul(PAIR_BYTES)))?;
            Some((entry.pointer(DATA_RELATIVE_SDATA4, base)?, entry.pointer(DATA_RELATIVE_SDATA4, base)?))
        };
        // Invariant: entries below `low` start at or below pc, entries from `high` on start above it.
        let (mut low, mut high) = (0_usize, count);
        while low < high {
            let middle = low.midpoint(high);
            if pair(middle)?.0 <= pc {
                low = middle.wrapping_add(1);
            } else {
                high = middle;
            }
        }
        Some(pair(low.checked_sub(1)?)?.1)
    }

    fn fde_at(&self, address: usize) -> Option<Fde<'a>> {
        let mut record = Record::at(self.frames, address)?;
        // An FDE says how far before this very field its CIE starts; a CIE has zero here.
        let distance = record.id as usize;
        if distance == 0 {
            return None;
        }
        let cie = self.cie_at(record.id_address.wrapping_sub(distance))?;
        let start = record.body.pointer(cie.pointer_encoding, self.header.start())?;
        let length = record.body.value(cie.pointer_encoding)?;
        if cie.has_augmentation {
            let bytes = record.body.uleb()? as usize;
            record.body.bytes(bytes)?;
        }
        Some(Fde { cie, start, length, program: record.body })
    }

    fn cie_at(&self, address: usize) -> Option<Cie<'a>> {
        let Record { id, mut body, .. } = Record::at(self.frames, address)?;
        let version = body.u8()?;
        if id != 0 || !matches!(version, 1 | 3) {
            return None;
        }
        let augmentation = body.string()?;
        let code_alignment = body.uleb()?;
        let data_alignment = body.sleb()?;
        let return_address = if version == 1 { body.u8()?.into() } else { body.uleb()? };
        let mut cie = Cie {
            code_alignment,
            data_alignment,
            return_address,
            program: body,
            pointer_encoding: 0,
            has_augmentation: false,
            is_signal_frame: false,
        };
        cie.augment(augmentation)?;
        Some(cie)
    }
}

impl<'a> Cie<'a> {
    /// Reads the augmentation, whose letters say what fields follow; `program` starts after it.
    fn augment(&mut self, letters: &[u8]) -> Option<()> {
        let Some((b'z', letters)) = letters.split_first() else {
            // Without 'z' nothing follows; other letters without it date from gcc 2 and cannot be skipped.
            return letters.is_empty().then_some(());
        };
        self.has_augmentation = true;
        let length = self.program.uleb()? as usize;
        let mut fields = self.program.split(length)?;
        for letter in letters {
            match letter {
                b'R' => self.pointer_encoding = fields.u8()?,
                b'L' => drop(fields.u8()?),
                b'P' => {
                    let how = fields.u8()?;
                    fields.value(how)?;
                }
                b'S' => self.is_signal_frame = true,
                // The rest cannot be understood, but the length says where the program starts.
                _ => break,
            }
        }
        Some(())
    }
}

impl Fde<'_> {
    /// Whether the function is a signal trampoline ('S'): its caller was interrupted, it did not call.
    pub fn is_signal_frame(&self) -> bool {
        self.cie.is_signal_frame
    }
}

/// What CIE and FDE have in common: a length, and a field that tells them apart.
struct Record<'a> {
    id: u32,
    id_address: usize,
    body: Reader<'a>,
}

impl<'a> Record<'a> {
    fn at(frames: Region<'a>, address: usize) -> Option<Record<'a>> {
        const EXTENDED: u32 = u32::MAX;
        let mut fields = frames.reader_at(address)?;
        let length = match fields.u32()? {
            EXTENDED => fields.u64()? as usize,
            short => short as usize,
        };
        let mut body = fields.split(length)?;
        let id_address = body.address();
        Some(Record { id: body.u32()?, id_address, body })
    }
}
