//! What the shim file must and must not contain. These rules are what lets one file be preloaded into any program,
//! under glibc of any age and musl: it is read as an ELF file here, as the dynamic linker would.

use object::elf::{
    DF_1_NODELETE, DF_1_NOW, DF_STATIC_TLS, DT_FLAGS, DT_FLAGS_1, DT_NEEDED, DT_TEXTREL, DT_VERNEED, DynamicTag,
    PT_TLS, R_X86_64_DTPMOD64, R_X86_64_TLSDESC, R_X86_64_TPOFF64, RelocationType, STB_WEAK,
};
use object::read::elf::{ElfFile64, FileHeader, ProgramHeader};
use object::{LittleEndian, Object, ObjectSection, ObjectSymbol, RelocationFlags};
use std::collections::BTreeSet;

/// The shim that the CLI carries.
static SHIM: &[u8] = include_bytes!(env!("LEAKSCOPE_SHIM_FILE"));

/// Every allocation call and what else is interposed (DESIGN 3). One more here needs a line in ARCHITECTURE.md.
const EXPORTS: [&str; 42] = [
    "_ZdaPv",
    "_ZdaPvRKSt9nothrow_t",
    "_ZdaPvSt11align_val_t",
    "_ZdaPvSt11align_val_tRKSt9nothrow_t",
    "_ZdaPvm",
    "_ZdaPvmSt11align_val_t",
    "_ZdlPv",
    "_ZdlPvRKSt9nothrow_t",
    "_ZdlPvSt11align_val_t",
    "_ZdlPvSt11align_val_tRKSt9nothrow_t",
    "_ZdlPvm",
    "_ZdlPvmSt11align_val_t",
    "_Znam",
    "_ZnamRKSt9nothrow_t",
    "_ZnamSt11align_val_t",
    "_ZnamSt11align_val_tRKSt9nothrow_t",
    "_Znwm",
    "_ZnwmRKSt9nothrow_t",
    "_ZnwmSt11align_val_t",
    "_ZnwmSt11align_val_tRKSt9nothrow_t",
    "aligned_alloc",
    "calloc",
    "cfree",
    "free",
    "free_aligned_sized",
    "free_sized",
    "malloc",
    "malloc_usable_size",
    "memalign",
    "mlockall",
    "mmap",
    "mmap64",
    "mremap",
    "munmap",
    "posix_memalign",
    "pthread_create",
    "pvalloc",
    "realloc",
    "reallocarray",
    "shmat",
    "shmdt",
    "valloc",
];

/// What the compiler may call without being asked; every libc has these.
const COMPILER_CALLS: [&str; 6] = ["bcmp", "memcmp", "memcpy", "memmove", "memset", "strlen"];

/// Bytes of the file. It is mapped into every process of the target's tree, so it stays small.
const MOST_BYTES: usize = 172 << 10;
/// Bytes of static thread-local storage, which is scarce where other libraries are loaded late.
const MOST_TLS_BYTES: u64 = 128;

fn shim() -> ElfFile64<'static, LittleEndian> {
    ElfFile64::parse(SHIM).expect("the shim is an ELF file")
}

/// The dynamic section: pairs of tag and value.
fn dynamic(elf: &ElfFile64<'static, LittleEndian>) -> Vec<(DynamicTag, u64)> {
    let section = elf.section_by_name(".dynamic").expect("a shared library has a dynamic section");
    let words: Vec<u64> =
        section.data().unwrap().chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap())).collect();
    words.chunks_exact(2).map(|pair| (DynamicTag(pair[0] as _), pair[1])).collect()
}

fn flags(tag: DynamicTag) -> u64 {
    dynamic(&shim()).into_iter().find(|(found, _)| *found == tag).map_or(0, |(_, value)| value)
}

#[test]
fn it_exports_exactly_the_documented_symbols() {
    let elf = shim();
    let exports: BTreeSet<&str> =
        elf.dynamic_symbols().filter(|symbol| symbol.is_definition()).map(|symbol| symbol.name().unwrap()).collect();
    assert_eq!(exports, EXPORTS.into_iter().collect());
}

