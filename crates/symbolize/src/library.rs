//! How a library is called where no function name is known, the same in every run.
//!
//! Java libraries unpack their native half into a file with a random name at each start
//! (`/tmp/librocksdbjni1323344.so`). Left as they are, no two runs would agree on a site. Version numbers must survive:
//! they are what a person looks for.

/// The name of code without a symbol: `libz.so.1.2.13+0x1a2b`.
///
/// `svma` is the ELF virtual address that was looked up.
pub fn unsymbolized_name(path: &str, svma: u64) -> String {
    format!("{}+{svma:#x}", library_name(path))
}

/// The file name of a library with what is random in it replaced by `*`: `librocksdbjni*.so`.
///
/// Random are: a UUID; a run of 12 digits or more anywhere; a run of 6 or more right before `.so`, `.tmp` or the end,
/// except what may be a date (8 digits from 1990 to 2099) of a library that is not in a directory for temporary files.
/// What stands after `.so.` is a version and is kept.
pub fn library_name(path: &str) -> String {
    let path = path.strip_suffix(" (deleted)").unwrap_or(path);
    let (directory, file) = path.rsplit_once('/').unwrap_or(("", path));
    let stem_len = stem_len(file);
    let (stem, suffix) = file.split_at(stem_len);
    let stem = without_uuids(stem);
    let dates = if is_temporary(directory) { Dates::Random } else { Dates::Kept };
    format!("{}{suffix}", without_random_digits(&stem, dates))
}

#[derive(Clone, Copy, PartialEq)]
enum Dates {
    Kept,
    Random,
}

/// Bytes before `.so`, `.so.VERSION` or `.tmp`.
fn stem_len(file: &str) -> usize {
    let versioned = file.find(".so.");
    let plain = [".so", ".tmp"].iter().find_map(|suffix| file.strip_suffix(suffix).map(str::len));
    versioned.or(plain).unwrap_or(file.len())
}

fn is_temporary(directory: &str) -> bool {
    directory == "/dev/shm"
        || directory.split('/').any(|part| {
            let part = part.to_ascii_lowercase();
            part == "tmp" || part == "temp" || part.starts_with("tmp-") || part.starts_with("temp-")
        })
}

fn without_uuids(stem: &str) -> String {
    const DASHES: [usize; 4] = [8, 13, 18, 23];
    const LEN: usize = 36;
    let is_uuid = |bytes: &[u8]| {
        bytes.iter().enumerate().all(|(i, b)| match b {
            b'-' => DASHES.contains(&i),
            _ => b.is_ascii_hexdigit() && !DASHES.contains(&i),
        })
    };
    let start = stem.as_bytes().windows(LEN).position(is_uuid);
    match start {
        // Only ASCII was matched, so both ends are character boundaries.
        Some(start) => format!("{}*{}", &stem[..start], without_uuids(&stem[start + LEN..])),
        None => stem.to_owned(),
    }
}

fn without_random_digits(stem: &str, dates: Dates) -> String {
    let mut out = String::new();
    let mut rest = stem;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, tail) = rest.split_at(start);
        let len = tail.bytes().take_while(u8::is_ascii_digit).count();
        let (mut digits, after) = tail.split_at(len);
        out.push_str(before);
        if let Some(random) = digits.strip_prefix("64")
            && (out.ends_with("x86_") || out.ends_with("aarch_"))
        {
            // libnetty_transport_native_epoll_x86_64 + random digits
            out.push_str("64");
            digits = random;
        }
        let is_random = digits.len() >= 12
            || (after.is_empty() && digits.len() >= 6 && !(dates == Dates::Kept && may_be_date(digits)));
        out.push_str(if is_random { "*" } else { digits });
        rest = after;
    }
    out.push_str(rest);
    out
}

fn may_be_date(digits: &str) -> bool {
    let number = |range| digits.get(range).and_then(|d: &str| d.parse::<u32>().ok());
    digits.len() == 8
        && number(0..4).is_some_and(|year| (1990..2100).contains(&year))
        && number(4..6).is_some_and(|month| (1..=12).contains(&month))
        && number(6..8).is_some_and(|day| (1..=31).contains(&day))
}

#[cfg(test)]
mod tests {
    use super::{library_name, unsymbolized_name};

    #[test]
    fn versions_stay_and_random_parts_go() {
        for (path, expected) in [
            ("/lib/x86_64-linux-gnu/libz.so.1.2.13", "libz.so.1.2.13"),
            ("/usr/lib/libabsl_base.so.20220623", "libabsl_base.so.20220623"),
            ("/usr/lib/libfoo-20230125.so", "libfoo-20230125.so"),
            ("/tmp/libfoo-20230125.so", "libfoo-*.so"),
            ("/usr/lib/libfoo-20239925.so", "libfoo-*.so"),
            ("/usr/lib/libpython3.11.so.1.0", "libpython3.11.so.1.0"),
            ("/tmp/librocksdbjni13233445566778899.so", "librocksdbjni*.so"),
            ("/tmp/librocksdbjni132334.so (deleted)", "librocksdbjni*.so"),
            ("/tmp/libzstd-jni-1.5.5-1123456789012.so", "libzstd-jni-1.5.5-*.so"),
            ("/tmp/libnetty_transport_native_epoll_x86_641234567890.so", "libnetty_transport_native_epoll_x86_64*.so"),
            ("/opt/libnetty_epoll_x86_64.so", "libnetty_epoll_x86_64.so"),
            (
                "/tmp/snappy-1.1.8-0a1b2c3d-1234-5678-9abc-def012345678-libsnappyjava.so",
                "snappy-1.1.8-*-libsnappyjava.so",
            ),
            ("/tmp/jna-3506402/jna9041421234.tmp", "jna*.tmp"),
            ("/opt/lib/libhdf5-10300.so", "libhdf5-10300.so"),
            ("/opt/lib/lib-1700000000000-x.so", "lib-*-x.so"),
            ("[vdso]", "[vdso]"),
            ("/tmp/größe1234567.so", "größe*.so"),
            ("", ""),
        ] {
            assert_eq!(library_name(path), expected, "{path}");
        }
        assert_eq!(unsymbolized_name("/lib/libz.so.1.2.13", 0x1a2b), "libz.so.1.2.13+0x1a2b");
    }
}
