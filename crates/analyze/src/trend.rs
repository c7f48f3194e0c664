//! How fast a level grows, bytes per hour with a 95 % interval, whatever noise lies on it.
//!
//! What is live jitters for two reasons: we sample it, and the program itself allocates and frees. The first is known
//! (`estimate.rs`), the second has to be read from the increments D between points dt hours apart, and there are two
//! kinds of it:
//!
//! ```text
//! level noise    a churning pool around its mean: what came in one increment goes in the next
//!                -> least squares on the levels, which are AR(1) around their line:     rate = slope
//! wandering      every increment an independent surprise that stays (a leak of random blocks; its sampling error)
//!                -> the mean increment:          rate = sum D / sum dt,    var = s^2 / sum dt,    s^2 = mean of (D - rate dt)^2 / dt
//! ```
//!
//! Which one it is says the autocorrelation rho of the levels around their line, corrected for the bias that a fitted
//! line puts on it, rho + (2 + 4 rho)/n. Where it is within 2.5/sqrt(n) of 1, or there are fewer than 8 increments, the level
//! is taken to wander, which is the wider of the two where it is wrong (after Perron and Yabu 2009, who take the nearest
//! 1/sqrt(n), too little for a few dozen points). Noise that is smooth over several increments is met by comparing blocks of
//! them: the interval is the wider of both. Quantiles are Student's, since s is known from few increments only.
//!
//! The caller adds what sampling and the moments of allocations alone leave open ([`Slope::with_counting`]).

use crate::estimate::Estimate;
use crate::student::{upper_quantile, upper_tail};

/// Fewest points of a trend.
pub(crate) const FEWEST_POINTS: usize = 5;
/// Fewest increments from which autocorrelation can be told.
const FEWEST_FOR_LEVELS: usize = 8;
/// Fewest increments that are compared in blocks.
const FEWEST_FOR_BLOCKS: usize = 12;
/// So many times 1/sqrt(n) below 1 a correlation is not told from 1.
const NEAR_ONE: f64 = 2.5;
/// Most blocks.
const MOST_BLOCKS: usize = 10;

/// One point of a level.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Level {
    /// Where on the axis of growth: hours, or a gate's iterations.
    pub at: f64,
    /// How much, bytes.
    pub bytes: f64,
}

/// How fast a level grows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Slope {
    /// Bytes per hour with the 95 % interval.
    pub rate: Estimate,
    /// Probability of such a growth where there is none.
    pub chance: f64,
    /// Standard deviation of what is added to the level in an hour, as far as it wanders.
    pub wandering: f64,
    /// Whether the level returns to its line, and does not wander.
    pub returns: bool,
    /// Its standard error, and what it is known from.
    pub error: SlopeError,
}

/// The standard error of a slope.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct SlopeError {
    /// By how single increments differ, or levels from their line; with its degrees of freedom.
    own: (f64, f64),
    /// By how blocks of increments differ.
    blocks: Option<(f64, f64)>,
}

impl SlopeError {
    /// The one that makes the wider interval whose ends fail with probability `tail` each, and its degrees of freedom.
    pub(crate) fn widest(&self, tail: f64) -> (f64, f64) {
        let half = |(error, degrees): (f64, f64)| error * upper_quantile(tail, degrees);
        match self.blocks {
            Some(blocks) if half(blocks) > half(self.own) => blocks,
            _ => self.own,
        }
    }
}

impl Slope {
    /// With what the counting of few blocks leaves open, as an interval of the same growth: what stays of every block adds
    /// to a level that returns to its line; a level that wanders has it in its increments already.
    pub(crate) fn with_counting(mut self, counting: &Estimate) -> Slope {
        let rate = self.rate.estimate;
        let (below, above) = (counting.estimate - counting.low, counting.high - counting.estimate);
        let both = |own: f64, other: f64| match self.returns {
            true => own.hypot(other),
            false => own.max(other),
        };
        self.rate = Estimate {
            estimate: rate,
            low: rate - both(rate - self.rate.low, below),
            high: rate + both(self.rate.high - rate, above),
        };
        self
    }
}

