//! Flame graphs as SVG, drawn by inferno: live or allocated bytes, and growth.
//!
//! Green is Java, yellow native code, grey neither. In a growth graph a stack is as wide as its bytes before or after,
//! whichever is more, so that what is gone can be seen too; each frame bears its growth, callees included, and red is
//! more than before, blue less (`growth_tree.rs`).
//! The same profile gives the same bytes: colours come from names, not from chance.

use std::io::{self, Write};

use inferno::flamegraph::color::{BasicPalette, Color, PaletteMap};
use inferno::flamegraph::{self, Direction, Options, Palette, TextTruncateDirection};
use leakscope_analyze::{Diff, Estimate, FrameKind, FrameTable, Place, Sites};
use leakscope_profile::model::Profile;

use crate::export::{JavaNames, Measure, folded, frame_name};
use crate::growth_tree::GrowthTree;
use crate::style::Glyphs;
use crate::units::{bytes_change, bytes_estimate, duration, time_utc};
use crate::words;

/// Draws live or allocated bytes.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] if there are no bytes to draw; else what `out` answers.
pub fn flame(profile: &Profile, sites: &Sites, measure: Measure, out: impl Write) -> io::Result<()> {
    let total = match measure {
        Measure::Live => &sites.total.live_bytes,
        Measure::Allocated => &sites.total.allocated_bytes,
    };
    let what = match measure {
        Measure::Live => "live native memory",
        Measure::Allocated => "native memory allocated since the start",
    };
    let title = format!("{what}: {}", words::target(profile));
    let places = sites.sites.iter().map(|site| &site.place);
    let mut palette = palette(&sites.frames, places);
    let mut options = options(title, subtitle(total, profile), &mut palette);
    draw(&mut options, &folded(sites, measure, JavaNames::Dots), out)
}

/// Draws growth: widths are the bytes before or after, whichever is more, colours the change.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] if nothing is live in either; else what `out` answers.
pub fn flame_growth(a: &Profile, b: &Profile, diff: &Diff, out: impl Write) -> io::Result<()> {
    let title = format!("growth of live native memory: {}", words::target(b));
    let span = match diff.elapsed_ms {
        Some(ms) if ms >= 0 => format!("in {}", duration(ms.unsigned_abs())),
        _ => {
            format!("from {} to {}", time_utc(a.snapshot.time_unix_ns, false), time_utc(b.snapshot.time_unix_ns, false))
        }
    };
    let subtitle = format!(
        "{} {span} - width: before or after, whichever is more - red: grew, blue: shrank, grey: no clear change",
        bytes_change(&diff.growth_bytes, &Glyphs::UNICODE),
    );
    let (lines, mut palette) = GrowthTree::new(diff).folded();
    let mut options = options(title, subtitle, &mut palette);
    // The number that inferno adds to a name is its width.
    options.count_name = "bytes before or after".to_owned();
    // Where there is no room for both, the name matters more than the growth: the colour tells that.
    options.text_truncate_direction = TextTruncateDirection::Right;
    draw(&mut options, &lines, out)
}

fn subtitle(total: &Estimate, profile: &Profile) -> String {
    format!(
        "{} - {} - {} - up {} - green: Java, yellow: native",
        bytes_estimate(total, &Glyphs::UNICODE),
        words::sampling(profile),
        time_utc(profile.snapshot.time_unix_ns, false),
        duration(profile.snapshot.uptime_ms),
    )
}

fn options<'a>(title: String, subtitle: String, palette: &'a mut PaletteMap) -> Options<'a> {
    let mut options = Options::default();
    options.title = title;
    options.subtitle = Some(subtitle);
    options.count_name = "bytes".to_owned();
    options.name_type = "Frame:".to_owned();
    options.colors = Palette::Basic(BasicPalette::Orange);
    options.deterministic = true;
    options.palette_map = Some(palette);
    // Roots at the top: the picture begins where the eye does, however tall it is. Its width is the window's.
    options.direction = Direction::Inverted;
    options
}

fn draw(options: &mut Options<'_>, lines: &str, mut out: impl Write) -> io::Result<()> {
    // inferno would write a graph that says so, and an error; a caller wants one or the other.
    let has_bytes = lines.lines().any(|line| !line.ends_with(" 0"));
    if !has_bytes {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "there are no bytes to draw"));
    }
    flamegraph::from_lines(options, lines.lines(), &mut out)?;
    out.flush()
}

/// A colour for each name that will be drawn.
fn palette<'a>(table: &FrameTable, places: impl Iterator<Item = &'a Place>) -> PaletteMap {
    let mut palette = PaletteMap::default();
    // inferno's own frame at the bottom, which stands for all.
    palette.insert("", color(FrameKind::Marker, ""));
    for place in places {
        for frame in table.resolve(&place.frames) {
            let name = frame_name(frame, JavaNames::Dots);
            if palette.get(&name).is_none() {
                let color = color(frame.kind, &name);
                palette.insert(name, color);
            }
        }
    }
    palette
}

/// A shade of the kind's colour that depends on the name alone; all light enough for black letters.
fn color(kind: FrameKind, name: &str) -> Color {
    let hash = name.bytes().fold(0xCBF2_9CE4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01B3));
    let shade = (hash >> 40) as u8 % 50;
    match kind {
        FrameKind::Java => Color { r: 90 + shade, g: 190 + shade, b: 90 + shade },
        FrameKind::Native => Color { r: 205 + shade, g: 165 + shade, b: 70 },
        FrameKind::Marker => Color { r: 190, g: 190, b: 190 },
    }
}
