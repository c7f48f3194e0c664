//! Names are data that anyone may have written: they steer no terminal, end no document, fake no line.

mod sample;

use leakscope_analyze::{By, DiffOptions, Grouping, diff, sites};
use leakscope_profile::model::Profile;
use leakscope_report::{
    JavaNames, Measure, TextOptions, flame, flame_growth, folded, folded_growth, json_diff, json_report, text_diff,
    text_report,
};

fn assert_harmless(text: &str) {
    for c in text.chars() {
        assert!(c == '\n' || !c.is_control(), "control character {c:?}");
        assert!(!matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{ffff}'), "{c:?}");
    }
}

#[test]
fn text_holds_no_control_character() {
    let profile = sample::hostile();
    for by in By::ALL {
        let grouping = Grouping { by, packages: Vec::new() };
        let text = text_report(
            &profile,
            &sites(&profile, &grouping),
            None,
            &TextOptions { stacks: 20, ..TextOptions::default() },
        );
        assert_harmless(&text);
    }
    let growth = diff(&Profile::default(), &profile, &DiffOptions::default());
    assert_harmless(&text_diff(&Profile::default(), &profile, &growth, &TextOptions::default()));
    assert!(growth.sites.iter().all(|g| g.significant));
}

#[test]
fn each_folded_line_is_one_stack_and_one_number() {
    let profile = sample::hostile();
    let text = folded(&sites(&profile, &Grouping::default()), Measure::Live, JavaNames::Dots);
    assert_harmless(&text);
    assert_eq!(text.lines().count(), sample::HOSTILE.len());
    for line in text.lines() {
        let (stack, bytes) = line.rsplit_once(' ').expect("a number");
        assert_eq!((bytes, stack.split(';').count()), ("4096", 3), "{line}");
        // A number after a space would be read as a second value.
        let last = stack.rsplit(' ').next().expect("a word");
        assert!(!stack.starts_with('#') && last.parse::<f64>().is_err(), "{line}");
    }
    let growth = folded_growth(&diff(&Profile::default(), &profile, &DiffOptions::default()));
    assert!(growth.lines().all(|line| line.ends_with(" 0 4096")));
}

/// What an XML reader would see: no element that we did not draw, no forbidden character.
fn assert_svg_is_ours(svg: &[u8]) {
    let svg = std::str::from_utf8(svg).expect("UTF-8");
    assert_harmless(&svg.replace(['\t', '\r'], " "));
    assert_eq!(svg.matches("<script").count(), 1, "inferno's own script only");
    assert!(!svg.contains("<script>alert") && !svg.contains("\" onload=\"alert"));
    assert_eq!(svg.matches("</svg>").count(), 2);
}

#[test]
fn an_svg_holds_no_foreign_element() {
    let profile = sample::hostile();
    let mut svg = Vec::new();
    let all = sites(&profile, &Grouping::default());
    flame(&profile, &all, Measure::Live, &mut svg).expect("draws");
    assert_svg_is_ours(&svg);
    // Every one of the stacks was drawn: the title of a leaf frame says its bytes.
    let text = String::from_utf8(svg).expect("UTF-8");
    assert!(
        text.matches("(4,096 bytes").count() >= 3 * sample::HOSTILE.len(),
        "{}",
        text.matches("(4,096 bytes").count()
    );

    let mut svg = Vec::new();
    let growth = diff(&Profile::default(), &profile, &DiffOptions::default());
    flame_growth(&Profile::default(), &profile, &growth, &mut svg).expect("draws");
    assert_svg_is_ours(&svg);
}

#[test]
fn json_keeps_names_as_they_are() {
    let profile = sample::hostile();
    let text = written(|out| json_report(&profile, &sites(&profile, &Grouping::default()), None, out));
    assert_eq!(text.lines().count(), 1);
    let value: serde_json::Value = serde_json::from_str(&text).expect("valid JSON");
    let functions: Vec<&str> =
        value["sites"].as_array().expect("sites").iter().filter_map(|s| s["frames"][2]["function"].as_str()).collect();
    for name in sample::HOSTILE {
        assert!(functions.contains(&name), "{name:?}");
    }
    let growth = diff(&profile, &profile, &DiffOptions::default());
    serde_json::from_str::<serde_json::Value>(&written(|out| json_diff(&profile, &profile, &growth, out)))
        .expect("valid JSON");
}

#[test]
fn nothing_live_is_said_and_not_drawn() {
    let empty = Profile::default();
    let nothing = sites(&empty, &Grouping::default());
    assert!(text_report(&empty, &nothing, None, &TextOptions::default()).contains("nothing that was sampled is live"));
    let error = flame(&empty, &nothing, Measure::Live, Vec::new()).expect_err("no bytes");
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
}

fn written(write: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>) -> String {
    let mut out = Vec::new();
    write(&mut out).expect("a vector takes everything");
    String::from_utf8(out).expect("text")
}
