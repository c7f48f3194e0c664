//! The formats of other tools, read back by what their documents say of them, with names that mean harm.
//!
//! What those tools' own readers say is tested end to end (tests/exports.rs).

mod sample;

use std::collections::BTreeMap;

use leakscope_analyze::{Grouping, Sites, sites};
use leakscope_profile::model::Profile;
use leakscope_report::{JavaNames, Measure, csv, dhat, folded, openmetrics, speedscope};
use serde_json::Value;

fn all() -> [(Profile, Sites); 3] {
    [sample::ended(), sample::hostile(), Profile::default()].map(|profile| {
        let sites = sites(&profile, &Grouping::default());
        (profile, sites)
    })
}

fn whole(estimate: f64) -> u64 {
    estimate.round() as u64
}

#[test]
fn speedscope_samples_are_stacks_with_positive_weights() {
    for (profile, sites) in all() {
        let file: Value = serde_json::from_str(&speedscope(&profile, &sites, JavaNames::Dots)).expect("JSON");
        let frames = file["shared"]["frames"].as_array().expect("frames");
        let expected = [Measure::Live, Measure::Allocated].map(|measure| {
            let amount = |site: &leakscope_analyze::Site| match measure {
                Measure::Live => site.amounts.live_bytes.estimate,
                Measure::Allocated => site.amounts.allocated_bytes.estimate,
            };
            sites.sites.iter().map(|site| whole(amount(site))).collect::<Vec<_>>()
        });
        for (at, expected) in expected.iter().enumerate() {
            let shown = &file["profiles"][at];
            let samples = shown["samples"].as_array().expect("samples");
            let weights: Vec<u64> =
                shown["weights"].as_array().expect("weights").iter().map(|w| w.as_u64().expect("whole")).collect();
            assert_eq!(weights, expected.iter().copied().filter(|w| *w > 0).collect::<Vec<_>>());
            assert_eq!(shown["endValue"].as_u64(), Some(weights.iter().sum()));
            assert_eq!(samples.len(), weights.len());
            for frame in samples.iter().flat_map(|stack| stack.as_array().expect("a stack")) {
                assert!((frame.as_u64().expect("an index") as usize) < frames.len());
            }
        }
        for (at, frame) in frames.iter().enumerate() {
            assert!(!frames[..at].contains(frame), "each once: {frame}");
            assert!(frame["name"].as_str().expect("a name").chars().all(|c| !c.is_control()));
        }
    }
    let (profile, sites) = &all()[0];
    let file: Value = serde_json::from_str(&speedscope(profile, sites, JavaNames::Slash)).expect("JSON");
    let frames = file["shared"]["frames"].as_array().expect("frames");
    let stack = &file["profiles"][0]["samples"][0];
    let name = |at: usize| &frames[stack[at].as_u64().expect("an index") as usize];
    assert_eq!((&name(0)["name"], &name(0)["line"]), (&"com/acme/Main.main".into(), &12.into()));
    assert_eq!(name(5)["name"], "deflateInit2_");
    assert_eq!(name(4)["file"], "libzip.so", "the library where no file is known");
}

