//! Any bytes as a loaded file: its first page, its unwind tables, and rules made of them.
//!
//! Input: four bytes, the offset of a pc; then a module. It is read as a first page, and once more as `.eh_frame_hdr`
//! with everything it points to behind it.
#![no_main]

use leakscope_unwind::eh_frame::{Tables, eh_frame_address};
use leakscope_unwind::elf::FirstPage;
use leakscope_unwind::reader::Region;
use leakscope_unwind::rule::Rule;
use libfuzzer_sys::fuzz_target;

/// Where the module is loaded.
const START: usize = 0x10000;

fuzz_target!(|bytes: &[u8]| {
    let Some((offset, module)) = bytes.split_first_chunk() else { return };
    let pc = START.wrapping_add_signed(i32::from_le_bytes(*offset) as isize);
    if let Some(page) = FirstPage::parse(module) {
        assert!(page.segments().count() <= module.len());
        page.load_segment(pc);
        page.first_load();
        page.eh_frame_hdr();
        assert!(page.build_id().is_none_or(|at| at < module.len()));
    }
    let header = Region::new(module, START);
    if eh_frame_address(header).is_none() {
        return;
    }
    let tables = Tables { header, frames: header };
    if let Some(function) = tables.find(pc) {
        function.is_signal_frame();
    }
    if let Ok(row) = tables.row(pc) {
        let rule = Rule::from_row(&row, pc);
        if let Some(word) = rule.pack() {
            assert_eq!(Rule::unpack(word), Some(rule));
        }
    }
});
