//! The random numbers of the sampler: eight bytes of state, good in every bit, a few nanoseconds.

/// SplitMix64 (Steele, Lea, Flood 2014): passes BigCrush, and every state, zero included, is a good one.
///
/// The state is public so that it can lie in a thread block that starts as zeroes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(transparent)]
pub struct Rng {
    /// Advances by a fixed odd constant at each draw.
    pub state: u64,
}

impl Rng {
    /// A generator for `seed`. Seeds may be close together (thread ids, addresses, times): they are mixed, or two
    /// threads would walk the same sequence a few steps apart.
    #[inline]
    pub const fn seeded(seed: u64) -> Rng {
        Rng { state: mix(seed ^ 0x6C65_616B_7363_6F70) }
    }

    /// 64 uniform random bits.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.state)
    }

    /// A uniform number in (0, 1], a multiple of 2^-53: its logarithm is always finite.
    #[inline]
    pub fn next_unit(&mut self) -> f64 {
        const UNIT: f64 = 1.0 / (1u64 << 53) as f64;
        ((self.next_u64() >> 11) + 1) as f64 * UNIT
    }
}

/// The finalizer of SplitMix64: a bijection in which every input bit moves every output bit.
#[inline]
const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_published_sequence() {
        // The reference implementation of SplitMix64, state 1234567.
        let mut rng = Rng { state: 1_234_567 };
        assert_eq!(rng.next_u64(), 6_457_827_717_110_365_317);
        assert_eq!(rng.next_u64(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn a_unit_is_never_zero_and_its_mean_is_a_half() {
        let mut rng = Rng::seeded(7);
        let n = 100_000;
        let mut sum = 0.0;
        for _ in 0..n {
            let u = rng.next_unit();
            assert!(u > 0.0 && u <= 1.0);
            sum += u;
        }
        // Five standard errors of a uniform mean.
        assert!((sum / n as f64 - 0.5).abs() < 5.0 * (1.0f64 / 12.0 / n as f64).sqrt());
    }

    #[test]
    fn neighbouring_seeds_do_not_share_a_sequence() {
        let mut seen = std::collections::HashSet::new();
        for seed in 0..1000 {
            let mut rng = Rng::seeded(seed);
            for _ in 0..10 {
                assert!(seen.insert(rng.next_u64()));
            }
        }
    }
}
