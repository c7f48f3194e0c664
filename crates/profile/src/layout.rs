//! Where what lies in the bytes of a profile: is this pprof, is it whole, how much memory will reading it take?
//!
//! Two bytes of input can become a structure of 72, so a limit on the size of the input does not bound the memory of
//! its reader. [`Layout::of`] finds the messages of a file and adds up what [`crate::decode`] makes of them; for files
//! of other tools, which `prost` decodes, [`census`] adds up what that allocates. Both tell a file that was cut off
//! from one that never was a profile, which the errors of a decoder do not.

use crate::error::{Inconsistent, ReadError};
use crate::model;
use crate::proto;
use crate::wire::{Fault, Field, Fields, Value};

/// The parts of a file, none of them decoded.
#[derive(Debug, Default)]
pub(crate) struct Layout<'a> {
    pub(crate) samples: Vec<&'a [u8]>,
    pub(crate) mappings: Vec<&'a [u8]>,
    pub(crate) locations: Vec<&'a [u8]>,
    pub(crate) functions: Vec<&'a [u8]>,
    pub(crate) strings: Vec<&'a [u8]>,
    pub(crate) time_nanos: i64,
    pub(crate) extension: Option<&'a [u8]>,
}

impl<'a> Layout<'a> {
    /// That of the fields of a `Profile` which takes at most `limit_bytes` of memory if it is one of ours.
    ///
    /// # Errors
    /// `NotGzipOrPprof`, `Truncated`, `Inconsistent` or `TooLarge`.
    pub(crate) fn of(bytes: &'a [u8], limit_bytes: u64) -> Result<Self, ReadError> {
        let mut layout = Self::default();
        each_field(bytes, limit_bytes, |field| {
            let cost = own_cost(&field);
            layout.note(field)?;
            Ok(cost)
        })?;
        Ok(layout)
    }

    fn note(&mut self, field: Field<'a>) -> Result<(), Fault> {
        let list = match field.number {
            2 => &mut self.samples,
            3 => &mut self.mappings,
            4 => &mut self.locations,
            5 => &mut self.functions,
            6 => &mut self.strings,
            9 => {
                self.time_nanos = field.value.number()? as i64;
                return Ok(());
            }
            proto::EXTENSION_FIELD => {
                self.extension = Some(field.value.bytes()?);
                return Ok(());
            }
            _ => return Ok(()),
        };
        list.push(field.value.bytes()?);
        Ok(())
    }
}

/// Checks that a file of another tool decodes to at most `limit_bytes` of memory.
///
/// # Errors
/// As those of [`Layout::of`].
pub(crate) fn census(bytes: &[u8], limit_bytes: u64) -> Result<(), ReadError> {
    each_field(bytes, limit_bytes, |field| cost(&field))
}

/// Looks at every field of a `Profile` and adds up what `cost` says of each.
fn each_field<'a>(
    bytes: &'a [u8],
    limit_bytes: u64,
    mut cost: impl FnMut(Field<'a>) -> Result<u64, Fault>,
) -> Result<(), ReadError> {
    let mut fields = Fields::new(bytes);
    let (mut memory, mut recognized) = (0u64, false);
    let wrong = |fault, recognized: bool| match fault {
        // Before the first field of a pprof file anything can be anything.
        _ if !recognized => ReadError::NotGzipOrPprof,
        Fault::CutOff => ReadError::Truncated,
        Fault::Malformed => Inconsistent::from(fault).into(),
    };
    while let Some(field) = fields.next().map_err(|fault| wrong(fault, recognized))? {
        recognized |= is_sample_type(&field);
        // Its length is right: what is cut off inside it is damage.
        let more = cost(field).map_err(|_| wrong(Fault::Malformed, recognized))?;
        memory = memory.saturating_add(more);
        if memory > limit_bytes {
            return Err(ReadError::TooLarge { what: "its contents", limit_bytes });
        }
    }
    if recognized { Ok(()) } else { Err(ReadError::NotGzipOrPprof) }
}

/// Whether this is field 1 of pprof, which its writers put first: one or two varints, numbered 1 and 2.
fn is_sample_type(field: &Field) -> bool {
    let Field { number: 1, value: Value::Bytes(payload) } = field else { return false };
    let mut inner = Fields::new(payload);
    loop {
        match inner.next() {
            Ok(Some(Field { number: 1 | 2, value: Value::Varint(_) })) => {}
            Ok(None) => return true,
            _ => return false,
        }
    }
}

