//! Allocators that stand in leakscope's way: linked into a program under names of their own, or in place of malloc.

use leakscope_collect::ProcessFacts;
use leakscope_symbolize::defined_functions;
use std::fs::File;
use std::path::Path;

/// A function that only this allocator has, and what the allocator is called. A stripped program may hide them.
const SIGNS: [(&str, &str); 10] = [
    ("je_malloc", "jemalloc"),
    ("_rjem_malloc", "jemalloc"),
    ("_rjem_je_malloc_default", "jemalloc"),
    ("mi_malloc", "mimalloc"),
    ("tc_malloc", "tcmalloc"),
    ("TCMallocInternalMalloc", "tcmalloc"),
    ("sn_malloc", "snmalloc"),
    ("rpmalloc", "rpmalloc"),
    ("scalable_malloc", "tbbmalloc"),
    ("runtime.mallocgc", "Go's allocator"),
];

/// Names of the allocators that are linked into a program.
pub fn linked_into(program: &File) -> Vec<String> {
    let found = defined_functions(program, &SIGNS.map(|(function, _)| function));
    let mut names: Vec<String> =
        SIGNS.iter().zip(found).filter(|(_, found)| *found).map(|((_, name), _)| (*name).to_owned()).collect();
    names.dedup();
    names
}

/// The same for a process; none where its executable cannot be read.
pub fn of_process(facts: &ProcessFacts) -> Vec<String> {
    facts.root.open(Path::new(&facts.exe)).map_or_else(|_| Vec::new(), |file| linked_into(&file))
}

/// What the user hears of a process whose malloc is not recorded.
pub fn bypass(process: &str, file: &str, exe: &str) -> String {
    format!("{process}: {}. {}.", bypass_reason(file, exe), bypass_advice(file, exe))
}

/// Why malloc of a process is not recorded.
pub fn bypass_reason(file: &str, exe: &str) -> String {
    let why = if file == exe {
        "the program has a malloc of its own".to_owned()
    } else {
        format!("its calls go to {file}, which was loaded before leakscope's library")
    };
    format!("malloc is NOT recorded, only mappings and threads are: {why}")
}

/// What to do about it.
pub fn bypass_advice(file: &str, exe: &str) -> String {
    if file == exe {
        return "Only a build of it that uses the system's malloc can be recorded".to_owned();
    }
    format!("Where LD_PRELOAD is set for the program, name it last: LD_PRELOAD=\"$LD_PRELOAD:{file}\"")
}

/// What the user hears of a process with allocators inside.
pub fn inside(process: &str, names: &[String]) -> String {
    format!(
        "{process}: {} is linked into the program: what is allocated through it shows only as the memory it maps",
        names.join(" and ")
    )
}
