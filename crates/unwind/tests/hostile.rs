//! Tables, headers and stacks full of nonsense: no panic, no hang, nothing read outside.
//!
//! The parsers are pure functions over slices, so a read outside would be a panic here, and the bound on opcodes is
//! what makes the loops end. Seeds are fixed: a failure repeats.

#![allow(unsafe_code)] // bounds of a stack that the test made itself

use leakscope_unwind::cfa::{Cfa, Fault};
use leakscope_unwind::elf::FirstPage;
use leakscope_unwind::{End, Registers, RuleCache, StackBounds, walk};
use object_tables::{ObjectTables, libc_path};

#[path = "support/object_tables.rs"]
mod object_tables;

/// xorshift64* (Vigna).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// A byte as corruption likes them: extremes as often as random ones.
    fn byte(&mut self) -> u8 {
        match self.below(4) {
            0 => 0xff,
            1 => 0x00,
            2 => 0x80,
            _ => self.next() as u8,
        }
    }
}

#[test]
fn corrupt_tables_give_rows_or_faults() {
    let whole = ObjectTables::read(&libc_path());
    let functions: Vec<usize> = (0..64).map(|n| whole.header_address.wrapping_sub(0x10_0000 + n * 0x1234)).collect();
    let sound = functions.iter().filter(|pc| whole.tables().row(**pc).is_ok()).count();
    assert!(sound > 32, "only {sound} of {} pcs have rows before anything is corrupt", functions.len());
    let mut random = Random(0x1ea5_c0be);
    let (mut rows, mut faults) = (0, 0);
    let mut corrupt = whole.clone();
    for round in 0..3000 {
        // The first KiB (CIE, the first FDEs and entries) is read by all: aim half of the hits there.
        let near = if round % 2 == 0 { 1024 } else { usize::MAX };
        for _ in 0..random.below(40) {
            let at = random.below(corrupt.frames.len().min(near));
            corrupt.frames[at] = random.byte();
            let at = random.below(corrupt.header.len().min(near));
            corrupt.header[at] = random.byte();
        }
        for pc in functions.iter().copied().chain([0, usize::MAX, corrupt.frames_address]) {
            match corrupt.tables().row(pc) {
                Ok(_) => rows += 1,
                Err(_) => faults += 1,
            }
        }
        if round % 10 == 9 {
            corrupt.clone_from(&whole);
        }
    }
    println!("{rows} rows, {faults} faults");
    assert!(rows > 1000 && faults > 1000);
}

#[test]
fn programs_of_random_opcodes_end() {
    let whole = ObjectTables::read(&libc_path());
    let mut random = Random(77);
    let mut corrupt = whole.clone();
    for _ in 0..30 {
        // Everything behind the first records becomes one huge program of noise.
        for byte in corrupt.frames.iter_mut().skip(64) {
            *byte = random.byte();
        }
        for n in 0..200 {
            let pc = whole.header_address.wrapping_sub(0x10_0000 + n * 0x777);
            std::hint::black_box(corrupt.tables().row(pc).is_ok());
        }
    }
}

/// Tables of one function of 2^31 bytes at address 0 whose program is `program`.
fn one_function(program: &[u8]) -> ObjectTables {
    const FRAMES: i32 = 0x1000;
    const HEADER: i32 = 0x800;
    // CIE: length, id 0, version 1, "zR", alignments 1 and -8, return address 16, encoding absolute udata4.
    let mut frames = vec![16, 0, 0, 0, 0, 0, 0, 0, 1, b'z', b'R', 0, 1, 0x78, 16, 1, 0x03, 0x90, 1, 0];
    let fde = FRAMES + frames.len() as i32;
    frames.extend((13 + program.len() as u32).to_le_bytes());
    frames.extend(24_u32.to_le_bytes()); // distance to the CIE
    frames.extend(0_u32.to_le_bytes());
    frames.extend((1_u32 << 31).to_le_bytes());
    frames.push(0); // augmentation length
    frames.extend(program);
    let mut header = vec![1, 0x03, 0x03, 0x3b];
    for word in [FRAMES, 1, -HEADER, fde - HEADER] {
        header.extend(word.to_le_bytes());
    }
    ObjectTables { header, header_address: HEADER as usize, frames, frames_address: FRAMES as usize }
}

