//! Asking a running leakscope for a snapshot: the profile's bytes come back over the socket, so the file is written by
//! who asked, with the rights of who asked.

use crate::locate::CollectorAddress;
use anyhow::{Context, Result, bail};
use leakscope_session::handshake::{MESSAGE_BYTES, Message, Words};
use std::io::{self, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::time::Duration;

/// Longest silence of the collector: a snapshot in exact mode takes seconds.
const PATIENCE: Duration = Duration::from_secs(60);
/// A larger answer is not believed.
const MOST_BYTES: u64 = 1 << 30;

/// What came of asking.
pub enum Answer {
    /// The profile, as bytes of a file.
    Profile(Vec<u8>),
    /// Nobody listens any more.
    NobodyThere,
}

/// Asks the collector at `address` for a snapshot of process `pid`.
///
/// # Errors
/// The collector's refusal, or a broken connection.
pub fn ask(address: &CollectorAddress, pid: u32) -> Result<Answer> {
    let name = SocketAddr::from_abstract_name(&address.socket).context("the collector's address is damaged")?;
    let mut stream = match UnixStream::connect_addr(&name) {
        Ok(stream) => stream,
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return Ok(Answer::NobodyThere),
        Err(error) => return Err(error).context("cannot reach the leakscope that records"),
    };
    stream.set_read_timeout(Some(PATIENCE))?;
    let request = Message::Request { pid: u64::from(pid), path_bytes: 0 }.encode();
    let bytes: Vec<u8> = request.iter().flat_map(|word| word.to_le_bytes()).collect();
    stream.write_all(&bytes).context("cannot ask the leakscope that records")?;
    let Message::Reply { ok, text_bytes } = receive(&mut stream)? else {
        bail!("the leakscope that records gave an unexpected answer");
    };
    if text_bytes > MOST_BYTES {
        bail!("the answer has {text_bytes} bytes, more than any profile");
    }
    let mut answer = Vec::new();
    stream.take(text_bytes).read_to_end(&mut answer).context("the answer broke off")?;
    if answer.len() as u64 != text_bytes {
        bail!("the answer broke off");
    }
    if !ok {
        bail!("{}", String::from_utf8_lossy(&answer));
    }
    Ok(Answer::Profile(answer))
}

fn receive(stream: &mut UnixStream) -> Result<Message> {
    let mut bytes = [0; MESSAGE_BYTES];
    stream.read_exact(&mut bytes).context("the leakscope that records did not answer")?;
    let mut words: Words = Default::default();
    for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(8)) {
        *word = u64::from_le_bytes(chunk.try_into()?);
    }
    Message::decode(&words).context("the leakscope that records is of another version")
}
