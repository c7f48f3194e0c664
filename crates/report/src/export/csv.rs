//! Sites as comma-separated values (RFC 4180), a line each with a head: estimates with both ends of their intervals.
//!
//! A text cell that a spreadsheet would take for a formula (it begins with `=`, `+`, `-` or `@`) gets a `'` in front.
//! Lines end in a line feed alone, as the tools of Unix expect.

use std::fmt::Write;

use leakscope_analyze::{Estimate, Site, SiteFrame, Sites};

use super::JavaNames;
use crate::printable::printable;

const HEAD: &str = "site,kind,live_bytes,live_bytes_low,live_bytes_high,live_objects,live_objects_low,live_objects_high,\
                    allocated_bytes,allocated_bytes_low,allocated_bytes_high,samples,oldest_age_ms,frees_by_app,\
                    frees_by_gc,function,file,line,library,stack";

/// Every site that is live or ever allocated, most live bytes first. `function` to `library` are those of the reader's
/// own frame, `stack` is the whole one, leaf first.
pub fn csv(sites: &Sites, names: JavaNames) -> String {
    let mut text = format!("{HEAD}\n");
    for site in &sites.sites {
        let amounts = &site.amounts;
        let _ = write!(text, "{},{}", site.place.id, site.place.kind.as_str());
        bytes(&mut text, &amounts.live_bytes);
        objects(&mut text, &amounts.live_objects);
        bytes(&mut text, &amounts.allocated_bytes);
        let age = site.oldest_age_ms.map_or(String::new(), |age| age.to_string());
        let _ = write!(text, ",{},{age},{},{}", amounts.samples, amounts.freed.by_app, amounts.freed.by_gc);
        place(&mut text, sites, site, names);
        text.push('\n');
    }
    text
}

fn bytes(text: &mut String, e: &Estimate) {
    let _ = write!(text, ",{:.0},{:.0},{:.0}", e.estimate, e.low, e.high);
}

fn objects(text: &mut String, e: &Estimate) {
    let _ = write!(text, ",{:.3},{:.3},{:.3}", e.estimate, e.low, e.high);
}

fn place(text: &mut String, sites: &Sites, site: &Site, names: JavaNames) {
    let frames: Vec<&SiteFrame> = sites.frames.resolve(&site.place.frames).collect();
    let own = site.place.application.and_then(|at| frames.get(at));
    let line = own.map_or(0, |frame| frame.line);
    cell(text, &own.map_or(String::new(), |frame| names.shown(frame)));
    cell(text, &own.map_or(String::new(), |frame| printable(&frame.file).into_owned()));
    cell(text, &if line > 0 { line.to_string() } else { String::new() });
    cell(text, &own.map_or(String::new(), |frame| printable(&frame.library).into_owned()));
    let stack: Vec<String> = frames.iter().map(|frame| names.shown(frame)).collect();
    cell(text, &stack.join(" < "));
}

fn cell(text: &mut String, value: &str) {
    let guard = if value.starts_with(['=', '+', '-', '@']) { "'" } else { "" };
    text.push(',');
    if guard.is_empty() && !value.contains([',', '"', '\n', '\r']) {
        text.push_str(value);
        return;
    }
    let _ = write!(text, "\"{guard}{}\"", value.replace('"', "\"\""));
}
