//! How wide the terminal is.
#![allow(unsafe_code)] // the size of a terminal comes from ioctl

/// Narrower ones are treated as this wide.
const NARROWEST: usize = 60;

/// Columns of the terminal that stdout is: COLUMNS where it is set, else what the terminal says; `None` if unknown.
pub fn columns() -> Option<usize> {
    let set = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let columns: usize = set.or_else(asked)?;
    (columns > 0).then_some(columns.max(NARROWEST))
}

fn asked() -> Option<usize> {
    // SAFETY: a zeroed winsize is valid; the ioctl only writes into it, whatever stdout is.
    let size = unsafe {
        let mut size: libc::winsize = std::mem::zeroed();
        (libc::ioctl(libc::STDOUT_FILENO, libc::TIOCGWINSZ, &raw mut size) == 0).then_some(size)
    };
    size.map(|size| usize::from(size.ws_col))
}
