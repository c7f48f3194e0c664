//! What `leakscope check` says: the same judgement for people and for machines.
//!
//! | file | makes |
//! |---|---|
//! | `text.rs` | text for a terminal and a job's log |
//! | `json.rs` | `leakscope.check/1`, documented in docs/json.md |
//! | `junit.rs` | JUnit XML: leaks are failures, what cannot be told is an error |
//! | `sarif.rs` | SARIF 2.1.0: a result a leak, at its line |
//! | `markdown.rs` | the summary of a job |
//! | `github.rs` | annotations of GitHub Actions |
//! | `words.rs` | the sentences that all of them share |

mod github;
mod json;
mod junit;
mod markdown;
mod sarif;
mod text;
mod words;

use leakscope_analyze::gate::{Finding, Gate, Status};
use leakscope_analyze::suppression::Suppression;
use leakscope_analyze::{FrameTable, Place, SiteFrame};

use crate::path::CallPath;
use crate::style::Glyphs;

pub use github::gate_github;
pub use json::gate_json;
pub use junit::{gate_junit, gate_junit_error};
pub use markdown::gate_markdown;
pub use sarif::gate_sarif;
pub use text::gate_text;

/// A judgement, and what it is said with.
#[derive(Clone, Copy)]
pub struct GateView<'a> {
    /// The judgement.
    pub gate: &'a Gate,
    /// The command under test, as people call it.
    pub command: &'a str,
    /// The suppressions that it was judged with, in their order.
    pub suppressions: &'a [Suppression],
    /// Where a source file that a frame names lies in the repository: `com/acme/Codec.java` is
    /// `src/main/java/com/acme/Codec.java`.
    pub source: &'a dyn Fn(&str) -> String,
}

impl GateView<'_> {
    /// What is not clear.
    fn unclear(&self) -> impl Iterator<Item = &Finding> {
        self.gate.findings.iter().filter(|finding| matches!(finding.judged.status, Status::Unclear(_)))
    }

    /// The line to change: file in the repository and line, where both are known.
    fn place(&self, finding: &Finding) -> Option<(String, u32)> {
        let frame = own_frame(&self.gate.frames, finding)?;
        (!frame.file.is_empty() && frame.line > 0).then(|| ((self.source)(&frame.file), frame.line))
    }
}

/// What a site is called where files of people name it: the reader's own frame and the way to the allocation, without lines.
pub fn site_name(frames: &FrameTable, place: &Place) -> String {
    CallPath::without_line(frames, place).fit(usize::MAX, &Glyphs::ASCII)
}

/// The reader's own frame.
fn own_frame<'a>(frames: &'a FrameTable, finding: &Finding) -> Option<&'a SiteFrame> {
    let place = &finding.place;
    place.application.and_then(|at| place.frames.get(at)).map(|id| frames.get(*id))
}
