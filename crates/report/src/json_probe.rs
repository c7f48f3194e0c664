//! The JSON of `leakscope probe`: `leakscope.probe/1`.

use leakscope_analyze::{FrameTable, Release};
use serde::Serialize;

use crate::json::{JsonEstimate, JsonFrame, bytes, frames, line};
use crate::json_rss::{JsonRss, rss};
use crate::text_probe::Probed;

/// `leakscope.probe/1`, one line and a line break.
pub fn json_probe(probed: &Probed<'_>) -> String {
    let releases = probed.releases;
    line(&JsonProbe {
        schema: "leakscope.probe/1",
        what: probed.what,
        target: JsonProbeTarget { pid: probed.target.pid, command: &probed.target.command, exe: &probed.target.exe },
        took_ms: probed.took_ms,
        said: Some(probed.said.trim()).filter(|said| !said.is_empty()),
        live_bytes: releases.map(|releases| bytes(&releases.before_bytes)),
        released_bytes: releases.map(|releases| bytes(&releases.released_bytes)),
        sites: releases.map(|releases| releases.sites.iter().map(|one| site(&releases.frames, one)).collect()),
        before: rss(probed.before),
        after: rss(probed.after),
    })
}

#[derive(Serialize)]
struct JsonProbe<'a> {
    schema: &'static str,
    what: &'a str,
    target: JsonProbeTarget<'a>,
    took_ms: u64,
    said: Option<&'a str>,
    live_bytes: Option<JsonEstimate>,
    released_bytes: Option<JsonEstimate>,
    sites: Option<Vec<JsonRelease<'a>>>,
    before: JsonRss,
    after: JsonRss,
}

#[derive(Serialize)]
struct JsonProbeTarget<'a> {
    pid: u32,
    command: &'a [String],
    exe: &'a str,
}

#[derive(Serialize)]
struct JsonRelease<'a> {
    id: String,
    kind: &'static str,
    live_bytes: JsonEstimate,
    released_bytes: JsonEstimate,
    significant: bool,
    frees_by_gc: u64,
    frees_by_app: u64,
    frames: Vec<JsonFrame<'a>>,
}

fn site<'a>(table: &'a FrameTable, release: &'a Release) -> JsonRelease<'a> {
    JsonRelease {
        id: release.place.id.to_string(),
        kind: release.place.kind.as_str(),
        live_bytes: bytes(&release.before_bytes),
        released_bytes: bytes(&release.released_bytes),
        significant: release.is_certain,
        frees_by_gc: release.freed.by_gc,
        frees_by_app: release.freed.by_app,
        frames: frames(table, &release.place),
    }
}