#[test]
fn dhat_points_hold_what_is_live_and_what_was_allocated() {
    for (profile, sites) in all() {
        let file: Value = serde_json::from_str(&dhat(&profile, &sites, JavaNames::Dots)).expect("JSON");
        assert_eq!((&file["dhatFileVersion"], &file["bklt"], &file["bkacc"]), (&2.into(), &true.into(), &false.into()));
        let frames = file["ftbl"].as_array().expect("frames");
        assert_eq!(frames[0], "[root]");
        let points = file["pps"].as_array().expect("points");
        let mut stacks: Vec<&Value> = points.iter().map(|point| &point["fs"]).collect();
        let sum = |key: &str| points.iter().map(|point| point[key].as_u64().expect("whole")).sum::<u64>() as f64;
        let slack = points.len() as f64;
        assert!((sum("eb") - sites.total.live_bytes.estimate).abs() <= slack);
        assert!((sum("tb") - sites.total.allocated_bytes.estimate).abs() <= slack);
        for point in points {
            let at = |key: &str| point[key].as_u64().expect("whole");
            assert!(at("tb") >= at("eb") && at("tbk") >= at("ebk") && at("tbk") > 0, "{point}");
            assert_eq!(at("eb") > 0, at("ebk") > 0, "{point}");
            for frame in point["fs"].as_array().expect("a stack") {
                let frame = frame.as_u64().expect("an index") as usize;
                assert!(frame > 0 && frame < frames.len());
            }
        }
        stacks.sort_by_key(|stack| stack.to_string());
        assert!(stacks.windows(2).all(|two| two[0] != two[1]), "each stack once");
    }
    let (profile, sites) = &all()[0];
    let text = dhat(profile, sites, JavaNames::Dots);
    assert!(text.contains("\"0x0: com.acme.log.ExceptionLogger.compress (ExceptionLogger.java:88:0)\""), "{text}");
    assert!(text.contains("\"Java_java_util_zip_Deflater_init (in libzip.so)\""));
}

/// RFC 4180, read by hand.
fn cells(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut cell, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, quoted) {
            ('"', true) if chars.peek() == Some(&'"') => {
                chars.next();
                cell.push('"');
            }
            ('"', true) => quoted = false,
            ('"', false) => {
                assert!(cell.is_empty(), "a quote inside a bare cell");
                quoted = true;
            }
            (',', false) => row.push(std::mem::take(&mut cell)),
            ('\n', false) => {
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            (c, _) => cell.push(c),
        }
    }
    assert!(!quoted && cell.is_empty() && row.is_empty(), "it ends with a line");
    rows
}

#[test]
fn csv_has_a_line_for_each_site() {
    for (_, sites) in all() {
        let rows = cells(&csv(&sites, JavaNames::Dots));
        assert_eq!(rows.len(), 1 + sites.sites.len());
        for (row, site) in rows[1..].iter().zip(&sites.sites) {
            assert_eq!(row.len(), rows[0].len());
            let number = |name: &str| {
                let at = rows[0].iter().position(|head| head == name).expect("a column");
                row[at].parse::<f64>().unwrap_or_else(|_| panic!("{name}: {}", row[at]))
            };
            assert_eq!(row[0], site.place.id.to_string());
            assert_eq!(number("live_bytes"), site.amounts.live_bytes.estimate.round());
            assert!(number("live_bytes_low") <= number("live_bytes"));
            assert!(number("live_bytes") <= number("live_bytes_high"));
            assert_eq!(number("frees_by_gc") as u64, site.amounts.freed.by_gc);
            assert!(row.iter().all(|cell| !cell.starts_with(['=', '+', '-', '@'])), "a formula: {row:?}");
        }
    }
    let rows = cells(&csv(&all()[0].1, JavaNames::Slash));
    assert!(rows[1].contains(&"com/acme/log/ExceptionLogger.compress".to_owned()), "{:?}", rows[1]);
    let hostile = cells(&csv(&all()[1].1, JavaNames::Dots));
    assert!(hostile.iter().any(|row| row.iter().any(|cell| cell.starts_with("'--\" onload="))), "guarded and whole");
}

/// A family of the text: its type, its samples (name, labels, value).
type Family = (String, Vec<(String, BTreeMap<String, String>, f64)>);

