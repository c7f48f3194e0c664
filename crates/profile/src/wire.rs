//! Protobuf read field by field, without copying: what `prost` does for small messages, for the large ones.

use crate::error::Inconsistent;

/// One field of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Field<'a> {
    /// Its number.
    pub(crate) number: u32,
    /// Its contents.
    pub(crate) value: Value<'a>,
}

/// The contents of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    /// A whole number.
    Varint(u64),
    /// A text, a message or packed numbers.
    Bytes(&'a [u8]),
    /// Four or eight bytes, which none of the fields that we know is.
    Fixed,
}

impl<'a> Value<'a> {
    /// The number that the field must be.
    pub(crate) fn number(self) -> Result<u64, Fault> {
        if let Value::Varint(number) = self { Ok(number) } else { Err(Fault::Malformed) }
    }

    /// What must have a length.
    pub(crate) fn bytes(self) -> Result<&'a [u8], Fault> {
        if let Value::Bytes(bytes) = self { Ok(bytes) } else { Err(Fault::Malformed) }
    }
}

/// Why a field could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The bytes end in the middle of it.
    CutOff,
    /// It is not protobuf.
    Malformed,
}

impl From<Fault> for Inconsistent {
    fn from(_: Fault) -> Self {
        Inconsistent::new("it is not well-formed protobuf")
    }
}

/// The fields of a message, or the numbers of a packed one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Those in `bytes`.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next field; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Field<'a>>, Fault> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let number = u32::try_from(key >> 3).ok().filter(|&number| number > 0).ok_or(Fault::Malformed)?;
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?),
            1 => self.take(8).map(|_| Value::Fixed)?,
            2 => {
                let len = self.varint()?;
                Value::Bytes(self.take(len)?)
            }
            5 => self.take(4).map(|_| Value::Fixed)?,
            // Groups, which pprof never used, and numbers without a meaning.
            _ => return Err(Fault::Malformed),
        };
        Ok(Some(Field { number, value }))
    }

    /// Whether nothing is left.
    pub(crate) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next packed number.
    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, Fault> {
        match self.rest {
            [byte @ 0..0x80, rest @ ..] => {
                self.rest = rest;
                Ok(u64::from(*byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, Fault> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.rest.split_first().ok_or(Fault::CutOff)?;
            self.rest = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Fault::Malformed)
    }

    fn take(&mut self, len: u64) -> Result<&'a [u8], Fault> {
        let len = usize::try_from(len).ok().filter(|&len| len <= self.rest.len()).ok_or(Fault::CutOff)?;
        let (taken, rest) = self.rest.split_at(len);
        self.rest = rest;
        Ok(taken)
    }
}

/// How many numbers are packed in bytes.
pub(crate) fn packed_count(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte < 0x80).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_numbers_are_counted_and_read() {
        let bytes = [0, 0x7f, 0x80, 0x01, 0xff, 0xff, 0x03];
        let mut fields = Fields::new(&bytes);
        let read: Vec<u64> = std::iter::from_fn(|| (!fields.is_at_end()).then(|| fields.varint().unwrap())).collect();
        assert_eq!(read, [0, 127, 128, 65_535]);
        assert_eq!(packed_count(&bytes), 4);
        assert_eq!(Fields::new(&[0x80]).varint(), Err(Fault::CutOff));
        assert_eq!(Fields::new(&[0xff; 11]).varint(), Err(Fault::Malformed));
    }

    #[test]
    fn fields_of_every_kind_are_told_apart() {
        let mut fields = Fields::new(&[0x08, 5, 0x12, 2, 7, 8, 0x1d, 0, 0, 0, 0, 0x13]);
        assert_eq!(fields.next(), Ok(Some(Field { number: 1, value: Value::Varint(5) })));
        assert_eq!(fields.next(), Ok(Some(Field { number: 2, value: Value::Bytes(&[7, 8]) })));
        assert_eq!(fields.next(), Ok(Some(Field { number: 3, value: Value::Fixed })));
        assert_eq!(fields.next(), Err(Fault::Malformed), "a group");
    }
}
