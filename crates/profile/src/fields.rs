//! Protobuf written field by field, so that a file is never in memory as a whole.
//!
//! `prost` encodes the small messages; the large parts, lists of messages and columns of numbers, go out as they are
//! made.

use std::io::{self, Write};

use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};

/// Bytes gathered before they are passed on.
const CHUNK: usize = 32 << 10;

/// The fields of one message, on their way to `out`.
pub(crate) struct FieldWriter<'o, W: Write> {
    out: &'o mut W,
    waiting: Vec<u8>,
}

impl<'o, W: Write> FieldWriter<'o, W> {
    /// Nothing written yet.
    pub(crate) fn new(out: &'o mut W) -> Self {
        Self { out, waiting: Vec::with_capacity(CHUNK * 2) }
    }

    /// Passes on what waits.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.pass_on(0)
    }

    /// A number; 0 is left out, as protobuf does.
    pub(crate) fn number(&mut self, field: u32, value: i64) -> io::Result<()> {
        if value != 0 {
            encode_key(field, WireType::Varint, &mut self.waiting);
            encode_varint(value as u64, &mut self.waiting);
        }
        self.pass_on(CHUNK)
    }

    /// A text or bytes, empty ones too.
    pub(crate) fn bytes(&mut self, field: u32, value: &[u8]) -> io::Result<()> {
        self.length(field, value.len());
        self.waiting.extend_from_slice(value);
        self.pass_on(CHUNK)
    }

    /// A message.
    pub(crate) fn message(&mut self, field: u32, message: &impl Message) -> io::Result<()> {
        encode_key(field, WireType::LengthDelimited, &mut self.waiting);
        // Its one error is a lack of room, which a vector does not know.
        message.encode_length_delimited(&mut self.waiting).map_err(io::Error::other)?;
        self.pass_on(CHUNK)
    }

    /// The beginning of a message of `length` bytes, whose fields follow.
    pub(crate) fn begin(&mut self, field: u32, length: usize) {
        self.length(field, length);
    }

    /// Fields that are encoded already.
    pub(crate) fn encoded(&mut self, fields: &[u8]) -> io::Result<()> {
        self.waiting.extend_from_slice(fields);
        self.pass_on(CHUNK)
    }

    /// A column: one number of each item, packed. Without items it is left out.
    pub(crate) fn column<T>(&mut self, column: &Column<T>, items: &[T]) -> io::Result<()> {
        if items.is_empty() {
            return Ok(());
        }
        self.length(column.field, column.payload_len(items));
        for item in items {
            match column.number {
                Number::Whole(of) => encode_varint(of(item), &mut self.waiting),
                Number::Real(of) => self.waiting.extend_from_slice(&of(item).to_le_bytes()),
            }
            self.pass_on(CHUNK)?;
        }
        Ok(())
    }

    fn length(&mut self, field: u32, length: usize) {
        encode_key(field, WireType::LengthDelimited, &mut self.waiting);
        encode_varint(length as u64, &mut self.waiting);
    }

    fn pass_on(&mut self, unless_below: usize) -> io::Result<()> {
        if self.waiting.len() >= unless_below.max(1) {
            self.out.write_all(&self.waiting)?;
            self.waiting.clear();
        }
        Ok(())
    }
}

/// One number of each item of a list.
pub(crate) struct Column<T> {
    /// Its field in the message of columns.
    pub(crate) field: u32,
    /// Which number.
    pub(crate) number: Number<T>,
}

/// How a column gets its number from an item.
pub(crate) enum Number<T> {
    /// A varint.
    Whole(fn(&T) -> u64),
    /// Eight bytes.
    Real(fn(&T) -> f64),
}

impl<T> Column<T> {
    /// Bytes of the whole field.
    pub(crate) fn len(&self, items: &[T]) -> usize {
        if items.is_empty() {
            return 0;
        }
        let payload = self.payload_len(items);
        key_len(self.field) + encoded_len_varint(payload as u64) + payload
    }

    fn payload_len(&self, items: &[T]) -> usize {
        match self.number {
            Number::Whole(of) => items.iter().map(|item| encoded_len_varint(of(item))).sum(),
            Number::Real(_) => items.len() * 8,
        }
    }
}
