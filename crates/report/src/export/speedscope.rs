//! speedscope's own file format: <https://www.speedscope.app/file-format-schema.json>.
//!
//! Two profiles over one table of frames: live bytes, which it opens with, and bytes allocated since the start. Frames
//! carry file and line, which folded stacks cannot.

use std::collections::BTreeMap;

use leakscope_analyze::{FrameTable, Place, SiteFrame, Sites};
use leakscope_profile::model::Profile;
use serde::Serialize;

use super::{JavaNames, Measure, whole};
use crate::printable::printable;
use crate::words;

/// The file, one line.
pub fn speedscope(profile: &Profile, sites: &Sites, names: JavaNames) -> String {
    let mut frames = Frames { names, index: BTreeMap::new(), table: Vec::new() };
    let profiles = [
        sampled("live bytes", sites, Measure::Live, &mut frames),
        sampled("bytes allocated since the start", sites, Measure::Allocated, &mut frames),
    ];
    let file = File {
        schema: "https://www.speedscope.app/file-format-schema.json",
        name: words::target(profile),
        exporter: format!("leakscope {}", printable(&profile.settings.version)),
        active_profile_index: 0,
        shared: Shared { frames: frames.table },
        profiles,
    };
    // Text and numbers only: nothing here can fail to be written.
    serde_json::to_string(&file).map(|text| text + "\n").unwrap_or_default()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct File {
    #[serde(rename = "$schema")]
    schema: &'static str,
    name: String,
    exporter: String,
    active_profile_index: usize,
    shared: Shared,
    profiles: [Sampled; 2],
}

#[derive(Serialize)]
struct Shared {
    frames: Vec<Frame>,
}

#[derive(Serialize, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Frame {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Sampled {
    #[serde(rename = "type")]
    kind: &'static str,
    name: &'static str,
    unit: &'static str,
    start_value: u64,
    end_value: u64,
    /// Indexes of frames, root first.
    samples: Vec<Vec<usize>>,
    weights: Vec<u64>,
}

/// The frames met so far.
struct Frames {
    names: JavaNames,
    index: BTreeMap<Frame, usize>,
    table: Vec<Frame>,
}

impl Frames {
    fn stack(&mut self, table: &FrameTable, place: &Place) -> Vec<usize> {
        let mut stack: Vec<usize> = table.resolve(&place.frames).map(|frame| self.frame(frame)).collect();
        if stack.is_empty() {
            stack.push(self.intern(Frame { name: format!("[{}]", place.kind.as_str()), file: None, line: None }));
        }
        stack.reverse();
        stack
    }

    fn frame(&mut self, frame: &SiteFrame) -> usize {
        let file = match frame.file.as_str() {
            "" => &frame.library,
            file => file,
        };
        self.intern(Frame {
            name: self.names.shown(frame),
            file: (!file.is_empty()).then(|| printable(file).into_owned()),
            line: (frame.line > 0).then_some(frame.line),
        })
    }

    fn intern(&mut self, frame: Frame) -> usize {
        *self.index.entry(frame.clone()).or_insert_with(|| {
            self.table.push(frame);
            self.table.len() - 1
        })
    }
}

fn sampled(name: &'static str, sites: &Sites, measure: Measure, frames: &mut Frames) -> Sampled {
    let mut all = Sampled {
        kind: "sampled",
        name,
        unit: "bytes",
        start_value: 0,
        end_value: 0,
        samples: Vec::new(),
        weights: Vec::new(),
    };
    for site in &sites.sites {
        // speedscope refuses weights that are not positive.
        let weight = whole(measure.of(site));
        if weight > 0 {
            all.end_value = all.end_value.saturating_add(weight);
            all.samples.push(frames.stack(&sites.frames, &site.place));
            all.weights.push(weight);
        }
    }
    all
}
