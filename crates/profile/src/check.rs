//! The invariants of a profile, in one place.
//!
//! Writing and reading both check them, so what uses a profile may index and add without fear. Only what a
//! collector can guarantee is here: the totals of a stack come from counters that a running target bumps one after
//! the other, so their mutual order of size is not an invariant; that of a row's sums is.

use std::collections::HashSet;

use crate::error::Inconsistent;
use crate::model::{Code, Frame, Kind, Profile, Row, Stack};

impl Profile {
    /// Checks that the profile does not contradict itself.
    ///
    /// - Indices are in range; no stack is empty; functions have names; a native frame has an address; a module does
    ///   not end before it starts.
    /// - Changes of the sampling interval lead to one, for a share that is a number.
    /// - Sums are finite and not negative.
    /// - Rows are unique by stack, kind, epoch and interval, and were born in the snapshot's epoch or before.
    /// - In each row: at least one sample; the observed is at most the estimate and at least the number of samples
    ///   times the smallest block; only mappings and stacks are resident, and not more than there is; at interval 1 the estimate is the observed and has no variance.
    ///
    /// # Errors
    /// The first contradiction found.
    pub fn check(&self) -> Result<(), Inconsistent> {
        for (i, change) in self.settings.changes.iter().enumerate() {
            let sound = change.interval_bytes >= 1 && is_sum(change.percent);
            ensure(sound, || format!("change {i} of the sampling interval is none"))?;
        }
        for (i, module) in self.modules.iter().enumerate() {
            ensure(module.start <= module.end, || format!("module {i} ends before it starts"))?;
        }
        for (i, function) in self.functions.iter().enumerate() {
            ensure(!function.name.is_empty(), || format!("function {i} has no name"))?;
        }
        for (i, frame) in self.frames.iter().enumerate() {
            self.check_frame(frame).map_err(|what| Inconsistent::new(format!("frame {i} {what}")))?;
        }
        for (i, stack) in self.stacks.iter().enumerate() {
            self.check_stack(stack).map_err(|what| Inconsistent::new(format!("stack {i} {what}")))?;
        }
        for (i, row) in self.rows.iter().enumerate() {
            self.check_row(row).map_err(|what| Inconsistent::new(format!("row {i} {what}")))?;
        }
        self.check_keys()
    }

    /// Rows that are in the order of their keys, as all of ours are, need no memory to be compared.
    fn check_keys(&self) -> Result<(), Inconsistent> {
        if self.rows.is_sorted_by(|a, b| a.key() < b.key()) {
            return Ok(());
        }
        let mut keys = HashSet::with_capacity(self.rows.len());
        let repeated = self.rows.iter().position(|row| !keys.insert(row.key()));
        repeated.map_or(Ok(()), |i| {
            Err(Inconsistent::new(format!("row {i} repeats the stack, kind, epoch and interval of another")))
        })
    }

    fn check_frame(&self, frame: &Frame) -> Result<(), &'static str> {
        expect((frame.function.0 as usize) < self.functions.len(), "has no such function")?;
        if let Code::Native { module, address } = frame.code {
            expect(address != 0, "has the address 0")?;
            expect(module.is_none_or(|module| (module.0 as usize) < self.modules.len()), "has no such module")?;
        }
        Ok(())
    }

    fn check_stack(&self, stack: &Stack) -> Result<(), &'static str> {
        expect(!stack.frames.is_empty(), "is empty")?;
        expect(stack.frames.iter().all(|frame| (frame.0 as usize) < self.frames.len()), "has no such frame")?;
        let totals = &stack.totals;
        let sums = [totals.bytes, totals.bytes_variance, totals.objects, totals.freed_by_app, totals.freed_by_gc];
        expect(sums.into_iter().all(is_sum), "has a total that is negative or not finite")
    }

    fn check_row(&self, row: &Row) -> Result<(), &'static str> {
        expect((row.stack.0 as usize) < self.stacks.len(), "has no such stack")?;
        expect(row.epoch <= self.snapshot.epoch, "was born after the snapshot")?;
        expect(row.interval_bytes >= 1, "has the interval 0")?;
        expect(row.samples >= 1, "has no samples")?;
        let sums = [row.bytes, row.bytes_variance, row.objects, row.objects_variance];
        expect(sums.into_iter().all(is_sum), "has a sum that is negative or not finite")?;
        expect(at_most(row.bytes_observed, row.bytes), "observed more bytes than it estimates")?;
        expect(at_most(row.samples, row.objects), "observed more objects than it estimates")?;
        let least = u128::from(row.smallest_bytes) * u128::from(row.samples);
        expect(least <= u128::from(row.bytes_observed), "has a smallest block larger than its mean")?;
        // The largest number is the file's for one that is not known.
        let fits = |bytes| bytes <= row.bytes_observed && bytes < u64::MAX;
        let resident = row.resident_bytes.is_none_or(|bytes| row.kind != Kind::Malloc && fits(bytes));
        expect(resident, "has more in memory than there is")?;
        if row.interval_bytes == 1 {
            let certain = row.bytes_variance == 0.0 && row.objects_variance == 0.0;
            expect(certain, "has a variance though every block was recorded")?;
            let exact = is_near(row.bytes, row.bytes_observed) && is_near(row.objects, row.samples);
            expect(exact, "estimates something else than it observed though every block was recorded")?;
        }
        Ok(())
    }
}

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<(), Inconsistent> {
    if holds { Ok(()) } else { Err(Inconsistent::new(what())) }
}

