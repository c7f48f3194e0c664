//! One entry of a stack in one word: a native return address, a Java method with its bytecode index, or a marker.
//!
//! ```text
//!   bit 63 62   61    60 ............. 17   16 ....... 0
//!       0  0    return address (47 bits)
//!       1  0    wide   jmethodID >> 3, or    bci + 8
//!                      as it is where wide
//!       1  1    marker
//! ```
//! A Java frame is stored as the JVM gave it (jmethodID and bci) instead of an index into a table: the hook then
//! needs no look-up per frame, and the helper finds new ones by reading the depot, which only grows.

/// A frame in the depot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct FrameWord(pub u64);

/// What a [`FrameWord`] holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decoded {
    /// Return address in the target.
    Native(u64),
    /// A method of the JVM and the bytecode index in it (-3 for a native method).
    Java {
        /// The jmethodID.
        method: u64,
        /// Bytecode index; negative values are HotSpot's own.
        bci: i32,
    },
    /// A note in the stack's place.
    Marker(Marker),
}

/// A note in the stack's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marker {
    /// Frames towards the root are missing.
    Truncated = 1,
    /// The depot was full: the stack is not known.
    DepotFull = 2,
    /// A Java thread whose Java frames the JVM refused to give.
    JavaRefused = 3,
    /// A Java thread, before the helper was ready.
    JavaNotReady = 4,
}

impl Marker {
    /// The text shown in the frame's place.
    pub fn text(self) -> &'static str {
        match self {
            Marker::Truncated => "[truncated]",
            Marker::DepotFull => "[depot full]",
            Marker::JavaRefused => "[java frames refused by the JVM]",
            Marker::JavaNotReady => "[before java frames were ready]",
        }
    }
}

const JAVA: u64 = 0b10 << 62;
const MARKER: u64 = 0b11 << 62;
const TAG: u64 = 0b11 << 62;
const WIDE: u64 = 1 << 61;
const METHOD_BITS: u64 = (1 << 44) - 1;
const BCI_BITS: u32 = 17;
const BCI_BIAS: i32 = 8;

impl FrameWord {
    /// A native frame.
    pub fn native(return_address: u64) -> Self {
        Self(return_address & !TAG)
    }

    /// A Java frame. jmethodIDs are aligned pointers up to JDK 25 and small integers later: both fit.
    pub fn java(method: u64, bci: i32) -> Self {
        let bci = (bci.wrapping_add(BCI_BIAS) as u64) & ((1 << BCI_BITS) - 1);
        let method =
            if method & 7 == 0 { (method >> 3) & METHOD_BITS } else { WIDE >> BCI_BITS | (method & METHOD_BITS) };
        Self(JAVA | method << BCI_BITS | bci)
    }

    /// A marker.
    pub fn marker(marker: Marker) -> Self {
        Self(MARKER | marker as u64)
    }

    /// What the word holds; an unknown marker reads as [`Marker::Truncated`].
    pub fn decode(self) -> Decoded {
        match self.0 & TAG {
            JAVA => {
                let raw = (self.0 >> BCI_BITS) & METHOD_BITS;
                Decoded::Java {
                    method: if self.0 & WIDE != 0 { raw } else { raw << 3 },
                    bci: (self.0 & ((1 << BCI_BITS) - 1)) as i32 - BCI_BIAS,
                }
            }
            MARKER => Decoded::Marker(match self.0 & !TAG {
                2 => Marker::DepotFull,
                3 => Marker::JavaRefused,
                4 => Marker::JavaNotReady,
                _ => Marker::Truncated,
            }),
            _ => Decoded::Native(self.0),
        }
    }

    /// Whether this is a Java frame.
    pub fn is_java(self) -> bool {
        self.0 & TAG == JAVA
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_survives() {
        for (method, bci) in
            [(0x7f12_3456_7890, 0), (0x7f12_3456_7898, 65_535), (8, -3), (0x7fff_ffff_fff8, -1), (12_345, 7)]
        {
            assert_eq!(FrameWord::java(method, bci).decode(), Decoded::Java { method, bci });
        }
        assert_eq!(FrameWord::native(0x7fff_dead_beef).decode(), Decoded::Native(0x7fff_dead_beef));
        for marker in [Marker::Truncated, Marker::DepotFull, Marker::JavaRefused, Marker::JavaNotReady] {
            assert_eq!(FrameWord::marker(marker).decode(), Decoded::Marker(marker));
        }
    }
}
