//! Names without the parts that change from run to run, so that a site keeps its identity.
//!
//! Two strengths. *Shown* names lose what is random or a counter of the running process: extracted libraries
//! (`librocksdbjni1323.so`), lambda and hidden classes, proxies, generated accessors. *Key* names lose, besides,
//! what shifts when unrelated source code is edited: the number of a lambda's method, compiler clones.

use std::borrow::Cow;

/// Shortest run of digits in a library's name that is taken for random; versions (`libLLVM-14.so`) are shorter.
const RANDOM_DIGITS: usize = 4;

/// The file name of a library's path, with random digits and UUIDs replaced: `/tmp/librocksdbjni1323.so` is
/// `librocksdbjni*.so`.
pub fn library_name(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    if name.starts_with('[') {
        return name.to_owned();
    }
    let mut shown = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(c) = rest.chars().next() {
        if let Some(after) = after_uuid(rest) {
            shown.push('*');
            rest = after;
            continue;
        }
        let digits = digits_at(rest);
        if digits >= RANDOM_DIGITS {
            shown.push('*');
            rest = &rest[digits..];
        } else {
            let step = digits.max(c.len_utf8());
            shown.push_str(&rest[..step]);
            rest = &rest[step..];
        }
    }
    shown
}

/// A native function as shown: an unsymbolized one (`librocksdbjni1323.so+0x1a`) gets its library's shown name, a
/// C++ string the name that its user wrote.
pub fn native_name(name: &str) -> Cow<'_, str> {
    match name.rsplit_once("+0x") {
        Some((library, offset)) if offset.bytes().all(|b| b.is_ascii_hexdigit()) => {
            Cow::Owned(format!("{}+0x{offset}", library_name(library)))
        }
        _ if name.contains("std::__cxx11::") => Cow::Owned(
            name.replace(
                "std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >",
                "std::string",
            )
            .replace("std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char>>", "std::string")
            .replace("std::__cxx11::", "std::"),
        ),
        _ => Cow::Borrowed(name),
    }
}

/// A Java function as shown: `com.acme.Foo$$Lambda$14/0x0800c8.run` is `com.acme.Foo$$Lambda.run`.
pub fn java_name(name: &str) -> Cow<'_, str> {
    if !name.contains(['$', '/']) && !name.contains("Generated") && !name.contains("0x") {
        return Cow::Borrowed(name);
    }
    let mut shown = without_hidden_class_suffix(name);
    for counter in COUNTERS {
        shown = without_counter(&shown, counter);
    }
    Cow::Owned(shown)
}

/// Words that a counter of the running process follows directly. `$$` counters of class generators are hexadecimal.
const COUNTERS: [&str; 11] = [
    "$$Lambda$",
    "$$Lambda",
    "$Proxy",
    "jdk.proxy",
    "GeneratedMethodAccessor",
    "GeneratedConstructorAccessor",
    "GeneratedSerializationConstructorAccessor",
    "BySpringCGLIB$$",
    "$$SpringCGLIB$$",
    "$ByteBuddy$",
    "$MockitoMock$",
];

/// A shown name without what an edit elsewhere in the source changes: `Foo.lambda$run$3` is `Foo.lambda$run`,
/// `grow.isra.0` is `grow`, a Rust hash goes.
pub fn key_name(shown: &str, is_java: bool) -> Cow<'_, str> {
    if is_java {
        let lambda = shown.contains(".lambda$") || shown.contains("$anonfun$");
        return match shown.rsplit_once('$') {
            Some((head, digits)) if lambda && all_digits(digits) => Cow::Borrowed(head),
            _ => Cow::Borrowed(shown),
        };
    }
    let mut name = shown;
    if let Some((head, hash)) = name.rsplit_once("::h")
        && hash.len() == 16
        && hash.bytes().all(|b| b.is_ascii_hexdigit())
    {
        name = head;
    }
    for clone in [" [clone ", ".isra.", ".constprop.", ".part.", ".lto_priv.", ".llvm.", ".cold"] {
        if let Some(at) = name.find(clone) {
            name = &name[..at];
        }
    }
    Cow::Borrowed(name)
}

/// Whether a Java function only passes a call on: reflection and method handles, of which the JVM makes another chain after
/// some calls, and in another version.
pub(crate) fn is_plumbing(shown: &str) -> bool {
    const PLUMBING: [&str; 5] =
        ["java.lang.invoke.", "java.lang.reflect.", "jdk.internal.reflect.", "sun.reflect.", "jdk.internal.vm."];
    PLUMBING.iter().any(|package| shown.starts_with(package))
}

/// Drops `/0x0800c8`, `.0x0800c8`, `+0x0800c8` and `/1234567` where they follow a class name.
fn without_hidden_class_suffix(name: &str) -> String {
    let mut shown = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(at) = rest.find(['/', '.', '+']) {
        let tail = &rest[at + 1..];
        let slash = rest.as_bytes()[at] == b'/';
        let length = match tail.strip_prefix("0x") {
            Some(hex) => 2 + hex.bytes().take_while(u8::is_ascii_hexdigit).count(),
            None if slash => digits_at(tail),
            None => 0,
        };
        if length > 2 || (slash && length > 0) {
            shown.push_str(&rest[..at]);
        } else {
            shown.push_str(&rest[..=at]);
        }
        let skip = if length > 2 || (slash && length > 0) { length } else { 0 };
        rest = &tail[skip..];
    }
    shown.push_str(rest);
    shown
}

