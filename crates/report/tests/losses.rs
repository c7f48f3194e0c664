//! Every loss that there can be is told in words, never by its name.

use leakscope_analyze::{DiffOptions, Grouping, diff, sites};
use leakscope_collect::DeskLoss;
use leakscope_profile::Profile;
use leakscope_report::{TextOptions, text_diff, text_report};
use leakscope_session::losses::Loss;

fn names() -> Vec<&'static str> {
    let target = Loss::ALL.iter().map(|loss| loss.name());
    target.chain(DeskLoss::ALL.map(DeskLoss::name)).chain(["bad_probability"]).collect()
}

fn profile(name: &str, count: u64) -> Profile {
    Profile { losses: [(name.to_owned(), count)].into(), ..Profile::default() }
}

/// The sentence about losses, which may be wrapped.
fn lost(text: &str) -> String {
    let (_, rest) = text.split_once("lost: ").unwrap_or_else(|| panic!("nothing about losses: {text}"));
    rest.lines().take_while(|line| !line.is_empty()).map(str::trim).collect::<Vec<_>>().join(" ")
}

#[test]
fn every_loss_has_words() {
    for name in names() {
        for count in [1, 3000] {
            let profile = profile(name, count);
            let report = text_report(&profile, &sites(&profile, &Grouping::default()), None, &TextOptions::default());
            let growth = diff(&Profile::default(), &profile, &DiffOptions::default());
            let diff = text_diff(&Profile::default(), &profile, &growth, &TextOptions::default());
            for text in [report, diff] {
                let lost = lost(&text);
                assert!(!lost.contains('_') && lost.split(' ').count() > 4, "{name}: {lost}");
                assert!(
                    lost.starts_with("1 ") || lost.starts_with("3,000 ") || lost.contains(" KiB "),
                    "{name}: {lost}"
                );
            }
        }
    }
}

/// A later version may count what this one does not know.
#[test]
fn a_loss_from_the_future_is_told_by_its_name() {
    let profile = profile("moons_full", 7);
    let text = text_report(&profile, &sites(&profile, &Grouping::default()), None, &TextOptions::default());
    assert!(lost(&text).starts_with("7 moons_full"), "{text}");
}
