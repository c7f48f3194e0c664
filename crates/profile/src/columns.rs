//! The columns of the extension, read side by side: totals of stacks and rows, one entry of each column at a time.
//!
//! What is written is `extension::TOTALS` and `extension::ROWS`. A column is there once, packed, or absent where there are
//! no entries.

use crate::error::Inconsistent;
use crate::extension::kind;
use crate::model::{Row, StackId, Totals};
use crate::wire::{Fault, Fields, packed_count};

/// Columns of one message, by field number from 1; `N` is the highest that is known.
struct Columns<'a, const N: usize>([&'a [u8]; N]);

impl<'a, const N: usize> Columns<'a, N> {
    fn of(message: &'a [u8]) -> Result<Self, Inconsistent> {
        let mut columns: [Option<&[u8]>; N] = [None; N];
        let mut fields = Fields::new(message);
        while let Some(field) = fields.next()? {
            let Some(column) = columns.get_mut((field.number as usize).wrapping_sub(1)) else { continue };
            if column.replace(field.value.bytes()?).is_some() {
                return Err(Inconsistent::new(format!("it has column {} twice", field.number)));
            }
        }
        Ok(Self(columns.map(Option::unwrap_or_default)))
    }

    /// Whether each of these columns has `count` numbers: `whole` packed ones, `real` ones of eight bytes.
    fn have(&self, count: usize, whole: &[usize], real: &[usize]) -> bool {
        let of = |column: &usize| self.0[column - 1];
        real.iter().all(|column| of(column).len() == count.saturating_mul(8))
            && whole.iter().all(|column| packed_count(of(column)) == count)
    }

    fn whole(&self, column: usize) -> Fields<'a> {
        Fields::new(self.0[column - 1])
    }

    fn real(&self, column: usize) -> Reals<'a> {
        Reals(self.0[column - 1])
    }
}

/// Numbers of eight bytes.
struct Reals<'a>(&'a [u8]);

impl Reals<'_> {
    fn next(&mut self) -> Result<f64, Fault> {
        let (bytes, rest) = self.0.split_first_chunk::<8>().ok_or(Fault::CutOff)?;
        self.0 = rest;
        Ok(f64::from_le_bytes(*bytes))
    }
}

/// The totals of `count` stacks.
///
/// # Errors
/// A column of another length.
pub(crate) fn totals(message: &[u8], count: usize) -> Result<Vec<Totals>, Inconsistent> {
    let columns = Columns::<9>::of(message)?;
    if !columns.have(count, &[1, 4, 8, 9], &[2, 3, 5, 6, 7]) {
        return Err(Inconsistent::new(format!("a column of totals has not one entry for each of {count} stacks")));
    }
    let [mut samples, mut observed, mut frees_app, mut frees_gc] = [1, 4, 8, 9].map(|at| columns.whole(at));
    let [mut bytes, mut variance, mut objects, mut by_app, mut by_gc] = [2, 3, 5, 6, 7].map(|at| columns.real(at));
    let mut next = || {
        Ok(Totals {
            samples: samples.varint()?,
            bytes: bytes.next()?,
            bytes_variance: variance.next()?,
            bytes_observed: observed.varint()?,
            objects: objects.next()?,
            freed_by_app: by_app.next()?,
            freed_by_gc: by_gc.next()?,
            frees_app: frees_app.varint()?,
            frees_gc: frees_gc.varint()?,
        })
    };
    all(count, (0..count).map(|_| next()))
}

