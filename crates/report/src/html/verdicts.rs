//! The headline, and the lines of the table: what the analysis says, as sentences; without one, what is plain to see.

use std::collections::BTreeSet;

use leakscope_analyze::{
    Analysis, Change, ERROR_RATE, Estimate, FrameTable, Missable, Place, SiteHistory, SiteId, Sums, Suspect, Verdict,
    VerdictId,
};

use super::HtmlReport;
use super::program::Program;
use super::view::{GroupView, VerdictView, interval};
use crate::path::CallPath;
use crate::style::Glyphs;
use crate::units::{bytes_change, bytes_estimate, duration};
use crate::verdict_words as words;

const GLYPHS: &Glyphs = &Glyphs::UNICODE;

/// Suspects that the page has room for.
const MOST_SUSPECTS: usize = 300;
/// Verdicts that it has room for.
const MOST_VERDICTS: usize = 8;

/// The sites of the suspects, most telling first: those that must not be left out.
pub(crate) fn of_suspects(report: &HtmlReport<'_>) -> Vec<SiteId> {
    suspects(report).iter().flat_map(|suspect| &suspect.sites).copied().collect()
}

fn suspects<'a>(report: &HtmlReport<'a>) -> &'a [Suspect] {
    let suspects = report.analysis.map_or(&[][..], |analysis| &analysis.suspects);
    &suspects[..suspects.len().min(MOST_SUSPECTS)]
}

/// Both, for the page.
pub(crate) fn views(report: &HtmlReport<'_>, program: &Program) -> (Vec<VerdictView>, Vec<GroupView>) {
    let mut groups = Vec::new();
    let mut group_of = Vec::new();
    for suspect in suspects(report) {
        let sites: BTreeSet<usize> = suspect.sites.iter().filter_map(|id| program.alone(*id)).collect();
        group_of.push((!sites.is_empty()).then_some(groups.len()));
        if !sites.is_empty() {
            groups.push(group(suspect, program, sites));
        }
    }
    let verdicts = match report.analysis {
        Some(analysis) if is_judged(analysis) => judged(analysis, &group_of),
        _ => vec![headline(report)],
    };
    (verdicts, groups)
}

/// Whether the analysis says more than that there were too few snapshots.
fn is_judged(analysis: &Analysis) -> bool {
    analysis.window.is_some()
}

fn judged(analysis: &Analysis, group_of: &[Option<usize>]) -> Vec<VerdictView> {
    if analysis.verdicts.is_empty() {
        return vec![VerdictView {
            tone: "fine",
            sentence: words::nothing_grows(analysis, GLYPHS),
            ..VerdictView::default()
        }];
    }
    let view = |verdict: &Verdict| VerdictView {
        word: verdict.id.as_str(),
        tone: tone(verdict.id),
        sentence: words::sentence(analysis, verdict, GLYPHS),
        confidence: words::confidence(verdict.confidence),
        reasons: verdict.reasons.iter().map(|reason| words::reason(reason, GLYPHS)).collect(),
        fix: verdict.fix.as_ref().map(words::fix).unwrap_or_default(),
        group: verdict.suspect.and_then(|at| group_of.get(at).copied().flatten()),
    };
    analysis.verdicts.iter().take(MOST_VERDICTS).map(view).collect()
}

/// Whether it is bad news.
fn tone(id: VerdictId) -> &'static str {
    match id {
        VerdictId::Bounded | VerdictId::Startup => "fine",
        VerdictId::Unknown => "",
        _ => "bad",
    }
}

/// Its sites with the one first that the suspect is named after.
fn group(suspect: &Suspect, program: &Program, sites: BTreeSet<usize>) -> GroupView {
    let named = program.alone(suspect.place.id).filter(|at| sites.contains(at));
    let others = sites.iter().copied().filter(|at| Some(*at) != named);
    GroupView {
        words: suspect.words.iter().map(|word| (word.as_str(), tone(*word))).collect(),
        looks: words::suspect_word(suspect),
        sites: named.into_iter().chain(others).collect(),
        rate: suspect.trend.map(|trend| interval(&trend.rate)),
    }
}

/// What is plain to see without an analysis: what grew, or what is live.
fn headline(report: &HtmlReport<'_>) -> VerdictView {
    let last = report.history.instants.len().saturating_sub(1) as u32;
    let sentence = if last == 0 {
        let leading = report.sites.sites.first().filter(|site| site.amounts.samples > 0);
        let place = leading.map(|site| own(&report.sites.frames, &site.place)).unwrap_or_default();
        let live = bytes_estimate(&report.sites.total.live_bytes, GLYPHS);
        match leading {
            Some(_) => format!("{live} live; the largest site is {place}"),
            None => "Nothing that was sampled is live.".to_owned(),
        }
    } else {
        let growth = |site: &SiteHistory| change(site, last);
        let all: Vec<&SiteHistory> = report.history.sites.iter().collect();
        let total = SiteHistory::together(&all).map_or(Estimate::default(), |all| growth(&all));
        let span = report.history.instants[last as usize].uptime_ms - report.history.instants[0].uptime_ms;
        let most = all.iter().max_by(|a, b| growth(a).estimate.total_cmp(&growth(b).estimate));
        let changed = format!("Live memory changed by {} in {}", bytes_change(&total, GLYPHS), duration(span));
        match most.map(|site| (site, growth(site))).filter(|(_, growth)| !growth.may_be_zero() && growth.estimate > 0.0)
        {
            Some((site, most)) => {
                let place = own(&report.history.frames, &site.place);
                format!("{changed}; most of it, {}, at {place}", bytes_change(&most, GLYPHS))
            }
            None => format!("{changed}; no site grew beyond chance"),
        }
    };
    let reasons = match last {
        0 => {
            vec!["one snapshot: nothing about growth, and no verdict; the recording's directory would tell".to_owned()]
        }
        _ => {
            let too_few = report.analysis.and_then(|analysis| Some((analysis, analysis.verdicts.first()?)));
            too_few.map(|(analysis, verdict)| words::sentence(analysis, verdict, GLYPHS)).into_iter().collect()
        }
    };
    VerdictView { sentence, reasons, ..VerdictView::default() }
}

fn own(frames: &FrameTable, place: &Place) -> String {
    CallPath::of(frames, place).fit(64, GLYPHS)
}

/// Growth from the first snapshot to the last.
fn change(site: &SiteHistory, last: u32) -> Estimate {
    // An interval of 1 is that of exact recording.
    let missable = Missable::unseen(site.missable_bytes.max(1));
    let with_missable = |sums: Sums| Sums { missable, ..sums };
    let new = with_missable(site.live(last, 1..=last));
    let gone = with_missable(site.live(0, 0..=0).without(&site.live(last, 0..=0)));
    Change { new, gone }.bytes_estimate(ERROR_RATE)
}
