//! One snapshot as OpenMetrics text, for Prometheus's node exporter (textfile collector) and its like.
//!
//! Estimates come as three families, `NAME`, `NAME_low` and `NAME_high` with the unit last: a label for the bound would
//! let `sum()` add an estimate to its own ends. The figures of the whole process stand by themselves, because intervals
//! of parts do not add up. Sites are left out: their number has no bound, and a label for each would harm the server.

use std::collections::BTreeMap;
use std::fmt::Write;

use leakscope_analyze::{ERROR_RATE, Estimate, Sites, Sums};
use leakscope_profile::model::{Kind, Profile};

use super::whole;
use crate::printable::printable;

/// The text, up to `# EOF`.
pub fn openmetrics(profile: &Profile, sites: &Sites) -> String {
    let mut text = Text(String::new());
    let target = &profile.target;
    text.family("leakscope_target", "info", "", "The process that was recorded.");
    let pid = target.pid.to_string();
    let labels = [("pid", pid.as_str()), ("name", &target.name), ("jvm", &target.jvm)];
    text.sample("leakscope_target_info", &labels, 1);
    text.family("leakscope_snapshot_timestamp_seconds", "gauge", "seconds", "When the snapshot was taken.");
    text.sample_text("leakscope_snapshot_timestamp_seconds", &[], &seconds(profile.snapshot.time_unix_ns));
    text.family("leakscope_sampling_interval_bytes", "gauge", "bytes", "Mean bytes between samples; 1: all recorded.");
    text.sample("leakscope_sampling_interval_bytes", &[], profile.settings.interval_bytes);
    text.estimates("leakscope_live", "Tracked memory that is live, by kind", &by_kind(sites));
    let total = [(Vec::new(), sites.total.live_bytes)];
    text.estimates("leakscope_process_live", "Tracked memory that is live, all kinds together", &total);
    text.family("leakscope_allocated_bytes", "counter", "bytes", "Tracked memory allocated since recording started.");
    text.sample("leakscope_allocated_bytes_total", &[], whole(sites.total.allocated_bytes.estimate));
    text.family("leakscope_samples", "gauge", "", "Sampled blocks that are live.");
    text.sample("leakscope_samples", &[], sites.total.samples);
    let memory = &profile.memory;
    for (name, bytes, help) in [
        ("leakscope_resident_bytes", memory.rss_bytes, "Resident memory of the process."),
        ("leakscope_cgroup_bytes", memory.cgroup_bytes, "Memory charged to its cgroup."),
        ("leakscope_limit_bytes", memory.limit_bytes, "Limit of its cgroup."),
    ] {
        // 0 stands for unknown.
        if bytes > 0 {
            text.family(name, "gauge", "bytes", help);
            text.sample(name, &[], bytes);
        }
    }
    if !profile.losses.is_empty() {
        text.family("leakscope_losses", "counter", "", "Data that the recording did not get, by name of the loss.");
        for (name, count) in &profile.losses {
            text.sample("leakscope_losses_total", &[("loss", name)], *count);
        }
    }
    text.0.push_str("# EOF\n");
    text.0
}

/// Labels, and the estimate that they stand for.
type Labelled = (Vec<(&'static str, &'static str)>, Estimate);

fn by_kind(sites: &Sites) -> Vec<Labelled> {
    let mut kinds: BTreeMap<Kind, Sums> = BTreeMap::new();
    for site in &sites.sites {
        kinds.entry(site.place.kind).or_default().add(&site.live);
    }
    kinds.into_iter().map(|(kind, sums)| (vec![("kind", kind.as_str())], sums.bytes_estimate(ERROR_RATE))).collect()
}

fn seconds(unix_ns: i64) -> String {
    let ms = unix_ns.max(0) / 1_000_000;
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, unit: &str, help: &str) {
        let _ = writeln!(self.0, "# TYPE {name} {kind}");
        if !unit.is_empty() {
            let _ = writeln!(self.0, "# UNIT {name} {unit}");
        }
        let _ = writeln!(self.0, "# HELP {name} {help}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: u64) {
        self.sample_text(name, labels, &value.to_string());
    }

    fn sample_text(&mut self, name: &str, labels: &[(&str, &str)], value: &str) {
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }

    fn estimates(&mut self, prefix: &str, help: &str, estimates: &[Labelled]) {
        for (end, which) in [
            ("", "the estimate"),
            ("_low", "lower end of the 95 % interval"),
            ("_high", "upper end of the 95 % interval"),
        ] {
            let name = format!("{prefix}{end}_bytes");
            self.family(&name, "gauge", "bytes", &format!("{help}: {which}."));
            for (labels, estimate) in estimates {
                let value = match end {
                    "_low" => estimate.low,
                    "_high" => estimate.high,
                    _ => estimate.estimate,
                };
                self.sample(&name, labels, whole(value));
            }
        }
    }
}

/// A label's value: `\`, `"` and line breaks have a meaning there.
fn escaped(value: &str) -> String {
    printable(value).replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
