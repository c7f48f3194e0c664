//! What other tools read: one file for each format.
//!
//! | file | for |
//! |---|---|
//! | `folded.rs` | flamegraph.pl, inferno, speedscope; and `flame` draws it |
//! | `speedscope.rs` | speedscope's own format: live and allocated bytes in one file |
//! | `dhat.rs` | DHAT's JSON: the Firefox Profiler and valgrind's dh_view |
//! | `csv.rs` | spreadsheets and scripts: sites with their intervals |
//! | `openmetrics.rs` | Prometheus and what reads its text |
//!
//! Formats that have no place for an interval get the estimate alone; CSV and OpenMetrics have both ends. Names are
//! those of reports ([`crate::printable`]), so that none of them steers the tool that reads it.

mod csv;
mod dhat;
mod folded;
mod openmetrics;
mod speedscope;

use leakscope_analyze::{FrameKind, Site, SiteFrame};

use crate::printable::printable;

pub use csv::csv;
pub use dhat::dhat;
pub use folded::{folded, folded_growth};
pub(crate) use folded::{frame_name, stack_names};
pub use openmetrics::openmetrics;
pub use speedscope::speedscope;

/// Which bytes are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Measure {
    /// Live now.
    #[default]
    Live,
    /// Allocated since recording started.
    Allocated,
}

impl Measure {
    /// The word used in options.
    pub fn as_str(self) -> &'static str {
        match self {
            Measure::Live => "live",
            Measure::Allocated => "alloc",
        }
    }

    /// The estimate of a site's bytes.
    fn of(self, site: &Site) -> f64 {
        match self {
            Measure::Live => site.amounts.live_bytes.estimate,
            Measure::Allocated => site.amounts.allocated_bytes.estimate,
        }
    }
}

/// How Java functions are spelt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum JavaNames {
    /// `java.util.zip.Deflater.init`, as in reports.
    #[default]
    Dots,
    /// `java/util/zip/Deflater.init`, as async-profiler writes them: tools that colour by what stands before the
    /// first dot then tell classes apart.
    Slash,
}

impl JavaNames {
    /// A frame's function on one line.
    fn shown(self, frame: &SiteFrame) -> String {
        let name = printable(&frame.function);
        match (self, frame.kind, name.rsplit_once('.')) {
            (JavaNames::Slash, FrameKind::Java, Some((class, method))) => {
                format!("{}.{method}", class.replace('.', "/"))
            }
            _ => name.into_owned(),
        }
    }
}

/// An estimate as a whole number; a float's cast saturates, and estimates are not negative.
fn whole(estimate: f64) -> u64 {
    estimate.round() as u64
}
