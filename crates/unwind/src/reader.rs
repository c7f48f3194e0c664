//! Reading a table that may be corrupt: every read says whether it could be done, none reads outside, none panics.
//!
//! A [`Region`] is bytes together with the address they have in the process; a [`Reader`] is a position in one.
//! Addresses are computed with wrapping arithmetic and then checked against the region, so that no value that a
//! table can contain leads anywhere else.

#![forbid(unsafe_code)]

/// Bytes that lie at a known address.
#[derive(Clone, Copy)]
pub struct Region<'a> {
    bytes: &'a [u8],
    start: usize,
}

impl<'a> Region<'a> {
    /// The bytes that lie at `start`.
    pub const fn new(bytes: &'a [u8], start: usize) -> Region<'a> {
        Region { bytes, start }
    }

    /// Address of the first byte.
    pub const fn start(&self) -> usize {
        self.start
    }

    /// A reader at `address`; `None` outside of the region.
    pub fn reader_at(&self, address: usize) -> Option<Reader<'a>> {
        let rest = self.bytes.get(address.wrapping_sub(self.start)..)?;
        Some(Reader { rest, at: address })
    }
}

/// A position in a [`Region`].
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
    at: usize,
}

/// How a pointer in a table is written (Linux Standard Base, DWARF extensions).
mod encoding {
    pub const FORMAT: u8 = 0x0f;
    pub const ABSOLUTE: u8 = 0x00;
    pub const ULEB128: u8 = 0x01;
    pub const UDATA2: u8 = 0x02;
    pub const UDATA4: u8 = 0x03;
    pub const UDATA8: u8 = 0x04;
    pub const SLEB128: u8 = 0x09;
    pub const SDATA2: u8 = 0x0a;
    pub const SDATA4: u8 = 0x0b;
    pub const SDATA8: u8 = 0x0c;
    pub const RELATION: u8 = 0xf0;
    pub const PC_RELATIVE: u8 = 0x10;
    pub const DATA_RELATIVE: u8 = 0x30;
}

impl<'a> Reader<'a> {
    /// Address of the next byte.
    pub const fn address(&self) -> usize {
        self.at
    }

    /// Whether nothing is left.
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next `count` bytes as a reader of their own; this one goes on after them.
    pub fn split(&mut self, count: usize) -> Option<Reader<'a>> {
        let (head, rest) = self.rest.split_at_checked(count)?;
        let part = Reader { rest: head, at: self.at };
        *self = Reader { rest, at: self.at.wrapping_add(count) };
        Some(part)
    }

    /// The next `count` bytes.
    pub fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        Some(self.split(count)?.rest)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.rest.split_first_chunk::<N>()?;
        *self = Reader { rest, at: self.at.wrapping_add(N) };
        Some(*head)
    }

    /// The next byte.
    pub fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// The next 2 bytes, little-endian.
    pub fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    /// The next 4 bytes, little-endian.
    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// The next 8 bytes, little-endian.
    pub fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// An unsigned LEB128 number. `None` if it is longer than ten bytes; bits beyond 64 are lost.
    pub fn uleb(&mut self) -> Option<u64> {
        self.leb().map(|(value, _, _)| value)
    }

    /// A signed LEB128 number. `None` if it is longer than ten bytes.
    pub fn sleb(&mut self) -> Option<i64> {
        let (value, bits, last) = self.leb()?;
        let negative = last & 0x40 != 0 && bits < 64;
        let sign = if negative { u64::MAX.wrapping_shl(bits) } else { 0 };
        Some((value | sign).cast_signed())
    }

    /// (value, bits read, last byte).
    fn leb(&mut self) -> Option<(u64, u32, u8)> {
        let mut value = 0_u64;
        for bits in (0..70).step_by(7) {
            let byte = self.u8()?;
            value |= u64::from(byte & 0x7f).checked_shl(bits).unwrap_or(0);
            if byte & 0x80 == 0 {
                return Some((value, bits.wrapping_add(7), byte));
            }
        }
        None
    }

    /// A string that ends in a zero byte, without it.
    pub fn string(&mut self) -> Option<&'a [u8]> {
        let length = self.rest.iter().position(|byte| *byte == 0)?;
        let string = self.bytes(length)?;
        self.u8()?;
        Some(string)
    }

    /// A value in the format of `how`, its relation ignored: lengths of code ranges are written so.
    pub fn value(&mut self, how: u8) -> Option<usize> {
        let value = match how & encoding::FORMAT {
            encoding::ABSOLUTE | encoding::UDATA8 | encoding::SDATA8 => self.u64()?,
            encoding::ULEB128 => self.uleb()?,
            encoding::UDATA2 => self.u16()?.into(),
            encoding::UDATA4 => self.u32()?.into(),
            encoding::SLEB128 => self.sleb()?.cast_unsigned(),
            encoding::SDATA2 => i64::from(self.u16()?.cast_signed()).cast_unsigned(),
            encoding::SDATA4 => i64::from(self.u32()?.cast_signed()).cast_unsigned(),
            _ => return None,
        };
        Some(value as usize)
    }

    /// A pointer written as `how` says; `data` is what data-relative ones count from. `None` for indirect,
    /// aligned, text- and function-relative pointers, which no x86-64 linker writes here.
    pub fn pointer(&mut self, how: u8, data: usize) -> Option<usize> {
        let base = match how & encoding::RELATION {
            0 => 0,
            encoding::PC_RELATIVE => self.at,
            encoding::DATA_RELATIVE => data,
            _ => return None,
        };
        Some(self.value(how)?.wrapping_add(base))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(bytes: &[u8]) -> Reader<'_> {
        Region::new(bytes, 0x1000).reader_at(0x1000).unwrap()
    }

    #[test]
    fn leb128_examples_of_the_dwarf_standard() {
        assert_eq!(reader(&[0xe5, 0x8e, 0x26]).uleb(), Some(624_485));
        assert_eq!(reader(&[0x80, 0x7f]).sleb(), Some(-128));
        assert_eq!(reader(&[0x7f]).sleb(), Some(-1));
        assert_eq!(reader(&[0xff, 0x00]).sleb(), Some(127));
        let lowest = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x7f];
        assert_eq!(reader(&lowest).sleb(), Some(i64::MIN));
        assert_eq!(reader(&[0x80; 11]).uleb(), None, "longer than any number");
        assert_eq!(reader(&[0x80]).uleb(), None, "cut off");
    }

    #[test]
    fn pointers_follow_their_encoding_and_wrap() {
        assert_eq!(reader(&[0xfc, 0xff, 0xff, 0xff]).pointer(0x1b, 0), Some(0xffc), "pc-relative, signed 4 bytes");
        assert_eq!(reader(&[8, 0, 0, 0]).pointer(0x3b, 0x2000), Some(0x2008), "data-relative");
        assert_eq!(reader(&[8, 0, 0, 0]).pointer(0x9b, 0), None, "indirect");
    }

    #[test]
    fn nothing_outside_can_be_read() {
        let region = Region::new(&[1, 2, 3], 0x1000);
        assert!(region.reader_at(0xfff).is_none());
        assert!(region.reader_at(0x1004).is_none());
        assert!(region.reader_at(0x1003).is_some_and(|r| r.is_empty()));
        assert_eq!(reader(&[1, 2, 3]).u32(), None);
    }
}
