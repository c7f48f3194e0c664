//! The call frame program of one function, run up to one pc: how to find the caller from there.
//!
//! DWARF 5, section 6.4.2, and the GNU extensions that gcc and clang emit. Of the columns of the table only three
//! are kept: the canonical frame address (the value of sp before the call), rbp and the return address. Bounded:
//! at most [`MOST_OPCODES`] opcodes and [`REMEMBERED_ROWS`] remembered rows, whatever the bytes say.

#![forbid(unsafe_code)]

use crate::eh_frame::Fde;
use crate::reader::Reader;
use crate::x86_64::DWARF_BP;

/// Most opcodes run for one row. The longest program seen in libjvm, libLLVM and libcrypto has a few thousand.
pub const MOST_OPCODES: usize = 1 << 16;
/// Most rows remembered at once by DW_CFA_remember_state; compilers nest them once or twice.
pub const REMEMBERED_ROWS: usize = 8;

/// Why there is no row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// No record of the table contains the pc.
    NoFunction,
    /// The record is cut off, or contradicts itself.
    Corrupt,
    /// An opcode that x86-64 compilers do not emit.
    UnknownOpcode(u8),
    /// Longer than [`MOST_OPCODES`], or nested deeper than [`REMEMBERED_ROWS`].
    TooLong,
}

/// How the canonical frame address is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cfa<'a> {
    /// Register + offset.
    Register {
        /// DWARF number.
        register: u64,
        /// Bytes.
        offset: i64,
    },
    /// A DWARF expression.
    Expression(&'a [u8]),
}

/// How the caller's value of a register is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Saved<'a> {
    /// It cannot be, or nothing is said about it.
    Undefined,
    /// Unchanged.
    Same,
    /// In memory at CFA + offset.
    AtCfa(i64),
    /// It is CFA + offset.
    Value(i64),
    /// In another register.
    Register(u64),
    /// In memory where the expression says.
    AtExpression(&'a [u8]),
    /// It is what the expression says.
    Expression(&'a [u8]),
}

/// One row of the unwind table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row<'a> {
    /// The canonical frame address.
    pub cfa: Cfa<'a>,
    /// rbp of the caller.
    pub bp: Saved<'a>,
    /// The return address.
    pub ra: Saved<'a>,
}

impl Row<'_> {
    const EMPTY: Row<'static> =
        Row { cfa: Cfa::Register { register: 0, offset: 0 }, bp: Saved::Undefined, ra: Saved::Undefined };
}

/// The row of `fde` that holds at `pc`, which lies in its function.
pub fn row<'a>(fde: &Fde<'a>, pc: usize) -> Result<Row<'a>, Fault> {
    let mut machine = Machine {
        fde,
        row: Row::EMPTY,
        initial: Row::EMPTY,
        remembered: [Row::EMPTY; REMEMBERED_ROWS],
        depth: 0,
        location: fde.start,
        budget: MOST_OPCODES,
    };
    machine.run(fde.cie.program, None)?;
    machine.initial = machine.row;
    machine.run(fde.program, Some(pc))?;
    Ok(machine.row)
}

struct Machine<'f, 'a> {
    fde: &'f Fde<'a>,
    row: Row<'a>,
    /// The row after the CIE's program: what DW_CFA_restore goes back to.
    initial: Row<'a>,
    remembered: [Row<'a>; REMEMBERED_ROWS],
    depth: usize,
    location: usize,
    budget: usize,
}

/// What an opcode did.
enum Effect {
    /// Changed the row.
    Changed,
    /// The rows from here on hold from this address on.
    Advanced(usize),
}

impl<'a> Machine<'_, 'a> {
    /// Runs opcodes until the program ends or the next row starts above `until`.
    fn run(&mut self, mut program: Reader<'a>, until: Option<usize>) -> Result<(), Fault> {
        while !program.is_empty() {
            self.budget = self.budget.checked_sub(1).ok_or(Fault::TooLong)?;
            if let Effect::Advanced(to) = self.step(&mut program)? {
                if until.is_some_and(|pc| to > pc) {
                    return Ok(());
                }
                self.location = to;
            }
        }
        Ok(())
    }

    /// One opcode. The two high bits are the opcode of the three short forms, which carry an operand in the rest.
    fn step(&mut self, program: &mut Reader<'a>) -> Result<Effect, Fault> {
        let opcode = program.u8().ok_or(Fault::Corrupt)?;
        let low = u64::from(opcode & 0x3f);
        match opcode >> 6 {
            1 => Ok(self.advance(low)),
            2 => {
                let offset = self.factored(program.uleb().ok_or(Fault::Corrupt)?.cast_signed());
                Ok(self.set(low, Saved::AtCfa(offset)))
            }
            3 => Ok(self.restore(low)),
            _ => self.long(opcode, program),
        }
    }