fn expect(holds: bool, what: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(what) }
}

fn is_sum(value: f64) -> bool {
    value.is_finite() && value >= 0.0
}

/// What summing up to 2^22 terms in another order can cost, relative.
const ROUNDING: f64 = 1e-9;

fn at_most(observed: u64, estimate: f64) -> bool {
    observed as f64 <= estimate * (1.0 + ROUNDING)
}

fn is_near(estimate: f64, observed: u64) -> bool {
    (estimate - observed as f64).abs() <= observed as f64 * ROUNDING
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{FrameId, Function, FunctionId, Module, ModuleId, StackId, Totals};

    fn profile() -> Profile {
        let row = Row {
            stack: StackId(0),
            kind: Kind::Malloc,
            epoch: 0,
            interval_bytes: 1024,
            samples: 2,
            bytes: 400.0,
            bytes_variance: 10.0,
            bytes_observed: 100,
            objects: 8.0,
            objects_variance: 3.0,
            smallest_bytes: 40,
            oldest_ms: 5,
            resident_bytes: None,
        };
        Profile {
            modules: vec![Module { start: 1, end: 2, ..Module::default() }],
            functions: vec![Function { name: "f".to_owned(), ..Function::default() }],
            frames: vec![Frame {
                code: Code::Native { module: Some(ModuleId(0)), address: 1 },
                function: FunctionId(0),
                line: 0,
                inlined: false,
            }],
            stacks: vec![Stack { frames: vec![FrameId(0)], totals: Totals::default() }],
            rows: vec![row],
            ..Profile::default()
        }
    }

    /// Breaks a sound profile and expects the check to say so.
    fn refuses(part: &str, spoil: impl FnOnce(&mut Profile)) {
        let mut profile = profile();
        assert_eq!(profile.check(), Ok(()));
        spoil(&mut profile);
        let message = profile.check().expect_err(part).to_string();
        assert!(message.contains(part), "{message:?} does not mention {part:?}");
    }

    #[test]
    fn the_empty_profile_is_sound() {
        assert_eq!(Profile::default().check(), Ok(()));
    }

    #[test]
    fn indices_are_in_range() {
        refuses("no such function", |p| p.functions.clear());
        refuses("no such module", |p| p.modules.clear());
        refuses("no such frame", |p| p.stacks[0].frames.push(FrameId(1)));
        refuses("no such stack", |p| p.rows[0].stack = StackId(1));
    }

    #[test]
    fn parts_are_whole() {
        refuses("stack 0 is empty", |p| p.stacks[0].frames.clear());
        refuses("function 0 has no name", |p| p.functions[0].name.clear());
        refuses("address 0", |p| p.frames[0].code = Code::Native { module: None, address: 0 });
        refuses("ends before", |p| p.modules[0].end = 0);
    }

    #[test]
    fn sums_are_finite_and_not_negative() {
        for bad in [f64::NAN, f64::INFINITY, -1.0] {
            refuses("row 0 has a sum", |p| p.rows[0].bytes = bad);
            refuses("row 0 has a sum", |p| p.rows[0].bytes_variance = bad);
            refuses("row 0 has a sum", |p| p.rows[0].objects = bad);
            refuses("row 0 has a sum", |p| p.rows[0].objects_variance = bad);
            refuses("stack 0 has a total", |p| p.stacks[0].totals.bytes = bad);
            refuses("stack 0 has a total", |p| p.stacks[0].totals.freed_by_gc = bad);
        }
    }

    #[test]
    fn rows_are_sound() {
        refuses("born after", |p| p.rows[0].epoch = 1);
        refuses("interval 0", |p| p.rows[0].interval_bytes = 0);
        refuses("no samples", |p| p.rows[0].samples = 0);
        refuses("more bytes", |p| p.rows[0].bytes_observed = 401);
        refuses("more objects", |p| p.rows[0].samples = 9);
        refuses("smallest", |p| p.rows[0].smallest_bytes = 51);
        refuses("repeats", |p| p.rows.push(p.rows[0]));
        refuses("variance though", |p| p.rows[0].interval_bytes = 1);
        refuses("something else", |p| {
            p.rows[0] = Row { interval_bytes: 1, bytes_variance: 0.0, objects_variance: 0.0, ..p.rows[0] };
        });
    }
}