#[test]
fn work_is_bounded_whatever_the_program_says() {
    /// The CFA's register and offset at the first pc.
    fn row(program: &[u8]) -> Result<(u64, i64), Fault> {
        match one_function(program).tables().row(0)?.cfa {
            Cfa::Register { register, offset } => Ok((register, offset)),
            Cfa::Expression(bytes) => panic!("{bytes:x?}"),
        }
    }
    let sound = (7, 8);
    assert_eq!(row(&[0x0c, 7, 8]), Ok(sound), "def_cfa rsp + 8");
    assert_eq!(row(&[[0x0c, 7, 8].as_slice(), &[0; 60_000]].concat()), Ok(sound), "60,000 nops");
    assert_eq!(row(&[0; 70_000]), Err(Fault::TooLong));
    assert_eq!(row(&[0x40; 70_000]), Err(Fault::TooLong), "70,000 advances by 0");
    assert!(row(&[0x0a; 8]).is_ok(), "8 remembered rows");
    assert_eq!(row(&[0x0a; 9]), Err(Fault::TooLong));
    assert_eq!(row(&[0x0b]), Err(Fault::Corrupt), "nothing remembered");
    assert_eq!(row(&[0x3f]), Err(Fault::UnknownOpcode(0x3f)));
    assert_eq!(row(&[0x0e]), Err(Fault::Corrupt), "cut operand");
}

#[test]
fn tables_cut_anywhere() {
    let whole = ObjectTables::read(&libc_path());
    let pc = (0..64).map(|n| whole.header_address.wrapping_sub(0x10_0000 + n * 0x1234));
    let pc = pc.into_iter().find(|pc| whole.tables().row(*pc).is_ok()).unwrap();
    for length in (0..whole.frames.len()).step_by(997) {
        let mut cut = whole.clone();
        cut.frames.truncate(length);
        let read = cut.tables().row(pc).is_ok();
        assert!(!read || length > 64, "a row out of {length} bytes");
        cut.header.truncate(length % 64);
        assert!(cut.tables().row(pc).is_err(), "a row without a table");
    }
}

#[test]
fn corrupt_file_headers() {
    let page = std::fs::read(libc_path()).unwrap()[..4096].to_vec();
    let mut random = Random(4096);
    for _ in 0..20_000 {
        let mut corrupt = page.clone();
        for _ in 0..random.below(8) {
            corrupt[random.below(1024)] = random.byte();
        }
        let Some(first) = FirstPage::parse(&corrupt) else { continue };
        std::hint::black_box((first.eh_frame_hdr(), first.first_load(), first.load_segment(random.next() as usize)));
        assert!(first.build_id().is_none_or(|at| at <= 4096 - 8));
    }
}

#[test]
fn stacks_of_noise_never_lead_outside() {
    static CACHE: RuleCache = RuleCache::new();
    let code = [
        stacks_of_noise_never_lead_outside as fn() as usize,
        libc::qsort as *const () as usize,
        libc::printf as *const () as usize,
        Random::next as fn(&mut Random) -> u64 as usize,
    ];
    let mut random = Random(31);
    let mut ends = std::collections::BTreeMap::<String, usize>::new();
    for _ in 0..20_000 {
        let mut stack = [0_usize; 256];
        let low = stack.as_ptr() as usize;
        for word in &mut stack {
            *word = match random.below(4) {
                0 => code[random.below(code.len())] + random.below(4096),
                1 => low + random.below(2048 + 64),
                2 => low + random.below(256) * 8,
                _ => random.next() as usize,
            };
        }
        // SAFETY: the whole array, which outlives the walk.
        let bounds = unsafe { StackBounds::known(low, low + size_of_val(&stack)) };
        let start = Registers {
            pc: code[random.below(code.len())] + random.below(2048),
            sp: low + random.below(64) * 8,
            bp: stack[random.below(stack.len())],
        };
        let mut out = [0; 300];
        let walk = walk(start, bounds, &CACHE, &mut out.as_mut_slice());
        assert!(walk.frames <= 257, "more frames than the stack has words");
        assert_ne!(walk.end, End::DepthLimit);
        *ends.entry(format!("{:?}", walk.end)).or_default() += 1;
    }
    println!("{ends:?}");
    assert!(ends.len() >= 3, "{ends:?}");
}