    fn long(&mut self, opcode: u8, program: &mut Reader<'a>) -> Result<Effect, Fault> {
        match opcode {
            0x00 => Ok(Effect::Changed), // nop
            0x01 => {
                // set_loc
                let how = self.fde.cie.pointer_encoding;
                program.pointer(how, 0).map(Effect::Advanced).ok_or(Fault::Corrupt)
            }
            0x02 => program.u8().map(|delta| self.advance(delta.into())).ok_or(Fault::Corrupt),
            0x03 => program.u16().map(|delta| self.advance(delta.into())).ok_or(Fault::Corrupt),
            0x04 => program.u32().map(|delta| self.advance(delta.into())).ok_or(Fault::Corrupt),
            0x0a => self.remember(),
            0x0b => self.recall(),
            0x0c..=0x0f | 0x12 | 0x13 => self.define_cfa(opcode, program).ok_or(Fault::Corrupt),
            0x2e => program.uleb().map(|_| Effect::Changed).ok_or(Fault::Corrupt), // GNU_args_size
            _ => self.define_register(opcode, program),
        }
    }

    /// def_cfa, def_cfa_register, def_cfa_offset, def_cfa_expression and the signed forms.
    fn define_cfa(&mut self, opcode: u8, program: &mut Reader<'a>) -> Option<Effect> {
        self.row.cfa = match (opcode, self.row.cfa) {
            (0x0c, _) => Cfa::Register { register: program.uleb()?, offset: program.uleb()?.cast_signed() },
            (0x12, _) => Cfa::Register { register: program.uleb()?, offset: self.factored(program.sleb()?) },
            (0x0d, Cfa::Register { offset, .. }) => Cfa::Register { register: program.uleb()?, offset },
            (0x0e, Cfa::Register { register, .. }) => Cfa::Register { register, offset: program.uleb()?.cast_signed() },
            (0x13, Cfa::Register { register, .. }) => {
                Cfa::Register { register, offset: self.factored(program.sleb()?) }
            }
            (0x0f, _) => Cfa::Expression(expression(program)?),
            _ => return None,
        };
        Some(Effect::Changed)
    }

    /// The long forms that say how one register was saved: each starts with the register's number.
    fn define_register(&mut self, opcode: u8, program: &mut Reader<'a>) -> Result<Effect, Fault> {
        if !matches!(opcode, 0x05..=0x09 | 0x10 | 0x11 | 0x14..=0x16) {
            return Err(Fault::UnknownOpcode(opcode));
        }
        let register = program.uleb().ok_or(Fault::Corrupt)?;
        if opcode == 0x06 {
            return Ok(self.restore(register));
        }
        let saved = match opcode {
            0x05 => program.uleb().map(|offset| Saved::AtCfa(self.factored(offset.cast_signed()))),
            0x07 => Some(Saved::Undefined),
            0x08 => Some(Saved::Same),
            0x09 => program.uleb().map(Saved::Register),
            0x10 => expression(program).map(Saved::AtExpression),
            0x11 => program.sleb().map(|offset| Saved::AtCfa(self.factored(offset))),
            0x14 => program.uleb().map(|offset| Saved::Value(self.factored(offset.cast_signed()))),
            0x15 => program.sleb().map(|offset| Saved::Value(self.factored(offset))),
            _ => expression(program).map(Saved::Expression),
        };
        Ok(self.set(register, saved.ok_or(Fault::Corrupt)?))
    }

    fn advance(&self, delta: u64) -> Effect {
        let bytes = delta.wrapping_mul(self.fde.cie.code_alignment);
        Effect::Advanced(self.location.wrapping_add(bytes as usize))
    }

    fn factored(&self, offset: i64) -> i64 {
        offset.wrapping_mul(self.fde.cie.data_alignment)
    }

    fn set(&mut self, register: u64, saved: Saved<'a>) -> Effect {
        if register == u64::from(DWARF_BP) {
            self.row.bp = saved;
        } else if register == self.fde.cie.return_address {
            self.row.ra = saved;
        }
        Effect::Changed
    }

    fn restore(&mut self, register: u64) -> Effect {
        let initial = self.initial;
        let saved = if register == u64::from(DWARF_BP) { initial.bp } else { initial.ra };
        self.set(register, saved)
    }

    fn remember(&mut self) -> Result<Effect, Fault> {
        *self.remembered.get_mut(self.depth).ok_or(Fault::TooLong)? = self.row;
        self.depth = self.depth.wrapping_add(1);
        Ok(Effect::Changed)
    }

    fn recall(&mut self) -> Result<Effect, Fault> {
        self.depth = self.depth.checked_sub(1).ok_or(Fault::Corrupt)?;
        self.row = *self.remembered.get(self.depth).ok_or(Fault::Corrupt)?;
        Ok(Effect::Changed)
    }
}

/// The bytes of a DWARF expression: a length and so many bytes.
fn expression<'a>(program: &mut Reader<'a>) -> Option<&'a [u8]> {
    let length = program.uleb()? as usize;
    program.bytes(length)
}
