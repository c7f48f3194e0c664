//! From evidence to a judgement of one growth: a leak, within the budget, or not clear.

use crate::estimate::Estimate;
use crate::gate::combined::Combined;
use crate::gate::evidence::{Evidence, Going};
use crate::gate::{Judged, Status, Unclear};

/// What a growth is held against.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Measure {
    /// Bytes per unit that are put up with.
    pub budget: f64,
    /// What must not go unseen, bytes per unit.
    pub resolution: f64,
    /// Probability with which each end of the interval may fail.
    pub tail: f64,
    /// Iterations of all rounds together.
    pub span: f64,
}

/// Part of a growth that came in the first half of what filled.
const FILLED: f64 = 0.8;

/// The judgement of a site (or the total) from its rounds; `None` of no round.
///
/// What is not clear over the whole may have filled: most of it came in the first half and in the last third hardly
/// anything, or the second half alone is within the budget. That never makes a leak.
pub(super) fn judged(rounds: &[Evidence], live_bytes: [f64; 2], measure: &Measure) -> Option<Judged> {
    let whole: Vec<&Evidence> = rounds.iter().collect();
    let judged = judge(&whole, live_bytes, measure)?;
    let halves: Vec<&Evidence> = rounds.iter().filter_map(|round| round.second_half.as_deref()).collect();
    let is_open = matches!(judged.status, Status::Unclear(why) if why != Unclear::FewSamples);
    if !is_open || halves.len() < rounds.len() {
        return Some(judged);
    }
    let half = judge(&halves, live_bytes, &Measure { span: measure.span / 2.0, ..*measure })?;
    // Steps are not set aside twice: a leak may come in large pieces.
    let is_quiet = half.status == Status::Ok && halves.iter().all(|half| half.steps.is_empty());
    let has_filled = rounds.iter().all(|round| round.first_half >= FILLED && round.last_most <= measure.budget);
    Some(match is_quiet || has_filled {
        true => Judged { has_settled: true, status: Status::Ok, steps: judged.steps, ..half },
        false => judged,
    })
}

fn judge(rounds: &[&Evidence], live_bytes: [f64; 2], measure: &Measure) -> Option<Judged> {
    let combined = Combined::of(rounds)?;
    let half = combined.half_width(measure.tail);
    let growth = Estimate { estimate: combined.rate, low: combined.rate - half, high: combined.rate + half };
    Some(Judged {
        growth,
        chance: combined.chance(),
        budget: measure.budget,
        status: status(rounds, &combined, &growth, measure),
        minimum_detectable: measure.budget + combined.resolution(measure.tail),
        live_bytes,
        steps: rounds.iter().flat_map(|round| round.steps.iter().copied()).collect(),
        has_settled: false,
    })
}