/// The slope of a level; `None` for fewer than [`FEWEST_POINTS`] points or where no time passes.
pub(crate) fn slope(levels: &[Level]) -> Option<Slope> {
    let span = levels.last()?.at - levels.first()?.at;
    if levels.len() < FEWEST_POINTS || span <= 0.0 {
        return None;
    }
    let increments: Vec<Level> = levels
        .windows(2)
        .map(|pair| Level { at: pair[1].at - pair[0].at, bytes: pair[1].bytes - pair[0].bytes })
        .filter(|increment| increment.at > 0.0)
        .collect();
    let wandering = wandering(&increments)?;
    let quiet = autocorrelation(levels, &increments).and_then(|rho| around_a_line(levels, &increments, rho));
    let deviation = wandering.deviation;
    let returns = quiet.is_some();
    let fit = quiet.unwrap_or(wandering);
    let error = SlopeError { own: (fit.error, fit.degrees), blocks: fit.blocks };
    let (widest, degrees) = error.widest(0.025);
    let half = widest * upper_quantile(0.025, degrees);
    let rate = Estimate { estimate: fit.rate, low: fit.rate - half, high: fit.rate + half };
    let chance = tail(fit.rate, fit.error, fit.degrees);
    Some(Slope { rate, chance, wandering: deviation, returns, error })
}

/// A slope with its standard error.
struct Fit {
    rate: f64,
    error: f64,
    degrees: f64,
    /// A second opinion on the error.
    blocks: Option<(f64, f64)>,
    deviation: f64,
}

fn tail(rate: f64, error: f64, degrees: f64) -> f64 {
    match () {
        () if error > 0.0 => upper_tail(rate / error, degrees),
        () if rate > 0.0 => 0.0,
        () => 1.0,
    }
}

/// The mean increment, and its error from how increments, and blocks of them, differ.
fn wandering(increments: &[Level]) -> Option<Fit> {
    let n = increments.len();
    let span: f64 = increments.iter().map(|i| i.at).sum();
    if n < 2 || span <= 0.0 {
        return None;
    }
    let rate = increments.iter().map(|i| i.bytes).sum::<f64>() / span;
    let deviation = deviation(increments, rate)?;
    let blocks = (n >= FEWEST_FOR_BLOCKS).then(|| blocks(increments, (n / 3).min(MOST_BLOCKS)));
    let blocks = blocks.and_then(|blocks| Some((self::deviation(&blocks, rate)?, blocks.len() as f64 - 1.0)));
    Some(Fit {
        rate,
        error: deviation / span.sqrt(),
        degrees: n as f64 - 1.0,
        blocks: blocks.map(|(deviation, degrees)| (deviation / span.sqrt(), degrees)),
        deviation,
    })
}

/// Of what is added in an hour, if the additions are independent.
fn deviation(increments: &[Level], rate: f64) -> Option<f64> {
    let n = increments.len();
    let squares = increments.iter().map(|i| (i.bytes - rate * i.at).powi(2) / i.at);
    (n >= 2).then(|| (squares.sum::<f64>() / (n as f64 - 1.0)).sqrt())
}

/// Neighbouring increments put together, in `count` blocks of about as many.
fn blocks(increments: &[Level], count: usize) -> Vec<Level> {
    let n = increments.len();
    let block = |at: usize| {
        let part = &increments[at * n / count..(at + 1) * n / count];
        Level { at: part.iter().map(|i| i.at).sum(), bytes: part.iter().map(|i| i.bytes).sum() }
    };
    (0..count).map(block).collect()
}

/// Autocorrelation of the levels around their line over the median gap, if they return to it; `None` if they wander.
fn autocorrelation(levels: &[Level], increments: &[Level]) -> Option<f64> {
    let n = levels.len() as f64;
    if increments.len() < FEWEST_FOR_LEVELS {
        return None;
    }
    let line = weighted_line(levels.iter().map(|l| (1.0, l.at, l.bytes)))?;
    let residuals: Vec<f64> = levels.iter().map(|l| l.bytes - line.start - line.slope * l.at).collect();
    let (mut products, mut squares) = (0.0, 0.0);
    for pair in residuals.windows(2) {
        products += pair[0] * pair[1];
        squares += pair[0] * pair[0];
    }
    if squares <= 0.0 {
        return None;
    }
    let rho = (n * products / squares + 2.0) / (n - 4.0);
    (rho < 1.0 - NEAR_ONE / n.sqrt()).then_some(rho.max(0.0))
}

