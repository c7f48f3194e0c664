//! A Rust library with generics and closures; build with -O.
use std::collections::HashMap;

pub struct Bag<T> {
    items: Vec<T>,
}

impl<T: Clone + std::fmt::Debug> Bag<T> {
    #[inline(always)]
    fn push(&mut self, item: T) {
        self.items.push(item);
    }

    #[inline(never)]
    pub fn describe(&self) -> Vec<String> {
        self.items.iter().map(|item| format!("<{item:?}>")).collect()
    }
}

#[no_mangle]
pub extern "C" fn mix_fill(count: u32) -> usize {
    let mut bag = Bag { items: Vec::new() };
    let mut seen: HashMap<u32, String> = HashMap::new();
    for i in 0..count {
        bag.push(i);
        seen.insert(i, format!("{i}"));
    }
    bag.describe().iter().map(String::len).sum::<usize>() + seen.len()
}