/// The rows.
///
/// # Errors
/// Columns of different lengths; an unknown kind; a number that is too large.
pub(crate) fn rows(message: &[u8]) -> Result<Vec<Row>, Inconsistent> {
    let columns = Columns::<13>::of(message)?;
    let count = packed_count(columns.0[0]);
    let is_resident_known = !columns.0[12].is_empty();
    if !columns.have(count, &[2, 3, 4, 5, 8, 11, 12], &[6, 7, 9, 10])
        || is_resident_known && !columns.have(count, &[13], &[])
    {
        return Err(Inconsistent::new(format!("a column has not one entry for each of {count} rows")));
    }
    let [mut stack, mut kinds, mut epoch, mut interval, mut samples] = [1, 2, 3, 4, 5].map(|at| columns.whole(at));
    let [mut observed, mut smallest, mut oldest, mut resident] = [8, 11, 12, 13].map(|at| columns.whole(at));
    let [mut bytes, mut bytes_variance, mut objects, mut objects_variance] = [6, 7, 9, 10].map(|at| columns.real(at));
    let mut next = || {
        Ok(Row {
            stack: StackId(small(stack.varint()?)?),
            kind: kind(small(kinds.varint()?)?)?,
            epoch: small(epoch.varint()?)?,
            interval_bytes: interval.varint()?,
            samples: samples.varint()?,
            bytes: bytes.next()?,
            bytes_variance: bytes_variance.next()?,
            bytes_observed: observed.varint()?,
            objects: objects.next()?,
            objects_variance: objects_variance.next()?,
            smallest_bytes: smallest.varint()?,
            oldest_ms: oldest.varint()?,
            // One more than the bytes; 0 is not known.
            resident_bytes: if is_resident_known { resident.varint()?.checked_sub(1) } else { None },
        })
    };
    all(count, (0..count).map(|_| next()))
}

/// All of `count` things, in a list that does not grow while it is filled.
pub(crate) fn all<T, E>(count: usize, mut things: impl Iterator<Item = Result<T, E>>) -> Result<Vec<T>, E> {
    let mut list = Vec::with_capacity(count);
    things.try_for_each(|thing| thing.map(|thing| list.push(thing)))?;
    Ok(list)
}

fn small(number: u64) -> Result<u32, Inconsistent> {
    u32::try_from(number).map_err(|_| Inconsistent::new(format!("{number} where a small number belongs")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A column of `count` numbers, all 1.
    fn column(field: u8, real: bool, count: usize) -> Vec<u8> {
        let payload = if real { 1f64.to_le_bytes().repeat(count) } else { vec![1; count] };
        [&[field << 3 | 2, payload.len() as u8], payload.as_slice()].concat()
    }

    fn message(real: &[u8], columns: std::ops::RangeInclusive<u8>, count: usize) -> Vec<u8> {
        columns.flat_map(|field| column(field, real.contains(&field), count)).collect()
    }

    #[test]
    fn columns_side_by_side_are_rows() {
        let whole = message(&[6, 7, 9, 10], 1..=13, 3);
        let read = rows(&whole).unwrap();
        assert_eq!(read.len(), 3);
        assert_eq!((read[2].stack, read[2].bytes, read[2].resident_bytes), (StackId(1), 1.0, Some(0)));
        let without_resident = message(&[6, 7, 9, 10], 1..=12, 3);
        assert_eq!(rows(&without_resident).unwrap()[0].resident_bytes, None);
        assert_eq!(totals(&message(&[2, 3, 5, 6, 7], 1..=9, 2), 2).unwrap().len(), 2);
        assert_eq!((rows(&[]), totals(&[], 0)), (Ok(Vec::new()), Ok(Vec::new())));
    }

    #[test]
    fn a_short_column_is_refused() {
        assert!(rows(&message(&[6, 7, 9, 10], 1..=11, 1)).is_err());
        let longer = [message(&[6, 7, 9, 10], 1..=12, 2), column(13, false, 1)].concat();
        assert!(rows(&longer).is_err());
        assert!(totals(&message(&[2, 3, 5, 6, 7], 1..=9, 2), 1).is_err());
        assert!(totals(&[], 1).is_err());
    }

    #[test]
    fn a_column_that_is_there_twice_is_refused() {
        let twice = [message(&[6, 7, 9, 10], 1..=12, 1), column(3, false, 1)].concat();
        assert_eq!(rows(&twice).unwrap_err().to_string(), "it has column 3 twice");
    }
}
