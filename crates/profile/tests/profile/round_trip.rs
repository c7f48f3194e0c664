//! What is written is read back exactly.

use leakscope_profile::{Profile, Row, StackId, WriteError, read, write};

use crate::random;

pub fn bytes(profile: &Profile) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(profile, &mut bytes).expect("a sound profile can be written");
    bytes
}

#[test]
fn any_sound_profile_comes_back_exactly() {
    let mut rows = 0;
    for seed in 0..2_000 {
        let profile = random::profile(seed);
        assert_eq!(profile.check(), Ok(()), "seed {seed}");
        assert_eq!(read(&bytes(&profile)).expect("readable"), profile, "seed {seed}");
        rows += profile.rows.len();
    }
    assert!(rows > 10_000, "the generator must not degenerate: {rows} rows");
}

#[test]
fn the_empty_profile_comes_back() {
    assert_eq!(read(&bytes(&Profile::default())).unwrap(), Profile::default());
}

#[test]
fn equal_profiles_give_equal_bytes() {
    assert_eq!(bytes(&random::profile(3)), bytes(&random::profile(3)));
}

#[test]
fn without_gzip_it_is_read_just_the_same() {
    let profile = random::profile(4);
    assert_eq!(read(&crate::wire::gunzip(&bytes(&profile))).unwrap(), profile);
}

#[test]
fn an_unsound_profile_is_not_written() {
    let mut profile = Profile::default();
    profile.rows.push(Row {
        stack: StackId(0),
        kind: leakscope_profile::Kind::Malloc,
        epoch: 0,
        interval_bytes: 1,
        samples: 1,
        bytes: 1.0,
        bytes_variance: 0.0,
        bytes_observed: 1,
        objects: 1.0,
        objects_variance: 0.0,
        smallest_bytes: 1,
        oldest_ms: 0,
        resident_bytes: None,
    });
    let mut out = Vec::new();
    assert!(matches!(write(&profile, &mut out), Err(WriteError::Inconsistent(_))));
    assert!(out.is_empty());
}
