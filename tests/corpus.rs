//! Programs with a known verdict (tests/corpus). A verdict on eight seconds of a busy machine is a matter of
//! probability: here one run in five must be right, of which the later ones take longer, since they find the machine as busy as
//! the first; `scripts/series corpus` counts every run of twenty.

use crate::experiments::corpus::{CASES, Form};

/// What each run takes.
const SECONDS: [u32; 5] = [8, 8, 16, 16, 24];

fn check(program: &str, form: Form, release: u32) {
    let case = CASES.iter().find(|case| case.program == program && case.form == form).expect("a case of the corpus");
    let mut wrong = String::new();
    for seconds in SECONDS {
        let outcome = case.run(seconds, release);
        if outcome.is_right {
            return;
        }
        wrong.push_str(&format!("{} is called {}:\n{}\n", case.name(), outcome.said.join(" "), outcome.text));
    }
    panic!("{wrong}");
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
    switched = "Switched" on 17;
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
    assert_eq!(CASES.len(), 2 * 14);
}
