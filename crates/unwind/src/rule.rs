//! How to step from one frame to its caller: a row of the unwind table reduced to what fits into one word.
//!
//! ```text
//! 63     46 45     35 34      6 5  4 3  0
//! | cfa at/8 | bp at/8 |   tag   | bp |kind|     tag: the cache's; offsets are signed and in units of 8 bytes
//! ```
//!
//! The offset that the walk waits for lies on top, where one shift gets it.
//!
//! Rows that do not fit (frames above 1 MiB) are used but not cached. DWARF expressions are not evaluated: the shapes
//! that compilers, linkers and OpenSSL emit at call sites are recognised, the rest gives [`Rule::Unknown`]:
//!
//! - `*(rbp + n)`: a function that realigned its stack (gcc, for AVX), and `rbp + n` as the place of rbp there;
//! - `*(rsp + n)` and `*(rsp + n) + 8`: hand-written assembly of OpenSSL;
//! - `rsp + 8 + ((rip & 15) >= n) * 8`: the procedure linkage table.

#![forbid(unsafe_code)]

use crate::cfa::{Cfa, Row, Saved};
use crate::reader::{Reader, Region};
use crate::x86_64::{DWARF_BP, DWARF_RA, DWARF_SP};

/// How to step from a frame to its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// An ordinary frame: the return address lies at CFA - 8, and the caller's sp is the CFA.
    Frame {
        /// What the CFA is computed from.
        base: Base,
        /// Added to it, bytes.
        offset: i32,
        /// The caller's rbp.
        bp: Bp,
    },
    /// A signal trampoline: the interrupted registers are in the ucontext at sp.
    Signal,
    /// The outermost frame: its return address is undefined.
    Outermost,
    /// The tables know nothing of this pc, or nothing that can be used.
    Unknown,
}

/// What a CFA is computed from; `n` is [`Rule::Frame`]'s offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// rsp + n.
    Sp,
    /// rbp + n.
    Bp,
    /// The word at rsp + n.
    WordAtSp,
    /// The word at rsp + n, plus 8.
    WordAtSpPlus8,
    /// The word at rbp + n.
    WordAtBp,
}

/// Where the caller's rbp is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bp {
    /// Unchanged.
    Same,
    /// In memory at CFA + offset.
    AtCfa(i32),
    /// In memory at rbp + offset.
    AtBp(i32),
    /// Not known: later frames which need it cannot be walked.
    Lost,
}

/// Bits of a packed rule that are left to the cache for its tag.
pub const TAG_MASK: u64 = ((1 << (BP_SHIFT - TAG_SHIFT)) - 1) << TAG_SHIFT;

const BP_KIND_SHIFT: u32 = 4;
const TAG_SHIFT: u32 = 6;
const BP_SHIFT: u32 = 35;
const BP_BITS: u32 = 11;
const CFA_SHIFT: u32 = 46;
const CFA_BITS: u32 = 18;

/// The commonest rules, as they are taken from a word in the hot loop: the CFA is sp or bp + offset, and rbp is
/// unchanged or stored at CFA + offset.
#[derive(Debug, Clone, Copy)]
pub struct PlainFrame(u64);

impl PlainFrame {
    /// The rule in a word, if it is of this kind.
    #[inline(always)]
    pub fn unpack(word: u64) -> Option<PlainFrame> {
        // Kind 1 or 2, and the high bit of rbp's kind not set.
        ((word & 0x2f).wrapping_sub(1) < 2).then_some(PlainFrame(word))
    }

    /// Whether the frame is found by rsp; else it is by rbp.
    #[inline(always)]
    pub fn is_by_sp(self) -> bool {
        self.0 & 1 != 0
    }

    /// The canonical frame address.
    #[inline(always)]
    pub fn cfa(self, sp: usize, bp: usize) -> usize {
        let base = if self.is_by_sp() { sp } else { bp };
        base.wrapping_add_signed(self.0.cast_signed().wrapping_shr(CFA_SHIFT).wrapping_shl(3) as isize)
    }

    /// Where rbp is stored, relative to the CFA; `None` if it is unchanged.
    #[inline(always)]
    pub fn bp_offset(self) -> Option<isize> {
        let is_stored = self.0 & (1 << BP_KIND_SHIFT) != 0;
        is_stored.then_some(unfield(self.0, BP_SHIFT, BP_BITS) as isize)
    }
}

impl Rule {
    /// Reduces the row that holds at `pc`.
    pub fn from_row(row: &Row<'_>, pc: usize) -> Rule {
        match row.ra {
            Saved::Undefined => return Rule::Outermost,
            Saved::AtCfa(-8) => {}
            _ => return Rule::Unknown,
        }
        let cfa = match row.cfa {
            Cfa::Register { register, offset } => match u16::try_from(register) {
                Ok(DWARF_SP) => Some((Base::Sp, offset)),
                Ok(DWARF_BP) => Some((Base::Bp, offset)),
                _ => None,
            },
            Cfa::Expression(bytes) => cfa_expression(bytes, pc),
        };
        let Some((base, offset)) = cfa else { return Rule::Unknown };
        let Ok(offset) = i32::try_from(offset) else { return Rule::Unknown };
        Rule::Frame { base, offset, bp: Bp::from_saved(&row.bp) }
    }