/// Drops the counter after each `word`, and the `$`s that only separated it.
fn without_counter(name: &str, word: &str) -> String {
    let Some(at) = name.find(word) else { return name.to_owned() };
    let head = &name[..at + word.len()];
    let tail = &name[at + word.len()..];
    let hexadecimal = word.ends_with('$') && !word.ends_with("Lambda$");
    let digits =
        tail.bytes().take_while(|b| if hexadecimal { b.is_ascii_alphanumeric() } else { b.is_ascii_digit() }).count();
    if digits == 0 {
        return name.to_owned();
    }
    format!("{}{}", head.trim_end_matches('$'), without_counter(&tail[digits..], word))
}

fn digits_at(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

fn all_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// What follows a UUID at the start of `text`.
fn after_uuid(text: &str) -> Option<&str> {
    let bytes = text.as_bytes().get(..36)?;
    let is_uuid = bytes.iter().enumerate().all(|(at, b)| match at {
        8 | 13 | 18 | 23 => *b == b'-',
        _ => b.is_ascii_hexdigit(),
    });
    is_uuid.then(|| &text[36..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cpp_string_is_called_what_its_user_wrote() {
        let long = "put(std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> > const&)";
        assert_eq!(native_name(long), "put(std::string const&)");
        assert_eq!(native_name("std::__cxx11::list<int>::clear()"), "std::list<int>::clear()");
    }

    #[test]
    fn libraries_lose_what_is_random_and_keep_their_version() {
        for (path, shown) in [
            ("/tmp/librocksdbjni1323.so", "librocksdbjni*.so"),
            ("/tmp/librocksdbjni18446744073709551615.so", "librocksdbjni*.so"),
            ("/tmp/libnetty_transport_native_epoll_x86_648391823.so", "libnetty_transport_native_epoll_x86_*.so"),
            ("snappy-1.1.8-0c8d6aa1-11fe-4f3c-9f70-ab6ba16ff1ae-libsnappyjava.so", "snappy-1.1.8-*-libsnappyjava.so"),
            ("/usr/lib/libz.so.1.2.13", "libz.so.1.2.13"),
            ("libLLVM-14.so", "libLLVM-14.so"),
            ("/tmp/jna123456.tmp", "jna*.tmp"),
            ("[vdso]", "[vdso]"),
            ("", ""),
            ("/tmp/\u{e9}t\u{e9}99999.so", "\u{e9}t\u{e9}*.so"),
        ] {
            assert_eq!(library_name(path), shown);
        }
        assert_eq!(native_name("librocksdbjni1323.so+0x1a2b"), "librocksdbjni*.so+0x1a2b");
        assert_eq!(native_name("operator+(int, int)"), "operator+(int, int)");
    }

    #[test]
    fn java_names_lose_their_counters() {
        for (name, shown) in [
            ("com.acme.Foo$$Lambda$14/0x0000000800c8.run", "com.acme.Foo$$Lambda.run"),
            ("com.acme.Foo$$Lambda/0x00007f12ab.run", "com.acme.Foo$$Lambda.run"),
            ("com.acme.Foo$$Lambda$14.0x0000000800c8.run", "com.acme.Foo$$Lambda.run"),
            ("com.acme.Foo$$Lambda$12/1234567.run", "com.acme.Foo$$Lambda.run"),
            ("com.acme.Foo$$Lambda$12.run", "com.acme.Foo$$Lambda.run"),
            ("com.sun.proxy.$Proxy12.call", "com.sun.proxy.$Proxy.call"),
            ("jdk.proxy2.$Proxy12.call", "jdk.proxy.$Proxy.call"),
            ("sun.reflect.GeneratedMethodAccessor12.invoke", "sun.reflect.GeneratedMethodAccessor.invoke"),
            (
                "jdk.internal.reflect.GeneratedConstructorAccessor7.newInstance",
                "jdk.internal.reflect.GeneratedConstructorAccessor.newInstance",
            ),
            ("java.lang.invoke.LambdaForm$MH/0x0000000800c8.invoke", "java.lang.invoke.LambdaForm$MH.invoke"),
            (
                "java.lang.invoke.LambdaForm$DMH.0x0000000800c8.invokeStatic",
                "java.lang.invoke.LambdaForm$DMH.invokeStatic",
            ),
            ("com.acme.Foo$$EnhancerBySpringCGLIB$$1a2b3c4d.run", "com.acme.Foo$$EnhancerBySpringCGLIB.run"),
            ("com.acme.Foo$1.run", "com.acme.Foo$1.run"),
            ("com.acme.Foo.lambda$run$3", "com.acme.Foo.lambda$run$3"),
            ("java.util.zip.Deflater.init", "java.util.zip.Deflater.init"),
        ] {
            assert_eq!(java_name(name), shown);
        }
    }

    #[test]
    fn keys_survive_edits_elsewhere() {
        assert_eq!(key_name("com.acme.Foo.lambda$run$3", true), "com.acme.Foo.lambda$run");
        assert_eq!(key_name("com.acme.Foo$1.run", true), "com.acme.Foo$1.run");
        assert_eq!(key_name("grow.isra.0", false), "grow");
        assert_eq!(key_name("Arena::Grow(unsigned long) [clone .isra.0]", false), "Arena::Grow(unsigned long)");
        assert_eq!(key_name("app::cache::fill::h0123456789abcdef", false), "app::cache::fill");
        assert_eq!(key_name("std::hash<int>", false), "std::hash<int>");
    }

    #[test]
    fn hostile_names_pass_through() {
        for name in ["$$Lambda$", "/", "0x", "$Proxy", "a/0x", "\u{1b}[31m/0xff", "..", "$$Lambda$1$$Lambda$2"] {
            let _ = (java_name(name), native_name(name), library_name(name), key_name(name, true));
        }
    }
}
