//! Any text as a suppression file: reading returns, and every pattern it gives can be asked for a name.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../cli/src/exit.rs"]
#[allow(dead_code)]
mod exit;
#[path = "../../cli/src/sizes.rs"]
#[allow(dead_code)]
mod sizes;
#[path = "../../cli/src/suppressions.rs"]
#[allow(dead_code)]
mod suppressions;

fuzz_target!(|text: &str| {
    let Ok(all) = suppressions::parse(text) else { return };
    for suppression in all {
        assert!(suppression.line.is_some_and(|line| line as usize <= text.lines().count()));
        suppression.is_over_broad();
        suppression.pattern.is_in(text);
        suppression.pattern.is_in("com.acme.cache.OffHeapCache.put");
    }
});
