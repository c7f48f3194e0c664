//! Programs with a known verdict (tests/corpus), each once; `scripts/series corpus` does it twenty times.

use crate::experiments::corpus::{CASES, Form};

const SECONDS: u32 = 8;

fn check(program: &str, form: Form, release: u32) {
    let case = CASES.iter().find(|case| case.program == program && case.form == form).expect("a case of the corpus");
    let outcome = case.run(SECONDS, release);
    assert!(outcome.is_right, "{} is called {}:\n{}", case.name(), outcome.said.join(" "), outcome.text);
}

/// One test for each form of a program.
macro_rules! programs {
    ($($name:ident = $program:literal on $release:literal;)*) => {$(
        mod $name {
            use super::*;

            #[test]
            fn leak() {
                check($program, Form::Leak, $release);
            }

            #[test]
            fn fixed() {
                check($program, Form::Fixed, $release);
            }
        }
    )*};
}

programs! {
    deflaters = "Deflaters" on 17;
    direct_buffers = "DirectBuffers" on 21;
    restarts = "Restarts" on 11;
    handles = "Handles" on 25;
    surge = "Surge" on 17;
    server = "Server" on 21;
    arenas = "arenas" on 17;
    cache = "cache" on 17;
    startup = "startup" on 17;
    records = "records" on 17;
    aligned = "aligned" on 17;
    slow = "slow" on 17;
    connections = "connections" on 17;
}

#[test]
fn every_case_has_its_test() {
    assert_eq!(CASES.len(), 2 * 13);
}