/// OpenMetrics 1.0, strictly: families in one piece, metadata before samples, known types and their suffixes, escaped
/// labels, the end.
fn families(text: &str) -> BTreeMap<String, Family> {
    let body = text.strip_suffix("# EOF\n").expect("it ends with # EOF");
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut current = String::new();
    for line in body.lines() {
        if let Some(rest) = line.strip_prefix("# ") {
            let mut words = rest.splitn(3, ' ');
            let (what, name) = (words.next().expect("a word"), words.next().expect("a name"));
            let value = words.next().expect("a value");
            match what {
                "TYPE" => {
                    assert!(["gauge", "counter", "info"].contains(&value), "{line}");
                    let family = (value.to_owned(), Vec::new());
                    assert!(families.insert(name.to_owned(), family).is_none(), "{name} twice");
                    current = name.to_owned();
                }
                "UNIT" => assert!(name == current && name.ends_with(&format!("_{value}")), "{line}"),
                "HELP" => assert!(name == current && families[name].1.is_empty(), "{line}"),
                other => panic!("{other}"),
            }
            continue;
        }
        let (name, labels, value) = sample_line(line);
        let (kind, samples) = families.get_mut(&current).expect("a family");
        let suffix = match kind.as_str() {
            "counter" => "_total",
            "info" => "_info",
            _ => "",
        };
        assert_eq!(name, format!("{current}{suffix}"), "{line}");
        assert!(samples.iter().all(|(_, others, _)| *others != labels), "the same labels twice: {line}");
        samples.push((name, labels, value));
    }
    families
}

fn sample_line(line: &str) -> (String, BTreeMap<String, String>, f64) {
    let name_end = line.find(['{', ' ']).expect("a name");
    let name = &line[..name_end];
    assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{line}");
    let mut labels = BTreeMap::new();
    let mut rest = &line[name_end..];
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let (label, after) = rest.split_once("=\"").expect("a label");
            assert!(label.bytes().all(|b| b.is_ascii_lowercase()), "{line}");
            let mut value = String::new();
            let mut chars = after.char_indices();
            let end = loop {
                let (at, c) = chars.next().expect("an end of the label");
                match c {
                    '"' => break at,
                    '\\' => match chars.next().expect("an escape").1 {
                        'n' => value.push('\n'),
                        c @ ('\\' | '"') => value.push(c),
                        c => panic!("\\{c} is no escape"),
                    },
                    c => value.push(c),
                }
            };
            assert!(labels.insert(label.to_owned(), value).is_none(), "{line}");
            rest = &after[end + 1..];
            match rest.strip_prefix(',') {
                Some(more) => rest = more,
                None => break,
            }
        }
        rest = rest.strip_prefix('}').expect("the end of the labels");
    }
    let value = rest.strip_prefix(' ').expect("a value").parse().expect("a number");
    (name.to_owned(), labels, value)
}

#[test]
fn openmetrics_text_is_strict() {
    for (profile, sites) in all() {
        let families = families(&openmetrics(&profile, &sites));
        let only = |name: &str| families[name].1[0].2;
        let total = &sites.total.live_bytes;
        for (name, expected) in [
            ("leakscope_process_live_bytes", total.estimate),
            ("leakscope_process_live_low_bytes", total.low),
            ("leakscope_process_live_high_bytes", total.high),
            ("leakscope_allocated_bytes", sites.total.allocated_bytes.estimate),
        ] {
            assert_eq!(only(name), expected.round(), "{name}");
        }
        let kinds: f64 = families["leakscope_live_bytes"].1.iter().map(|(_, _, value)| value).sum();
        assert!((kinds - total.estimate).abs() <= 4.0);
        let lost = families.get("leakscope_losses").map_or(0, |family| family.1.len());
        assert_eq!(lost, profile.losses.len());
        assert_eq!(families.contains_key("leakscope_limit_bytes"), profile.memory.limit_bytes > 0);
    }
}

#[test]
fn slashes_are_for_java_alone() {
    let (profile, _) = sample::snapshots();
    let sites = sites(&profile, &Grouping::default());
    let text = folded(&sites, Measure::Live, JavaNames::Slash);
    assert!(text.contains("com/acme/Main.main;com/acme/log/ExceptionLogger.compress;"), "{text}");
    assert!(text.contains("rocksdb::LRUCacheShard::Insert"), "{text}");
}