/// Generalized least squares: levels whose noise returns with autocorrelation `rho` over the median gap.
fn around_a_line(levels: &[Level], increments: &[Level], rho: f64) -> Option<Fit> {
    let mut gaps: Vec<f64> = increments.iter().map(|i| i.at).collect();
    gaps.sort_by(f64::total_cmp);
    let median = gaps[gaps.len() / 2];
    let mut rows = vec![(1.0, levels[0].at, levels[0].bytes)];
    for pair in levels.windows(2) {
        let gap = pair[1].at - pair[0].at;
        let rho = if rho > 0.0 { rho.powf(gap / median) } else { 0.0 };
        let scale = (1.0 - rho * rho).sqrt();
        if scale <= 0.0 {
            return None;
        }
        rows.push((
            (1.0 - rho) / scale,
            (pair[1].at - rho * pair[0].at) / scale,
            (pair[1].bytes - rho * pair[0].bytes) / scale,
        ));
    }
    let line = weighted_line(rows.iter().copied())?;
    let degrees = rows.len() as f64 - 2.0;
    let squares: f64 = rows.iter().map(|(c, x, y)| (y - line.start * c - line.slope * x).powi(2)).sum();
    let error = (squares / degrees).sqrt() / line.information.sqrt();
    Some(Fit { rate: line.slope, error, degrees, blocks: None, deviation: 0.0 })
}

struct Line {
    start: f64,
    slope: f64,
    /// What the slope's variance is the residuals' variance over.
    information: f64,
}

/// Least squares of y on (c, x).
fn weighted_line(rows: impl Iterator<Item = (f64, f64, f64)>) -> Option<Line> {
    let (mut cc, mut cx, mut xx, mut cy, mut xy) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for (c, x, y) in rows {
        cc += c * c;
        cx += c * x;
        xx += x * x;
        cy += c * y;
        xy += x * y;
    }
    let information = xx - cx * cx / cc;
    if !(information > 0.0 && cc > 0.0) {
        return None;
    }
    let slope = (xy - cx * cy / cc) / information;
    Some(Line { start: (cy - slope * cx) / cc, slope, information })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels(bytes: &[f64]) -> Vec<Level> {
        bytes.iter().enumerate().map(|(at, bytes)| Level { at: at as f64, bytes: *bytes }).collect()
    }

    #[test]
    fn a_straight_line_has_no_error() {
        for n in [5, 9, 60] {
            let line: Vec<f64> = (0..n).map(|at| 100.0 + 7.0 * f64::from(at)).collect();
            let slope = slope(&levels(&line)).unwrap();
            assert!((slope.rate.estimate - 7.0).abs() < 1e-9 && slope.rate.half_width() < 1e-6, "{slope:?}");
            assert!(slope.chance < 1e-9);
        }
    }

    #[test]
    fn four_points_are_no_trend() {
        assert_eq!(slope(&levels(&[1.0, 2.0, 3.0, 4.0])), None);
        assert_eq!(slope(&[Level { at: 1.0, bytes: 1.0 }; 9]), None);
        assert_eq!(slope(&[]), None);
    }

    #[test]
    fn a_level_that_jitters_is_known_better_than_its_ends() {
        // Alternating noise: the ends differ by it, the line through all points hardly.
        let noisy: Vec<f64> = (0..40).map(|at| 10.0 * f64::from(at) + if at % 2 == 0 { 50.0 } else { -50.0 }).collect();
        let slope = slope(&levels(&noisy)).unwrap();
        assert!((slope.rate.estimate - 10.0).abs() < 1.0 && slope.rate.half_width() < 2.0, "{slope:?}");
    }

    #[test]
    fn a_level_that_wanders_is_known_by_its_ends() {
        // A sawtooth of one tooth in the window: no growth is proven.
        let tooth: Vec<f64> = (0..40).map(|at| f64::from((at + 10) % 30)).collect();
        let slope = slope(&levels(&tooth)).unwrap();
        assert!(slope.rate.may_be_zero(), "{slope:?}");
    }

    #[test]
    fn gaps_may_differ() {
        let hours = [0.0, 1.0, 1.5, 4.0, 4.1, 7.0, 9.0, 9.5, 12.0, 15.0, 16.0, 20.0];
        let line: Vec<Level> = hours.iter().map(|h| Level { at: *h, bytes: 3.0 * h }).collect();
        let slope = slope(&line).unwrap();
        assert!((slope.rate.estimate - 3.0).abs() < 1e-9, "{slope:?}");
    }
}