/// A strong reference would keep programs from starting where libc lacks it.
#[test]
fn what_it_takes_from_libc_may_be_absent() {
    let elf = shim();
    let strong: Vec<&str> = elf
        .dynamic_symbols()
        .filter(|symbol| symbol.is_undefined() && symbol.elf_symbol().st_bind() != STB_WEAK)
        .map(|symbol| symbol.name().unwrap())
        .filter(|name| !name.is_empty() && !COMPILER_CALLS.contains(name))
        .collect();
    assert_eq!(strong, [""; 0], "strong references");
}

#[test]
fn it_needs_no_library_no_symbol_version_and_no_text_relocation() {
    for (tag, _) in dynamic(&shim()) {
        assert!(![DT_NEEDED, DT_VERNEED, DT_TEXTREL].contains(&tag), "{tag:?} in the dynamic section");
    }
}

#[test]
fn it_is_bound_at_once_and_never_unloaded() {
    let flags = flags(DT_FLAGS_1);
    assert!(flags & DF_1_NODELETE.0 != 0, "a hook may be running when it is unloaded");
    assert!(flags & DF_1_NOW.0 != 0, "binding lazily takes locks inside of hooks");
}

/// `__tls_get_addr` can itself call malloc.
#[test]
fn its_thread_block_is_initial_exec() {
    let elf = shim();
    assert!(flags(DT_FLAGS) & DF_STATIC_TLS.0 != 0);
    let kinds: Vec<RelocationType> = elf
        .dynamic_relocations()
        .expect("a shared library has relocations")
        .filter_map(|(_, relocation)| match relocation.flags() {
            RelocationFlags::Elf { r_type } => Some(r_type),
            _ => None,
        })
        .collect();
    assert!(kinds.contains(&R_X86_64_TPOFF64));
    assert!(!kinds.contains(&R_X86_64_DTPMOD64) && !kinds.contains(&R_X86_64_TLSDESC));
    assert!(elf.dynamic_symbols().all(|symbol| symbol.name() != Ok("__tls_get_addr")));

    let headers = elf.elf_header().program_headers(LittleEndian, SHIM).unwrap();
    let blocks: Vec<u64> =
        headers.iter().filter(|h| h.p_type(LittleEndian) == PT_TLS).map(|h| h.p_memsz(LittleEndian)).collect();
    assert!(matches!(blocks[..], [bytes] if bytes <= MOST_TLS_BYTES), "{blocks:?}");
}

/// The symbol table is not stripped, so code that could panic would show.
#[test]
fn it_cannot_panic() {
    let elf = shim();
    assert!(elf.symbols().count() > EXPORTS.len(), "the symbol table is there");
    let signs = ["panic", "unwrap_failed", "expect_failed", "index_fail", "begin_unwind"];
    let panics: Vec<&str> = elf
        .symbols()
        .filter_map(|symbol| symbol.name().ok())
        .filter(|name| signs.iter().any(|sign| name.contains(sign)))
        .collect();
    assert_eq!(panics, [""; 0]);
}

/// A call that is not recorded fetches one line of instructions of ours, and the free of its block the same one.
#[test]
fn malloc_and_free_share_a_cache_line() {
    const LINE: u64 = 64;
    const JUMP_TO_THE_REAL_FUNCTION: [u8; 2] = [0xff, 0x25];
    let elf = shim();
    let code = elf.section_by_name(".text").expect("a shared library has code");
    let lines = |name: &str| {
        let symbol = elf.dynamic_symbols().find(|symbol| symbol.name() == Ok(name)).expect(name);
        let bytes = code.data_range(symbol.address(), symbol.size()).unwrap().expect("it is code");
        let jump = bytes.windows(2).position(|pair| pair == JUMP_TO_THE_REAL_FUNCTION).expect(name) as u64;
        (symbol.address() / LINE, (symbol.address() + jump + 5) / LINE)
    };
    for name in ["malloc", "free", "calloc", "realloc"] {
        let (first, last) = lines(name);
        assert_eq!(first, last, "{name} lies in two lines");
    }
    assert_eq!(lines("malloc"), lines("free"));
}

#[test]
fn it_is_small() {
    assert!(SHIM.len() <= MOST_BYTES, "{} bytes", SHIM.len());
}