fn status(rounds: &[&Evidence], combined: &Combined, growth: &Estimate, measure: &Measure) -> Status {
    let most = |test: &dyn Fn(&Evidence) -> bool| 2 * rounds.iter().filter(|round| test(round)).count() > rounds.len();
    if growth.low > measure.budget {
        return match () {
            () if !most(&|round| round.is_testable) => Status::Unclear(Unclear::FewSamples),
            () if most(&|round| round.course == Going::On) => Status::Leak,
            () if most(&|round| round.course == Going::Slowing) => Status::Unclear(Unclear::Slowing),
            () => Status::Unclear(Unclear::Noisy),
        };
    }
    // Two steps or more could be a leak that comes in large pieces.
    let steps: f64 = rounds.iter().flat_map(|round| &round.steps).sum();
    let has_stairs = rounds.iter().any(|round| round.steps.len() + round.more_steps >= 2);
    if has_stairs && steps / measure.span > measure.resolution {
        return Status::Unclear(Unclear::Steps);
    }
    let is_seen = growth.high <= measure.budget || combined.resolution(measure.tail) <= measure.resolution;
    match is_seen {
        true => Status::Ok,
        false if most(&|round| round.more_steps > 0) => Status::Unclear(Unclear::Steps),
        false => Status::Unclear(Unclear::Noisy),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::evidence::evidence;
    use crate::trend::Level;

    const MEASURE: Measure = Measure { budget: 16.0, resolution: 1024.0, tail: 1e-5, span: 200.0 };

    fn of(rounds: &[[f64; 10]]) -> Judged {
        let rounds: Vec<Evidence> = rounds
            .iter()
            .map(|increments| {
                let mut levels = vec![Level { at: 0.0, bytes: 0.0 }];
                for (at, increment) in increments.iter().enumerate() {
                    levels.push(Level { at: 20.0 * (at as f64 + 1.0), bytes: levels[at].bytes + increment });
                }
                evidence(&levels, MEASURE.tail, &|_| None).unwrap()
            })
            .collect();
        judged(&rounds, [0.0; 2], &Measure { span: 200.0 * rounds.len() as f64, ..MEASURE }).unwrap()
    }

    #[test]
    fn one_block_an_iteration_is_a_leak() {
        let leak = of(&[[1280.0; 10]]);
        assert_eq!(leak.status, Status::Leak);
        assert!((leak.growth.estimate - 64.0).abs() < 1e-6 && (leak.minimum_detectable - 16.0).abs() < 1e-3);
    }

    #[test]
    fn what_stays_is_ok() {
        assert_eq!(of(&[[0.0; 10]]).status, Status::Ok);
        assert_eq!(of(&[[0.0; 10]]).minimum_detectable, 16.0);
    }

    #[test]
    fn growth_within_the_budget_is_ok() {
        assert_eq!(of(&[[300.0; 10]]).status, Status::Ok);
    }

    #[test]
    fn one_step_is_ok_and_several_large_ones_are_not_clear() {
        let mut steps = [0.0; 10];
        steps[6] = 5e6;
        assert_eq!(of(&[steps]).status, Status::Ok);
        steps[3] = 5e6;
        assert_eq!(of(&[steps]).status, Status::Unclear(Unclear::Steps));
        steps[9] = 5e6;
        assert_eq!(of(&[steps]).status, Status::Unclear(Unclear::Steps));
        assert_eq!(of(&[steps.map(|step| step / 1e4)]).status, Status::Ok, "too small to matter");
    }

    #[test]
    fn what_fills_is_no_leak() {
        let filling: [f64; 10] = std::array::from_fn(|at| 1e5 * 0.8_f64.powi(at as i32));
        assert_ne!(of(&[filling]).status, Status::Leak);
        let filled: [f64; 10] = std::array::from_fn(|at| if at < 6 { 1e5 - 1.5e4 * at as f64 } else { 0.0 });
        assert!(of(&[filled]).status == Status::Ok && of(&[filled]).has_settled);
        let leaking = filled.map(|increment| increment + 1e4);
        assert!(matches!(of(&[leaking]).status, Status::Unclear(_)), "what leaks beside is not full");
    }

    /// A pool takes a chunk of 4 MiB for 512 blocks that are lost, and some small change when it begins.
    #[test]
    fn steps_that_go_on_have_not_filled() {
        let of = |increments: [f64; 20]| {
            let mut levels = vec![Level { at: 0.0, bytes: 0.0 }];
            for (at, increment) in increments.iter().enumerate() {
                levels.push(Level { at: 100.0 * (at as f64 + 1.0), bytes: levels[at].bytes + increment });
            }
            let evidence = evidence(&levels, MEASURE.tail, &|_| None).unwrap();
            judged(&[evidence], [0.0; 2], &Measure { span: 2000.0, ..MEASURE }).unwrap()
        };
        let mut pool = [0.0; 20];
        pool[..3].copy_from_slice(&[2048.0, 1024.0, 512.0]);
        for at in [4, 9, 14] {
            pool[at] = 4194304.0;
        }
        assert_eq!(of(pool).status, Status::Unclear(Unclear::Steps));
        let mut filled = pool;
        filled[14] = 0.0;
        assert!(of(filled).status == Status::Ok && of(filled).has_settled, "both came in the first half");
    }

    #[test]
    fn noise_that_could_hide_a_leak_is_not_clear() {
        let noise = [9e4, -7e4, 8e4, -9e4, 6e4, -5e4, 7e4, -8e4, 9e4, -6e4];
        assert_eq!(of(&[noise]).status, Status::Unclear(Unclear::Noisy));
        assert_eq!(of(&[noise.map(|n| n / 100.0)]).status, Status::Ok);
    }

    #[test]
    fn a_leak_in_one_of_three_rounds_is_not_one() {
        assert_ne!(of(&[[1280.0; 10], [0.0; 10], [0.0; 10]]).status, Status::Leak);
        assert_eq!(of(&[[1280.0; 10]; 3]).status, Status::Leak);
    }
}
