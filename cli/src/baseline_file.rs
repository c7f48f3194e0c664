//! Baselines on disk: JSON that a repository holds and a person reviews, a line a site.
//!
//! Only what is large enough to matter has a line of its own; the rest is one sum. Sites are sorted by name, so that a
//! change of one line in the program is a change of one line in the file.

use crate::exit::{self, Failure};
use anyhow::Result;
use leakscope_analyze::SiteId;
use leakscope_analyze::gate::{Baseline, BaselineSite, RunSites};
use leakscope_report::site_name;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Version of the file's form; fields are only added within one.
const SCHEMA: &str = "leakscope.baseline/1";
/// A larger file is none of ours.
const MOST_BYTES: u64 = 16 << 20;
/// A site with fewer bytes in every run is part of the rest.
const LEAST_SITE: f64 = 4096.0;
/// Most sites with a line of their own.
const MOST_SITES: usize = 1000;

#[derive(Debug, Serialize, Deserialize)]
struct File {
    schema: String,
    program: String,
    runs: usize,
    rest_bytes: Vec<u64>,
    sites: Vec<Site>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Site {
    name: String,
    kind: String,
    key: String,
    live_bytes: Vec<u64>,
    #[serde(default, skip_serializing_if = "is_zero")]
    error_bytes: u64,
}

fn is_zero(bytes: &u64) -> bool {
    *bytes == 0
}

/// The baseline that some runs make.
pub fn of_runs(runs: &[RunSites]) -> Baseline {
    let mut sites: BTreeMap<SiteId, BaselineSite> = BTreeMap::new();
    for (at, run) in runs.iter().enumerate() {
        for site in &run.sites {
            let entry = sites.entry(site.key).or_insert_with(|| BaselineSite {
                name: site_name(&run.frames, &site.place),
                kind: site.place.kind.as_str().to_owned(),
                live_bytes: vec![0.0; runs.len()],
                error_bytes: 0.0,
            });
            entry.live_bytes[at] += site.bytes;
            entry.error_bytes = entry.error_bytes.max(site.variance.sqrt());
        }
    }
    let most = |site: &BaselineSite| site.live_bytes.iter().copied().fold(0.0, f64::max);
    let mut sizes: Vec<f64> = sites.values().map(most).collect();
    sizes.sort_by(|a, b| b.total_cmp(a));
    let least = sizes.get(MOST_SITES).copied().unwrap_or(0.0).max(LEAST_SITE);
    let mut rest_bytes = vec![0.0; runs.len()];
    sites.retain(|_, site| {
        let is_kept = most(site) >= least;
        if !is_kept {
            rest_bytes.iter_mut().zip(&site.live_bytes).for_each(|(sum, bytes)| *sum += bytes);
        }
        is_kept
    });
    let program = runs.first().map(|run| run.program.clone()).unwrap_or_default();
    Baseline { program, runs: runs.len(), sites, rest_bytes }
}

/// The text of a baseline: JSON, a line a site.
pub fn text(baseline: &Baseline) -> String {
    let whole = |bytes: &Vec<f64>| bytes.iter().map(|bytes| bytes.round() as u64).collect::<Vec<u64>>();
    let mut sites: Vec<Site> = baseline
        .sites
        .iter()
        .map(|(key, site)| Site {
            name: site.name.clone(),
            kind: site.kind.clone(),
            key: key.to_string(),
            live_bytes: whole(&site.live_bytes),
            error_bytes: site.error_bytes.round() as u64,
        })
        .collect();
    sites.sort_by(|a, b| (&a.name, &a.kind, &a.key).cmp(&(&b.name, &b.kind, &b.key)));
    let head = [
        format!("  \"schema\": {}", json(&SCHEMA)),
        format!("  \"program\": {}", json(&baseline.program)),
        format!("  \"runs\": {}", baseline.runs),
        format!("  \"rest_bytes\": {}", json(&whole(&baseline.rest_bytes))),
    ];
    let lines: Vec<String> = sites.iter().map(|site| format!("    {}", json(site))).collect();
    format!("{{\n{},\n  \"sites\": [\n{}\n  ]\n}}\n", head.join(",\n"), lines.join(",\n"))
}

/// Strings and whole numbers: what serde cannot write is not in it.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// Reads a baseline.
///
/// # Errors
/// It cannot be read, or is no baseline; exit code 4.
pub fn read(path: &Path) -> Result<Baseline> {
    let shown = path.display();
    let wrong = |what: String| Failure::error(exit::UNREADABLE, format!("{shown}: {what}"));
    let length = fs::metadata(path).map_err(|error| wrong(error.to_string()))?.len();
    if length > MOST_BYTES {
        return Err(wrong("it is too large for a baseline".to_owned()));
    }
    let text = fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    let file: File = serde_json::from_str(&text).map_err(|error| {
        wrong(format!("this is no baseline of leakscope ({error}); leakscope baseline save makes one"))
    })?;
    if file.schema != SCHEMA {
        return Err(wrong(format!("it is a '{}', and no {SCHEMA}", file.schema)));
    }
    baseline(file).map_err(wrong)
}

fn baseline(file: File) -> Result<Baseline, String> {
    let runs = file.runs;
    let counted = |bytes: &[u64], what: &str| match bytes.len() == runs && runs > 0 {
        true => Ok(bytes.iter().map(|bytes| *bytes as f64).collect::<Vec<f64>>()),
        false => Err(format!("{what} has {} figures for {runs} runs", bytes.len())),
    };
    let mut sites = BTreeMap::new();
    for site in file.sites {
        let key = u64::from_str_radix(&site.key, 16).map_err(|_| format!("'{}' is no key of a site", site.key))?;
        let live_bytes = counted(&site.live_bytes, &site.name)?;
        let one = BaselineSite { name: site.name, kind: site.kind, live_bytes, error_bytes: site.error_bytes as f64 };
        if let Some(twice) = sites.insert(SiteId(key), one) {
            return Err(format!("site {key:016x} is there twice: {}", twice.name));
        }
    }
    Ok(Baseline { program: file.program, runs, sites, rest_bytes: counted(&file.rest_bytes, "rest_bytes")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Baseline {
        let site = |name: &str, live: f64| BaselineSite {
            name: name.to_owned(),
            kind: "malloc".to_owned(),
            live_bytes: vec![live, live + 1.0],
            error_bytes: 0.0,
        };
        Baseline {
            program: "java".to_owned(),
            runs: 2,
            sites: BTreeMap::from([(SiteId(7), site("b \"quoted\"", 5000.0)), (SiteId(u64::MAX), site("a", 9000.0))]),
            rest_bytes: vec![12.0, 13.0],
        }
    }

    #[test]
    fn what_is_written_is_read_again_a_line_a_site() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("baseline.json");
        fs::write(&path, text(&sample())).unwrap();
        assert_eq!(read(&path).unwrap(), sample());
        let lines: Vec<String> = text(&sample()).lines().map(str::to_owned).collect();
        let sites: Vec<&String> = lines.iter().filter(|line| line.contains("\"key\"")).collect();
        assert_eq!(sites.len(), 2);
        assert!(sites[0].contains("\"a\"") && sites[0].contains("ffffffffffffffff"), "by name: {sites:?}");
    }

    #[test]
    fn what_is_no_baseline_is_said_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("baseline.json");
        let good = text(&sample());
        for (wrong, said) in [
            ("", "no baseline"),
            ("{}", "no baseline"),
            (good.replace("baseline/1", "baseline/9").as_str(), "leakscope.baseline/9"),
            (good.replace("\"runs\": 2", "\"runs\": 3").as_str(), "figures for 3 runs"),
            (good.replace("0000000000000007", "ffffffffffffffff").as_str(), "twice"),
            (good.replace("0000000000000007", "seven").as_str(), "no key"),
            (good.replace("\"runs\": 2", "\"runs\": 0").as_str(), "runs"),
        ] {
            fs::write(&path, wrong).unwrap();
            let error = read(&path).unwrap_err();
            assert_eq!(Failure::code_of(&error), exit::UNREADABLE);
            assert!(format!("{error:#}").contains(said), "{wrong}: {error:#}");
        }
        assert_eq!(Failure::code_of(&read(&folder.path().join("gone")).unwrap_err()), exit::UNREADABLE);
    }
}
