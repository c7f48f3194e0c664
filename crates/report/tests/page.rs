//! The page of `report --html`, without a browser: its size, and what is in its data. What it looks like and what it
//! does is tested in Chromium (tests/html.rs).

mod sample;

use leakscope_analyze::{Grouping, HistoryBuilder, sites};
use leakscope_profile::model::{Kind, Profile, Row, Stack, StackId};
use leakscope_profile::timeline::Timeline;
use leakscope_report::{HtmlReport, SnapshotFile, html_report};
use serde_json::Value;

fn page(profiles: &[Profile]) -> String {
    let last = profiles.last().expect("a profile");
    let mut history = HistoryBuilder::default();
    profiles.iter().for_each(|profile| history.add(profile));
    html_report(&HtmlReport {
        profile: last,
        sites: &sites(last, &Grouping::default()),
        history: &history.finish(last, &Grouping::default()),
        snapshots: &vec![SnapshotFile::default(); profiles.len()],
        timeline: &Timeline::default(),
        analysis: None,
        notes: &[],
    })
}

/// What stands in the data block, as a browser would read it.
fn data(page: &str) -> Value {
    let start = "<script type=\"application/json\" id=\"data\">";
    let (_, rest) = page.split_once(start).expect("a data block");
    let (json, _) = rest.split_once("</script>").expect("its end");
    serde_json::from_str(json).expect("JSON")
}

#[test]
fn names_that_mean_harm_are_data() {
    let page = page(&[sample::hostile()]);
    assert_eq!(page.matches("<script").count(), 2, "ours alone");
    assert_eq!(page.matches("</script>").count(), 2);
    let data = data(&page);
    let names: Vec<&str> =
        data["program"]["names"].as_array().expect("names").iter().filter_map(Value::as_str).collect();
    assert!(names.contains(&"<script>alert(1)</script>"), "{names:?}");
    assert!(names.iter().all(|name| !name.contains(['\u{1b}', '\0', '\u{202e}', '\n'])), "{names:?}");
    assert_eq!(data["program"]["sites"].as_array().map(Vec::len), Some(sample::HOSTILE.len()));
}

#[test]
fn what_the_headline_says_without_a_verdict() {
    let (first, last) = sample::snapshots();
    let headline = |profiles: &[Profile]| {
        data(&page(profiles))["verdicts"][0]["sentence"].as_str().expect("a sentence").to_owned()
    };
    let grown = headline(&[first, last.clone()]);
    assert!(grown.contains("in 41 m 12 s; most of it,") && grown.contains("ExceptionLogger.compress:88"), "{grown}");
    let one = headline(&[last]);
    assert!(one.contains(" live; the largest site is "), "{one}");
    assert_eq!(headline(&[Profile::default()]), "Nothing that was sampled is live.");
}

/// 5,000 sites, each of which changes in every snapshot, with long names: more than a page holds.
#[test]
fn a_page_is_never_larger_than_3_mib() {
    const SITES: u32 = 5000;
    const SNAPSHOTS: u32 = 50;
    let mut profile = Profile::default();
    profile.settings.interval_bytes = 1 << 19;
    profile.snapshot.session = [1; 16];
    let root = sample::frame(&mut profile, "com.acme.Main.main@com/acme/Main.java:1");
    for n in 0..SITES {
        let text = format!("com.acme.{}Class{n}.grow@com/acme/Class{n}.java:{n}", "long.name.".repeat(14));
        let leaf = sample::frame(&mut profile, &text);
        profile.stacks.push(Stack { frames: vec![leaf, root], ..Stack::default() });
    }
    let profiles: Vec<Profile> = (0..SNAPSHOTS).map(|at| changed(&profile, at)).collect();
    let page = page(&profiles);
    assert!(page.len() < 3 << 20, "{} bytes", page.len());
    let data = data(&page);
    let sites = data["program"]["sites"].as_array().expect("sites");
    assert!(sites.len() > 500 && sites.len() < SITES as usize, "{} sites", sites.len());
    let merged: u64 = sites.iter().map(|site| site["merged"].as_u64().expect("a number")).sum();
    assert_eq!(merged + sites.len() as u64 - 1, u64::from(SITES), "all but one stand for themselves");
    let missing = data["missing"].to_string();
    assert!(missing.contains("of 5,000 sites; the others, the smallest, are put together by kind"), "{missing}");
}

/// A few blocks of each site, born in each of the last snapshots.
fn changed(profile: &Profile, at: u32) -> Profile {
    let mut profile = profile.clone();
    (profile.snapshot.index, profile.snapshot.epoch, profile.snapshot.uptime_ms) = (at, at, u64::from(at) * 60_000);
    for n in 0..profile.stacks.len() as u32 {
        for born in at.saturating_sub(1)..=at {
            let count = 1 + u64::from((n * 7 + born * 13 + at) % 29);
            let bytes = count as f64 * 526_000.0;
            profile.rows.push(Row {
                stack: StackId(n),
                kind: Kind::Malloc,
                epoch: born,
                interval_bytes: 1 << 19,
                samples: count,
                bytes,
                bytes_variance: bytes * 524_288.0,
                bytes_observed: count * 3000,
                objects: count as f64 * 175.0,
                objects_variance: count as f64 * 30_000.0,
                smallest_bytes: 3000,
                oldest_ms: u64::from(born) * 60_000,
                resident_bytes: None,
            });
        }
    }
    profile
}
