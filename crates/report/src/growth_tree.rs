//! The growth of every frame, callees included: what a growth flame graph shows.
//!
//! ```text
//! width of a stack   = the larger of its bytes before and after, so that what is gone is drawn too
//! width of a frame   = the sum over the stacks that pass through it
//! growth of a frame  = the same sum over their changes, with the interval of the whole
//! ```
//!
//! inferno colours a differential graph by what each frame allocates itself, so that only leaves would change colour
//! and the reader's own frame never. Here each frame bears its own growth in its name, and names have colours.

use std::collections::BTreeMap;
use std::fmt::Write;

use inferno::flamegraph::color::{Color, PaletteMap};
use leakscope_analyze::{Change, Diff, ERROR_RATE, Estimate, Growth};

use crate::export::{JavaNames, stack_names};
use crate::style::Glyphs;
use crate::units::{bytes, bytes_change};

/// Frames that share a name and all their callers.
#[derive(Default)]
struct Node {
    name: String,
    /// By name: their order is that of the picture.
    callees: BTreeMap<String, usize>,
    change: Change,
    /// Bytes after.
    after: f64,
    /// Bytes drawn, callees included, and those of stacks that end here.
    width: f64,
    own_width: f64,
}

/// The frames of a diff. The first node stands for all of it.
pub(crate) struct GrowthTree {
    nodes: Vec<Node>,
}

/// Widths below this part of the picture are not drawn by inferno, so nothing is worked out for them.
const NARROWEST: f64 = 0.0001;

impl GrowthTree {
    pub(crate) fn new(diff: &Diff) -> GrowthTree {
        let mut tree = GrowthTree { nodes: vec![Node::default()] };
        for growth in &diff.sites {
            tree.add(&stack_names(&diff.frames, &growth.place, JavaNames::Dots), growth);
        }
        tree
    }

    /// Adds one stack, root first.
    fn add(&mut self, names: &[String], growth: &Growth) {
        let (before, after) = (growth.baseline.bytes, growth.candidate.bytes);
        let width = before.max(after);
        let mut at = 0;
        for depth in 0..=names.len() {
            let node = &mut self.nodes[at];
            node.change.add(&growth.change);
            node.after += after;
            node.width += width;
            match names.get(depth) {
                Some(name) => at = self.callee(at, name),
                None => node.own_width += width,
            }
        }
    }

    fn callee(&mut self, caller: usize, name: &str) -> usize {
        if let Some(at) = self.nodes[caller].callees.get(name) {
            return *at;
        }
        let at = self.nodes.len();
        self.nodes.push(Node { name: name.to_owned(), ..Node::default() });
        self.nodes[caller].callees.insert(name.to_owned(), at);
        at
    }

    /// Folded stacks whose names tell each frame's growth, `Foo.bar +12.0 MiB ±0.4 of 31.0 MiB`, whole bytes as
    /// widths; and a colour for each name.
    pub(crate) fn folded(&self) -> (String, PaletteMap) {
        let mut lines = String::new();
        let mut palette = PaletteMap::default();
        palette.insert("", UNCHANGED);
        let narrowest = self.nodes[0].width * NARROWEST;
        // Each with the line of its callers; a stack of our own, since a recursion may be deep.
        let mut pending: Vec<(usize, String)> = vec![(0, String::new())];
        while let Some((at, callers)) = pending.pop() {
            let node = &self.nodes[at];
            let mut line = callers;
            if at > 0 {
                let (name, color) = label(node, node.width >= narrowest);
                if !line.is_empty() {
                    line.push(';');
                }
                line.push_str(&name);
                palette.insert(name, color);
            }
            if node.own_width.round() > 0.0 {
                let _ = writeln!(lines, "{line} {:.0}", node.own_width);
            }
            pending.extend(node.callees.values().map(|callee| (*callee, line.clone())));
        }
        (lines, palette)
    }
}

/// What a frame is called, and its colour.
fn label(node: &Node, is_drawn: bool) -> (String, Color) {
    if !is_drawn {
        return (node.name.clone(), UNCHANGED);
    }
    let growth = node.change.bytes_estimate(ERROR_RATE);
    let shown = bytes_change(&growth, &Glyphs::UNICODE).replace('(', "[").replace(')', "]");
    (format!("{} {shown} of {}", node.name, bytes(node.after)), color(&growth, node.width))
}

const UNCHANGED: Color = Color { r: 225, g: 225, b: 225 };

/// Red for growth and blue for shrinking, the fuller the more of the frame's width it is; all light enough for black
/// letters. Grey where it may be chance.
fn color(growth: &Estimate, width: f64) -> Color {
    if growth.may_be_zero() || width <= 0.0 {
        return UNCHANGED;
    }
    let part = (growth.estimate.abs() / width).clamp(0.0, 1.0);
    // 0 to 1 becomes 205 to 90.
    let paler = (205.0 - 115.0 * part) as u8;
    match growth.estimate > 0.0 {
        true => Color { r: 255, g: paler, b: paler },
        false => Color { r: paler, g: paler, b: 255 },
    }
}