    /// The rule as a word, never 0, with no bit of [`TAG_MASK`] set. `None` if it does not fit.
    pub fn pack(self) -> Option<u64> {
        let (base, offset, bp) = match self {
            Rule::Frame { base, offset, bp } => (base, offset, bp),
            Rule::Signal => return Some(7),
            Rule::Outermost => return Some(8),
            Rule::Unknown => return Some(9),
        };
        let kind = match base {
            Base::Sp => 1,
            Base::Bp => 2,
            Base::WordAtSp => 4,
            Base::WordAtSpPlus8 => 5,
            Base::WordAtBp => 6,
        };
        let (bp_kind, bp_offset) = match bp {
            Bp::Same => (0, 0),
            Bp::AtCfa(offset) => (1, offset),
            Bp::AtBp(offset) => (2, offset),
            Bp::Lost => (3, 0),
        };
        let offsets = field(offset, CFA_BITS)? << CFA_SHIFT | field(bp_offset, BP_BITS)? << BP_SHIFT;
        Some(offsets | bp_kind << BP_KIND_SHIFT | kind)
    }

    /// The rule in a word, whatever its tag; `None` if there is none.
    pub fn unpack(word: u64) -> Option<Rule> {
        let base = match word & 15 {
            1 => Base::Sp,
            2 => Base::Bp,
            4 => Base::WordAtSp,
            5 => Base::WordAtSpPlus8,
            6 => Base::WordAtBp,
            7 => return Some(Rule::Signal),
            8 => return Some(Rule::Outermost),
            9 => return Some(Rule::Unknown),
            _ => return None,
        };
        let bp_offset = unfield(word, BP_SHIFT, BP_BITS);
        let bp = match (word >> BP_KIND_SHIFT) & 3 {
            0 => Bp::Same,
            1 => Bp::AtCfa(bp_offset),
            2 => Bp::AtBp(bp_offset),
            _ => Bp::Lost,
        };
        Some(Rule::Frame { base, offset: unfield(word, CFA_SHIFT, CFA_BITS), bp })
    }
}

impl Bp {
    /// A row's rule for rbp. An undefined one is treated as unchanged, as libgcc does: rbp is callee-saved.
    fn from_saved(saved: &Saved<'_>) -> Bp {
        match *saved {
            Saved::Undefined | Saved::Same => Bp::Same,
            Saved::AtCfa(offset) => i32::try_from(offset).map_or(Bp::Lost, Bp::AtCfa),
            Saved::AtExpression(bytes) => match breg(bytes) {
                Some((DWARF_BP, offset, rest)) if rest.is_empty() => i32::try_from(offset).map_or(Bp::Lost, Bp::AtBp),
                _ => Bp::Lost,
            },
            _ => Bp::Lost,
        }
    }
}

/// `offset` / 8 in so many bits.
fn field(offset: i32, bits: u32) -> Option<u64> {
    let unused = 64_u32.wrapping_sub(bits);
    let value = i64::from(offset) >> 3;
    let fits = offset & 7 == 0 && (value << unused) >> unused == value;
    fits.then_some((value.cast_unsigned() << unused) >> unused)
}

#[inline(always)]
fn unfield(word: u64, shift: u32, bits: u32) -> i32 {
    let left = 64_u32.wrapping_sub(shift).wrapping_sub(bits);
    let value = word.wrapping_shl(left).cast_signed().wrapping_shr(64_u32.wrapping_sub(bits));
    (value as i32).wrapping_shl(3)
}

mod op {
    pub const DEREF: u8 = 0x06;
    pub const AND: u8 = 0x1a;
    pub const PLUS: u8 = 0x22;
    pub const PLUS_UCONST: u8 = 0x23;
    pub const SHL: u8 = 0x24;
    pub const GE: u8 = 0x2a;
    pub const LIT0: u8 = 0x30;
    pub const LIT3: u8 = 0x33;
    pub const LIT15: u8 = 0x3f;
    pub const BREG0: u8 = 0x70;
    pub const BREG31: u8 = 0x8f;
}

/// A leading `DW_OP_bregN offset`: the register, the offset, what follows.
fn breg(bytes: &[u8]) -> Option<(u16, i64, Reader<'_>)> {
    let mut reader = Region::new(bytes, 0).reader_at(0)?;
    let first = reader.u8()?;
    if !matches!(first, op::BREG0..=op::BREG31) {
        return None;
    }
    let offset = reader.sleb()?;
    Some((first.wrapping_sub(op::BREG0).into(), offset, reader))
}

