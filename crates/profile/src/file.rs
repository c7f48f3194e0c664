//! Profiles as bytes: gzip around pprof, and the limits on what reading may cost.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;
use prost::Message;

use crate::error::{Inconsistent, ReadError, WriteError};
use crate::extension::{Extension, VERSION, Version};
use crate::layout::{Layout, census};
use crate::model::Profile;
use crate::strings::Strings;
use crate::{decode, encode, foreign, proto};

/// What reading one profile may cost. The memory it takes at its worst is a small multiple of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Size of the file and of what it unpacks to, bytes.
    pub unpacked_bytes: u64,
    /// Memory of the decoded messages, and of the texts copied out of them, bytes.
    pub decoded_bytes: u64,
}

impl Default for Limits {
    /// 256 MiB unpacked and 512 MiB decoded: a hundred times what 20,000 stacks take.
    fn default() -> Self {
        Self { unpacked_bytes: 256 << 20, decoded_bytes: 512 << 20 }
    }
}

/// Writes a profile as gzipped pprof. Equal profiles give equal bytes.
///
/// # Errors
/// The profile contradicts itself (nothing is written), or `out` fails.
pub fn write(profile: &Profile, out: &mut impl Write) -> Result<(), WriteError> {
    // Before the encoder, which would write a header and a trailer.
    profile.check()?;
    let mut gzip = GzEncoder::new(out, Compression::default());
    encode::encode(profile, &mut gzip)?;
    gzip.finish()?.flush()?;
    Ok(())
}

/// Reads a profile from gzipped or plain pprof.
///
/// Our own files come back exactly as they were. In a file of another tool, what it says of live memory becomes rows
/// of epoch 0; its session id is all zero and its error bars are reckoned from its sampling interval.
///
/// # Errors
/// See [`ReadError`]; whatever the bytes are, this returns.
pub fn read(bytes: &[u8]) -> Result<Profile, ReadError> {
    read_with(bytes, &Limits::default())
}

/// [`read`] with limits of one's own.
///
/// # Errors
/// See [`ReadError`].
pub fn read_with(bytes: &[u8], limits: &Limits) -> Result<Profile, ReadError> {
    let unpacked;
    let bytes = if bytes.starts_with(&[0x1f, 0x8b]) {
        unpacked = gunzip(bytes, limits.unpacked_bytes)?;
        &unpacked
    } else {
        bytes
    };
    if bytes.is_empty() {
        return Err(ReadError::Empty);
    }
    if bytes.len() as u64 > limits.unpacked_bytes {
        return Err(too_large(limits.unpacked_bytes));
    }
    let layout = Layout::of(bytes, limits.decoded_bytes)?;
    let strings = Strings::new(&layout.strings, limits.decoded_bytes);
    let profile = match layout.extension {
        Some(extension) => {
            let head = head(extension)?;
            decode::decode(&layout, head, extension, strings?)?
        }
        None => {
            census(bytes, limits.decoded_bytes)?;
            let file = proto::Profile::decode(bytes).map_err(|error| Inconsistent::new(error.to_string()))?;
            foreign::decode(&file, strings?)?
        }
    };
    profile.check()?;
    Ok(profile)
}

/// Reads the profile in a file.
///
/// # Errors
/// See [`ReadError`].
pub fn load(path: &Path) -> Result<Profile, ReadError> {
    let limits = Limits::default();
    let file = File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => ReadError::NotFound(path.to_owned()),
        _ => ReadError::Io(error),
    })?;
    // Its metadata is a hint: a pipe or a device has no size and no end.
    let expected = file.metadata().map_or(0, |file| file.len());
    let bytes = take(BufReader::new(file), limits.unpacked_bytes, expected)??;
    read_with(&bytes, &limits)
}

/// The extension without its columns.
fn head(bytes: &[u8]) -> Result<Extension, ReadError> {
    let damaged = |error: prost::DecodeError| Inconsistent::new(format!("leakscope's part of it: {error}"));
    let Version { version } = Version::decode(bytes).map_err(damaged)?;
    match version {
        0 => Err(Inconsistent::new("leakscope's part of it has no version").into()),
        1..=VERSION => Ok(Extension::decode(bytes).map_err(damaged)?),
        found => Err(ReadError::NewerVersion { found, supported: VERSION }),
    }
}

fn gunzip(bytes: &[u8], limit: u64) -> Result<Vec<u8>, ReadError> {
    take(MultiGzDecoder::new(bytes), limit, said_size(bytes)).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => ReadError::Truncated,
        _ => Inconsistent::new(format!("the compressed data: {error}")).into(),
    })?
}

/// What a gzipped file says that it unpacks to, as far as that can be: deflate makes at most 1,032 of one.
fn said_size(bytes: &[u8]) -> u64 {
    let last = bytes.last_chunk::<4>().map_or(0, |size| u32::from_le_bytes(*size));
    u64::from(last).min(bytes.len() as u64 * 1032)
}

/// All of a reader, unless it is more than `limit` bytes.
/// `expected` is what it is thought to be.
fn take(reader: impl Read, limit: u64, expected: u64) -> io::Result<Result<Vec<u8>, ReadError>> {
    // One more, so that the end is found without growing.
    let mut bytes = Vec::with_capacity(expected.min(limit) as usize + 1);
    reader.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(if bytes.len() as u64 > limit { Err(too_large(limit)) } else { Ok(bytes) })
}

fn too_large(limit_bytes: u64) -> ReadError {
    ReadError::TooLarge { what: "its size", limit_bytes }
}
