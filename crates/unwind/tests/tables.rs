//! The reader of the unwind tables against gimli, at every Nth pc of the libraries of this machine.
//!
//! Rows are compared as they are read, expressions byte by byte. Of the rows, a few cannot be reduced to a rule;
//! they are counted and printed, and for the C library bounded.

use std::path::Path;

use gimli::{BaseAddresses, CfaRule, CieOrFde, EhFrame, LittleEndian, RegisterRule, UnwindContext};
use gimli::{UnwindExpression, UnwindSection, UnwindTableRow, X86_64};
use leakscope_unwind::cfa::{Cfa, Row, Saved};
use leakscope_unwind::rule::Rule;
use object_tables::{ObjectTables, libc_path, more_libraries};

#[path = "support/object_tables.rs"]
mod object_tables;

type Frames<'a> = EhFrame<gimli::EndianSlice<'a, LittleEndian>>;

/// What a comparison found.
#[derive(Default, Debug)]
struct Tally {
    functions: usize,
    compared: usize,
    with_expression: usize,
    without_rule: usize,
    mismatches: Vec<String>,
}

fn expression<'a>(frames: &Frames<'a>, expression: &UnwindExpression<usize>) -> &'a [u8] {
    expression.get(frames).unwrap().0.slice()
}

fn saved<'a>(frames: &Frames<'a>, rule: Option<RegisterRule<usize>>) -> Saved<'a> {
    match rule {
        None | Some(RegisterRule::Undefined) => Saved::Undefined,
        Some(RegisterRule::SameValue) => Saved::Same,
        Some(RegisterRule::Offset(offset)) => Saved::AtCfa(offset),
        Some(RegisterRule::ValOffset(offset)) => Saved::Value(offset),
        Some(RegisterRule::Register(register)) => Saved::Register(register.0.into()),
        Some(RegisterRule::Expression(bytes)) => Saved::AtExpression(expression(frames, &bytes)),
        Some(RegisterRule::ValExpression(bytes)) => Saved::Expression(expression(frames, &bytes)),
        Some(other) => panic!("{other:?}"),
    }
}

fn expected<'a>(frames: &Frames<'a>, row: &UnwindTableRow<usize>) -> Row<'a> {
    let cfa = match row.cfa() {
        CfaRule::RegisterAndOffset { register, offset } => {
            Cfa::Register { register: register.0.into(), offset: *offset }
        }
        CfaRule::Expression(bytes) => Cfa::Expression(expression(frames, bytes)),
    };
    Row { cfa, bp: saved(frames, row.register(X86_64::RBP)), ra: saved(frames, row.register(X86_64::RA)) }
}

impl Tally {
    fn compare(&mut self, ours: &ObjectTables, frames: &Frames<'_>, row: &UnwindTableRow<usize>, pc: usize) {
        let expected = expected(frames, row);
        let read = ours.tables().row(pc);
        self.compared += 1;
        if read != Ok(expected) {
            self.mismatches.push(format!("{pc:#x}: gimli {expected:?}, ours {read:?}"));
        }
        let has_expression = matches!(expected.cfa, Cfa::Expression(_))
            || [expected.bp, expected.ra].iter().any(|s| matches!(s, Saved::Expression(_) | Saved::AtExpression(_)));
        self.with_expression += usize::from(has_expression);
        self.without_rule += usize::from(Rule::from_row(&expected, pc) == Rule::Unknown);
    }
}

/// Compares at every `step`th pc of every function.
fn compare(path: &Path, step: usize) -> Tally {
    let ours = ObjectTables::read(path);
    let frames = EhFrame::new(&ours.frames, LittleEndian);
    let bases =
        BaseAddresses::default().set_eh_frame_hdr(ours.header_address as u64).set_eh_frame(ours.frames_address as u64);
    let (mut tally, mut context, mut due) = (Tally::default(), UnwindContext::<usize>::new(), 0_usize);
    let mut entries = frames.entries(&bases);
    while let Some(entry) = entries.next().unwrap() {
        let CieOrFde::Fde(partial) = entry else { continue };
        let fde = partial.parse(EhFrame::cie_from_offset).unwrap();
        tally.functions += 1;
        let mut rows = fde.rows(&frames, &bases, &mut context).unwrap();
        let mut pc = fde.initial_address() as usize + due;
        while let Some(row) = rows.next_row().unwrap() {
            while row.contains(pc as u64) {
                tally.compare(&ours, &frames, row, pc);
                pc += step;
            }
        }
        // What the step reaches beyond this function is where the next one starts: small functions count too.
        due = pc.saturating_sub(fde.end_address() as usize) % step;
    }
    println!(
        "{}: {} functions, {} pcs compared, {} with an expression, {} without a rule, {} mismatches",
        path.display(),
        tally.functions,
        tally.compared,
        tally.with_expression,
        tally.without_rule,
        tally.mismatches.len()
    );
    tally
}

#[test]
fn every_seventh_pc_of_the_c_library() {
    let tally = compare(&libc_path(), 7);
    assert!(tally.compared > 20_000, "{tally:?}");
    assert_eq!(tally.mismatches, Vec::<String>::new());
    assert!(tally.without_rule * 100 < tally.compared, "{} of {}", tally.without_rule, tally.compared);
}

#[test]
fn other_libraries_of_this_machine() {
    let libraries = more_libraries();
    println!("comparing {} libraries besides libc", libraries.len());
    for library in libraries {
        let megabytes = std::fs::metadata(&library).unwrap().len() as usize >> 20;
        let tally = compare(&library, 17 + megabytes * 8);
        assert_eq!(tally.mismatches, Vec::<String>::new(), "{}", library.display());
        assert!(tally.compared > 0);
    }
}
