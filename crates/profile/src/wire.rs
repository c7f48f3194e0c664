//! A census of protobuf bytes before they are decoded: is this pprof, is it whole, how much memory will it take?
//!
//! Two bytes of input can decode to a structure of 72, so a limit on the size of the input does not bound the memory
//! of the decoder. The census walks the fields that are messages, two levels deep, allocates nothing, and adds up
//! what prost is going to allocate. It also tells a file that was cut off from one that never was a profile, which
//! the decoder's errors do not.

use crate::error::{Inconsistent, ReadError};
use crate::proto;

/// Checks that bytes are the fields of a `Profile` that decodes to at most `limit_bytes` of memory.
///
/// # Errors
/// `NotGzipOrPprof`, `Truncated`, `Inconsistent` or `TooLarge`.
pub(crate) fn census(bytes: &[u8], limit_bytes: u64) -> Result<(), ReadError> {
    let mut fields = Fields { rest: bytes };
    let (mut memory, mut recognized) = (0u64, false);
    loop {
        let field = match fields.next() {
            Ok(Some(field)) => field,
            Ok(None) => break,
            // Before the first field of a pprof file anything can be anything.
            Err(_) if !recognized => return Err(ReadError::NotGzipOrPprof),
            Err(Fault::CutOff) => return Err(ReadError::Truncated),
            Err(Fault::Malformed) => return Err(malformed()),
        };
        recognized |= is_sample_type(&field);
        memory = memory.saturating_add(cost(&field).map_err(|_| malformed())?);
        if memory > limit_bytes {
            return Err(ReadError::TooLarge { what: "its contents", limit_bytes });
        }
    }
    if recognized { Ok(()) } else { Err(ReadError::NotGzipOrPprof) }
}

fn malformed() -> ReadError {
    Inconsistent::new("it is not well-formed protobuf").into()
}

/// Whether this is field 1 of pprof, which its writers put first: one or two varints, numbered 1 and 2.
fn is_sample_type(field: &Field) -> bool {
    let Field { number: 1, payload: Some(payload) } = field else { return false };
    let mut inner = Fields { rest: payload };
    loop {
        match inner.next() {
            Ok(Some(Field { number: 1 | 2, payload: None })) => {}
            Ok(None) => return true,
            _ => return false,
        }
    }
}

/// Bytes of memory that decoding one field of `Profile` allocates.
fn cost(field: &Field) -> Result<u64, Fault> {
    let Some(payload) = field.payload else { return Ok(8) };
    let len = payload.len() as u64;
    let own = |size: usize| size as u64;
    // Packed varints: each byte may become one entry of 8.
    Ok(match field.number {
        1 | 11 => own(size_of::<proto::ValueType>()),
        2 => own(size_of::<proto::Sample>()) + inner(payload, 3, size_of::<proto::Label>())?,
        3 => own(size_of::<proto::Mapping>()),
        4 => own(size_of::<proto::Location>()) + inner(payload, 4, size_of::<proto::Line>())?,
        5 => own(size_of::<proto::Function>()),
        6 => own(size_of::<Vec<u8>>()) + len,
        13 => len * 8,
        // Kept as bytes first. Its columns are packed; the most that other fields of it take is a command or a
        // loss of two bytes, which becomes a text of 24 or a map entry of 32.
        proto::EXTENSION_FIELD => len + len.saturating_mul(16),
        _ => 0,
    })
}

/// Memory of the message's fields: `size` for each one numbered `message`, 8 for each number or packed byte.
fn inner(payload: &[u8], message: u32, size: usize) -> Result<u64, Fault> {
    let mut fields = Fields { rest: payload };
    let mut memory = 0;
    while let Some(field) = fields.next()? {
        memory += match field.payload {
            Some(_) if field.number == message => size as u64,
            Some(payload) => payload.len() as u64 * 8,
            None => 8,
        };
    }
    Ok(memory)
}

/// One field: its number, and its contents if they have a length.
struct Field<'a> {
    number: u32,
    payload: Option<&'a [u8]>,
}

/// Why a field could not be read.
#[derive(Debug)]
enum Fault {
    CutOff,
    Malformed,
}

/// The fields of a message.
struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    fn next(&mut self) -> Result<Option<Field<'a>>, Fault> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let number = u32::try_from(key >> 3).ok().filter(|&number| number > 0).ok_or(Fault::Malformed)?;
        let payload = match key & 7 {
            0 => self.varint().map(|_| None)?,
            1 => self.take(8).map(|_| None)?,
            2 => {
                let len = self.varint()?;
                Some(self.take(len)?)
            }
            5 => self.take(4).map(|_| None)?,
            // Groups, which pprof never used, and numbers without a meaning.
            _ => return Err(Fault::Malformed),
        };
        Ok(Some(Field { number, payload }))
    }

    fn varint(&mut self) -> Result<u64, Fault> {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A sample type {1: 1, 2: 2}.
    const SAMPLE_TYPE: [u8; 6] = [0x0a, 4, 0x08, 1, 0x10, 2];

    fn after_sample_type(rest: &[u8], limit: u64) -> Result<(), ReadError> {
        census(&[&SAMPLE_TYPE, rest].concat(), limit)
    }

    #[test]
    fn text_is_no_profile() {
        for text in ["hello, world", "heap profile: 1: 2 [3: 4] @ heap/5", "{\"a\": 1}", "\n\n\n\n"] {
            assert!(matches!(census(text.as_bytes(), 1000), Err(ReadError::NotGzipOrPprof)), "{text}");
        }
    }

    #[test]
    fn a_cut_is_told_from_damage() {
        assert!(after_sample_type(&[], 1000).is_ok());
        assert!(matches!(after_sample_type(&[0x12, 5, 1], 1000), Err(ReadError::Truncated)));
        assert!(matches!(after_sample_type(&[0x80], 1000), Err(ReadError::Truncated)));
        assert!(matches!(after_sample_type(&[0x13], 1000), Err(ReadError::Inconsistent(_))));
        assert!(matches!(after_sample_type(&[0x00, 0], 1000), Err(ReadError::Inconsistent(_))));
        assert!(matches!(after_sample_type(&[0xff; 11], 1000), Err(ReadError::Inconsistent(_))));
    }

    #[test]
    fn empty_messages_are_paid_for_at_their_size_in_memory() {
        let samples = [0x12, 0].repeat(100);
        let size = 100 * size_of::<proto::Sample>() as u64;
        assert!(matches!(after_sample_type(&samples, size), Err(ReadError::TooLarge { .. })));
        assert!(after_sample_type(&samples, size + 100).is_ok());
    }

    #[test]
    fn messages_inside_messages_are_paid_for_too() {
        let labels = [&[0x12, 100][..], &[0x1a, 0].repeat(50)].concat();
        let size = 50 * size_of::<proto::Label>() as u64;
        assert!(matches!(after_sample_type(&labels, size), Err(ReadError::TooLarge { .. })));
    }
}
