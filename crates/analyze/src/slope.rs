//! The slope of a row of measurements over time, with the interval that holds its truth in 95 of 100 cases.
//!
//! Least squares. Measurements of memory that follow each other are alike (what was there a second ago mostly still is),
//! so they count for fewer than they are: with the correlation r of neighbouring residuals
//!
//! ```text
//!   b = Sxy / Sxx        e = y - fit        variance of b = e'e / (n-2) / Sxx * (1+r)/(1-r)
//!   degrees of freedom = n (1-r)/(1+r) - 2, at least 1
//! ```
//! Source: Santer et al. 2000 (adjusted standard error and degrees of freedom). Worked: 100 points with r = 0.5 count
//! as 33; their interval is 1.75 times as wide.

use crate::estimate::Estimate;

/// Fewer points have no slope.
pub const FEWEST_POINTS: usize = 5;
/// A slope over less time says nothing about an hour.
const SHORTEST_MS: u64 = 10_000;
const MS_PER_HOUR: f64 = 3_600_000.0;
/// Correlations beyond this are taken for it: no amount of points would count.
const MOST_CORRELATION: f64 = 0.95;

/// Change per hour of what was measured as (milliseconds, amount), by time; `None` for too few points.
pub fn slope_per_hour(points: &[(u64, f64)]) -> Option<Estimate> {
    let (first, last) = (points.first()?.0, points.last()?.0);
    if points.len() < FEWEST_POINTS || last.saturating_sub(first) < SHORTEST_MS {
        return None;
    }
    let n = points.len() as f64;
    // From the middle, so that nothing is lost to rounding.
    let hours = |ms: u64| (ms as f64 - first as f64) / MS_PER_HOUR;
    let mean_x = points.iter().map(|(ms, _)| hours(*ms)).sum::<f64>() / n;
    let mean_y = points.iter().map(|(_, y)| y).sum::<f64>() / n;
    let centred = || points.iter().map(|(ms, y)| (hours(*ms) - mean_x, y - mean_y));
    let sxx: f64 = centred().map(|(x, _)| x * x).sum();
    let slope = centred().map(|(x, y)| x * y).sum::<f64>() / sxx;
    let residuals: Vec<f64> = centred().map(|(x, y)| y - slope * x).collect();
    let squares: f64 = residuals.iter().map(|e| e * e).sum();
    if !slope.is_finite() {
        return None;
    }
    let neighbours: f64 = residuals.iter().zip(residuals.iter().skip(1)).map(|(a, b)| a * b).sum();
    let correlation = if squares > 0.0 { (neighbours / squares).clamp(0.0, MOST_CORRELATION) } else { 0.0 };
    let inflation = (1.0 + correlation) / (1.0 - correlation);
    let error = (squares / (n - 2.0) / sxx * inflation).sqrt();
    let half = student_quantile((n / inflation - 2.0).max(1.0)) * error;
    Some(Estimate { estimate: slope, low: slope - half, high: slope + half })
}

/// The 97.5 % quantile of Student's distribution; within 1 % from 3 degrees of freedom on, exact for 1 and 2.
fn student_quantile(freedom: f64) -> f64 {
    const Z: f64 = 1.959_963_984_540_054;
    if freedom < 3.0 {
        // 12.71, 4.303, 3.182: a straight line between their logarithms.
        let (from, to, part) = match freedom {
            f if f < 2.0 => (12.706_f64, 4.303_f64, f - 1.0),
            f => (4.303, 3.182, f - 2.0),
        };
        return (from.ln() * (1.0 - part) + to.ln() * part).exp();
    }
    // Cornish and Fisher's expansion.
    let z = |power| Z.powi(power);
    let first = (z(3) + Z) / 4.0;
    let second = (5.0 * z(5) + 16.0 * z(3) + 3.0 * Z) / 96.0;
    let third = (3.0 * z(7) + 19.0 * z(5) + 17.0 * z(3) - 15.0 * Z) / 384.0;
    Z + first / freedom + second / freedom.powi(2) + third / freedom.powi(3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use leakscope_sampling::Rng;

    #[test]
    fn a_straight_line_has_its_slope() {
        let line: Vec<(u64, f64)> = (0..10).map(|n| (n * 60_000, 5.0 + n as f64)).collect();
        let slope = slope_per_hour(&line).unwrap();
        assert!((slope.estimate - 60.0).abs() < 1e-9 && slope.half_width() < 1e-6, "{slope:?}");
        assert!(slope_per_hour(&line[..4]).is_none(), "too few");
        let short: Vec<(u64, f64)> = (0..10).map(|n| (n * 100, 0.0)).collect();
        assert!(slope_per_hour(&short).is_none(), "too short");
        assert!(slope_per_hour(&[]).is_none());
    }

    #[test]
    fn quantiles_are_those_of_tables() {
        for (freedom, expected) in
            [(1.0, 12.706), (2.0, 4.303), (3.0, 3.182), (5.0, 2.571), (10.0, 2.228), (100.0, 1.984)]
        {
            let found = student_quantile(freedom);
            assert!((found / expected - 1.0).abs() < 0.01, "{freedom}: {found}");
        }
    }

    /// Noise whose neighbours are alike, around a known slope: the interval must hold the truth.
    #[test]
    fn intervals_cover_the_truth() {
        for alike in [0.0, 0.5] {
            let mut covered = 0;
            for seed in 0..400 {
                let mut rng = Rng::seeded(seed);
                let mut noise = 0.0;
                let points: Vec<(u64, f64)> = (0..120)
                    .map(|n| {
                        let uniform = rng.next_unit() - 0.5;
                        noise = alike * noise + uniform;
                        (n * 30_000, n as f64 / 120.0 * 7.0 + noise)
                    })
                    .collect();
                let slope = slope_per_hour(&points).unwrap();
                covered += u32::from(slope.low <= 7.0 && 7.0 <= slope.high);
            }
            assert!(covered >= 364, "{covered} of 400 with correlation {alike}");
        }
    }
}