/// Recognises the expressions listed at the top of this file.
fn cfa_expression(bytes: &[u8], pc: usize) -> Option<(Base, i64)> {
    let (register, offset, mut rest) = breg(bytes)?;
    if let Some(plt) = plt_offset(rest, pc)
        && register == DWARF_SP
    {
        return Some((Base::Sp, offset.wrapping_add(plt)));
    }
    if rest.u8()? != op::DEREF {
        return None;
    }
    let base = match (register, rest.is_empty()) {
        (DWARF_BP, true) => Base::WordAtBp,
        (DWARF_SP, true) => Base::WordAtSp,
        (DWARF_SP, false) if rest.u8()? == op::PLUS_UCONST && rest.uleb()? == 8 && rest.is_empty() => {
            Base::WordAtSpPlus8
        }
        _ => return None,
    };
    Some((base, offset))
}

/// What `+ ((rip & 15) >= n) << 3` adds at `pc`.
fn plt_offset(mut rest: Reader<'_>, pc: usize) -> Option<i64> {
    const RIP: u8 = op::BREG0 + DWARF_RA as u8;
    let [RIP, 0, op::LIT15, op::AND, lit @ op::LIT0..=op::LIT15, op::GE, op::LIT3, op::SHL, op::PLUS] =
        *rest.bytes(9)?.first_chunk::<9>()?
    else {
        return None;
    };
    let pushed = pc & 15 >= usize::from(lit.wrapping_sub(op::LIT0));
    rest.is_empty().then_some(if pushed { 8 } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_survives_packing_and_none_is_the_empty_word() {
        let bases = [Base::Sp, Base::Bp, Base::WordAtSp, Base::WordAtSpPlus8, Base::WordAtBp];
        let bps = [Bp::Same, Bp::AtCfa(-16), Bp::AtCfa(-8192), Bp::AtCfa(8184), Bp::AtBp(0), Bp::AtBp(-8), Bp::Lost];
        let offsets = [0, 8, 16, -8, 4096, (1 << 20) - 8, -(1 << 20)];
        let mut rules = vec![Rule::Signal, Rule::Outermost, Rule::Unknown];
        for base in bases {
            for offset in offsets {
                rules.extend(bps.map(|bp| Rule::Frame { base, offset, bp }));
            }
        }
        for rule in rules {
            let word = rule.pack().unwrap();
            assert_ne!(word, 0);
            assert_eq!(word & TAG_MASK, 0, "{rule:?} reaches into the tag");
            assert_eq!(Rule::unpack(word | TAG_MASK), Some(rule));
            let plain = PlainFrame::unpack(word | TAG_MASK);
            match rule {
                Rule::Frame { base: Base::Sp, offset, bp: bp @ (Bp::Same | Bp::AtCfa(_)) } => {
                    assert_eq!(plain.unwrap().cfa(1 << 40, 0), (1_usize << 40).wrapping_add_signed(offset as isize));
                    let at = if let Bp::AtCfa(at) = bp { Some(at as isize) } else { None };
                    assert_eq!(plain.unwrap().bp_offset(), at);
                }
                Rule::Frame { base: Base::Bp, offset, bp: Bp::Same | Bp::AtCfa(_) } => {
                    assert_eq!(plain.unwrap().cfa(0, 1 << 40), (1_usize << 40).wrapping_add_signed(offset as isize));
                }
                _ => assert!(plain.is_none(), "{rule:?}"),
            }
        }
        assert_eq!(Rule::unpack(0), None);
        assert!(PlainFrame::unpack(0).is_none());
    }

    #[test]
    fn what_does_not_fit_is_not_packed() {
        for (offset, bp) in [(1 << 20, Bp::Same), (12, Bp::Same), (16, Bp::AtCfa(8192)), (16, Bp::AtCfa(-4))] {
            assert_eq!(Rule::Frame { base: Base::Sp, offset, bp }.pack(), None);
        }
    }

    #[test]
    fn the_known_expressions_are_recognised() {
        let plt = [0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22];
        assert_eq!(cfa_expression(&plt, 0x100a), Some((Base::Sp, 8)));
        assert_eq!(cfa_expression(&plt, 0x100b), Some((Base::Sp, 16)));
        assert_eq!(cfa_expression(&[0x76, 0x78, 0x06], 0), Some((Base::WordAtBp, -8)));
        assert_eq!(cfa_expression(&[0x77, 0x98, 0x01, 0x06, 0x23, 8], 0), Some((Base::WordAtSpPlus8, 152)));
        assert_eq!(cfa_expression(&[0x77, 0x98, 0x01, 0x06, 0x23, 16], 0), None);
        assert_eq!(cfa_expression(&plt[..10], 0), None);
        assert_eq!(cfa_expression(&[], 0), None);
    }
}