/// Bytes of memory that a field of one of our own files may take: its place in the layout and what becomes of it.
fn own_cost(field: &Field) -> u64 {
    let Value::Bytes(payload) = field.value else { return 0 };
    let len = payload.len() as u64;
    let with = |size: usize| (size_of::<&[u8]>() + size) as u64;
    match field.number {
        // Each byte may be a frame.
        2 => with(0) + len * size_of::<model::FrameId>() as u64,
        3 => with(size_of::<model::Module>()),
        4 => with(size_of::<model::Frame>()),
        5 => with(size_of::<model::Function>()),
        6 => with(0),
        // A row or stack of 112 bytes has at least four columns of eight bytes; the most that other fields take is a
        // command or a loss of two bytes, which becomes a text of 24 or a map entry of 32.
        proto::EXTENSION_FIELD => len.saturating_mul(16),
        _ => 0,
    }
}

/// Bytes of memory that decoding one field of `Profile` by `prost` allocates.
fn cost(field: &Field) -> Result<u64, Fault> {
    let Value::Bytes(payload) = field.value else { return Ok(8) };
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
        _ => 0,
    })
}

/// Memory of the message's fields: `size` for each one numbered `message`, 8 for each number or packed byte.
fn inner(payload: &[u8], message: u32, size: usize) -> Result<u64, Fault> {
    let mut fields = Fields::new(payload);
    let mut memory = 0;
    while let Some(field) = fields.next()? {
        memory += match field.value {
            Value::Bytes(_) if field.number == message => size as u64,
            Value::Bytes(payload) => payload.len() as u64 * 8,
            _ => 8,
        };
    }
    Ok(memory)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sample type {1: 1, 2: 2}.
    const SAMPLE_TYPE: [u8; 6] = [0x0a, 4, 0x08, 1, 0x10, 2];

    /// Both looks at a file, which must agree on what is wrong with it.
    fn look(bytes: &[u8], limit: u64) -> Result<(), ReadError> {
        let layout = Layout::of(bytes, limit).map(|_| ());
        let census = census(bytes, limit);
        assert_eq!(layout.as_ref().err().map(ToString::to_string), census.as_ref().err().map(ToString::to_string));
        census
    }

    fn after_sample_type(rest: &[u8]) -> Result<(), ReadError> {
        look(&[&SAMPLE_TYPE, rest].concat(), 1000)
    }

    #[test]
    fn text_is_no_profile() {
        for text in ["hello, world", "heap profile: 1: 2 [3: 4] @ heap/5", "{\"a\": 1}", "\n\n\n\n"] {
            assert!(matches!(look(text.as_bytes(), 1000), Err(ReadError::NotGzipOrPprof)), "{text}");
        }
    }

    #[test]
    fn a_cut_is_told_from_damage() {
        assert!(after_sample_type(&[]).is_ok());
        assert!(matches!(after_sample_type(&[0x12, 5, 1]), Err(ReadError::Truncated)));
        assert!(matches!(after_sample_type(&[0x80]), Err(ReadError::Truncated)));
        assert!(matches!(after_sample_type(&[0x13]), Err(ReadError::Inconsistent(_))));
        assert!(matches!(after_sample_type(&[0x00, 0]), Err(ReadError::Inconsistent(_))));
        assert!(matches!(after_sample_type(&[0xff; 11]), Err(ReadError::Inconsistent(_))));
    }

    #[test]
    fn empty_messages_are_paid_for_at_their_size_in_memory() {
        let samples = [&SAMPLE_TYPE[..], &[0x12, 0].repeat(100)].concat();
        let size = 100 * size_of::<proto::Sample>() as u64;
        assert!(matches!(census(&samples, size), Err(ReadError::TooLarge { .. })));
        assert!(census(&samples, size + 100).is_ok());
        let functions = [&SAMPLE_TYPE[..], &[0x2a, 0].repeat(100)].concat();
        let size = 100 * (size_of::<model::Function>() + 16) as u64;
        assert!(matches!(Layout::of(&functions, size - 1), Err(ReadError::TooLarge { .. })));
        assert!(Layout::of(&functions, size).is_ok());
    }

    #[test]
    fn messages_inside_messages_are_paid_for_too() {
        let labels = [&SAMPLE_TYPE[..], &[0x12, 100], &[0x1a, 0].repeat(50)].concat();
        let size = 50 * size_of::<proto::Label>() as u64;
        assert!(matches!(census(&labels, size), Err(ReadError::TooLarge { .. })));
    }
}
