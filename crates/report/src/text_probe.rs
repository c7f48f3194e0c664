//! What a probe released, as text: the sites, what survived, and the rows of resident memory that changed.

use std::fmt::Write;

use leakscope_analyze::{Release, Releases, RssTable};
use leakscope_profile::model::Target;

use crate::path::{CallPath, paths};
use crate::printable::printable;
use crate::style::{Ink, TextOptions};
use crate::table::{ALWAYS, Align, Column, Table};
use crate::text_rss::row_name;
use crate::units::{bytes, bytes_estimate, duration, percent, signed, thousands};

/// What was asked of a process, and what came of it.
#[derive(Debug, Clone, Copy)]
pub struct Probed<'a> {
    /// `gc` or `trim`.
    pub what: &'a str,
    /// The process.
    pub target: &'a Target,
    /// How long the JVM took, milliseconds.
    pub took_ms: u64,
    /// What the JVM said about it, where it said anything.
    pub said: &'a str,
    /// What each site released; `None` where the process is not recorded, and where sites release nothing (`trim`).
    pub releases: Option<&'a Releases>,
    /// Resident memory before.
    pub before: &'a RssTable,
    /// Resident memory after.
    pub after: &'a RssTable,
}

/// Sites in each table.
const MOST_SITES: usize = 10;
/// Sites that survived are listed from this share of what was live on.
const WORTH_A_LINE: f64 = 0.02;
/// From this share of frees by the JVM's reference handlers on, that is what freed a site.
const BY_GC: f64 = 0.9;
/// A row that changed by less is left out.
const SMALL_BYTES: f64 = 256.0 * 1024.0;

/// The answer to `leakscope probe`.
pub fn text_probe(probed: &Probed<'_>, options: &TextOptions) -> String {
    let glyphs = options.glyphs();
    let asked = match probed.what {
        "gc" => "two full collections",
        _ => "the allocator's trim",
    };
    let target = format!("{} (pid {})", printable(&probed.target.name), probed.target.pid);
    let mut parts = vec![target, format!("{asked}: {}", duration(probed.took_ms))];
    if let Some(releases) = probed.releases {
        let (released, before) = (&releases.released_bytes, &releases.before_bytes);
        parts.push(format!("released {} of {}", bytes_estimate(released, glyphs), bytes_estimate(before, glyphs)));
    }
    let (before, after) = (probed.before.total_bytes as f64, probed.after.total_bytes as f64);
    parts.push(format!("resident {} {} {}", bytes(before), glyphs.arrow, bytes(after)));
    let mut text = format!("{}\n", options.paint(Ink::Strong, &options.parts(&parts, 2)));
    for line in probed.said.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let _ = writeln!(text, "{}", options.sentence(&format!("the JVM says: {}", printable(line)), 2));
    }
    if let Some(releases) = probed.releases {
        text.push_str(&sites(releases, options));
    }
    text.push_str(&rows(probed.before, probed.after, options));
    let next = options.next_line();
    if !next.is_empty() {
        let _ = write!(text, "\n{next}");
    }
    text
}

const RELEASED: [Column; 4] = [
    Column { name: "released", align: Align::Right, rank: ALWAYS },
    Column { name: "of", align: Align::Right, rank: ALWAYS },
    Column { name: "freed by", align: Align::Left, rank: 2 },
    Column { name: "kind", align: Align::Left, rank: 1 },
];

const SURVIVED: [Column; 3] = [
    Column { name: "survived", align: Align::Right, rank: ALWAYS },
    Column { name: "of", align: Align::Right, rank: ALWAYS },
    Column { name: "kind", align: Align::Left, rank: 1 },
];

fn sites(releases: &Releases, options: &TextOptions) -> String {
    let glyphs = options.glyphs();
    let most = if options.is_all() { usize::MAX } else { MOST_SITES };
    let released: Vec<&Release> = releases.sites.iter().filter(|site| site.is_certain).take(most).collect();
    let mut text = String::new();
    if released.is_empty() {
        text.push_str("\nno site released anything beyond chance\n");
    } else {
        let mut table = Table::new(&RELEASED, "what");
        for site in &released {
            let (gone, before) = (&site.released_bytes, &site.before_bytes);
            let freed = freed_by(site);
            let kind = site.place.kind.as_str().to_owned();
            table.row(None, vec![bytes_estimate(gone, glyphs), bytes(before.estimate), freed, kind]);
        }
        text.push_str(&section("RELEASED", &table, releases, &released, options));
        let is_garbage = |site: &&Release| site.freed.gc_share().is_some_and(|share| share >= BY_GC);
        if released.first().is_some_and(is_garbage) {
            let lesson = "what the GC freed was garbage that waited for a collection: close it where it is made";
            let _ = writeln!(text, "  {}", options.sentence(lesson, 4));
        }
    }
    let least = releases.before_bytes.estimate * WORTH_A_LINE;
    let mut survived: Vec<&Release> =
        releases.sites.iter().filter(|site| site.survived_bytes > least && !site.place.is_jvms_own).collect();
    survived.sort_by(|a, b| b.survived_bytes.total_cmp(&a.survived_bytes));
    survived.truncate(most);
    if !survived.is_empty() {
        let mut table = Table::new(&SURVIVED, "what");
        for site in &survived {
            let kind = site.place.kind.as_str().to_owned();
            table.row(None, vec![bytes(site.survived_bytes), bytes(site.before_bytes.estimate), kind]);
        }
        text.push_str(&section("STILL LIVE", &table, releases, &survived, options));
    }
    text
}

fn section(heading: &str, table: &Table, releases: &Releases, shown: &[&Release], options: &TextOptions) -> String {
    let places: Vec<_> = shown.iter().map(|site| &site.place).collect();
    let last = paths(&releases.frames, &places, table.width_of_last(options), options.glyphs());
    format!("\n{}\n{}", options.paint(Ink::Strong, heading), table.print(&last, options))
}

fn freed_by(site: &Release) -> String {
    match site.freed.gc_share() {
        None => String::new(),
        Some(0.0) => "program".to_owned(),
        Some(1.0) => format!("GC ({} frees)", thousands(site.freed.total() as f64)),
        Some(share) => format!("GC {} of {}", percent(share), thousands(site.freed.total() as f64)),
    }
}

const ROWS: [Column; 4] = [
    Column { name: "what", align: Align::Left, rank: ALWAYS },
    Column { name: "before", align: Align::Right, rank: ALWAYS },
    Column { name: "after", align: Align::Right, rank: ALWAYS },
    Column { name: "change", align: Align::Right, rank: ALWAYS },
];

/// The rows of resident memory that changed.
fn rows(before: &RssTable, after: &RssTable, options: &TextOptions) -> String {
    let mut table = Table::new(&ROWS, "");
    let mut last = Vec::new();
    for change in before.changes(after) {
        if change.change.estimate.abs() < SMALL_BYTES && !options.is_all() {
            continue;
        }
        let ink = if change.change.estimate < 0.0 { Some(Ink::Good) } else { None };
        let cells = vec![
            row_name(change.what, after),
            bytes(change.before),
            bytes(change.after),
            signed(change.change.estimate),
        ];
        table.row(ink, cells);
        last.push(CallPath::text(String::new()));
    }
    if last.is_empty() {
        return "\nwhere the RSS is has not changed\n".to_owned();
    }
    format!("\n{}\n{}", options.paint(Ink::Strong, "RESIDENT MEMORY THAT CHANGED"), table.print(&last, options))
}
