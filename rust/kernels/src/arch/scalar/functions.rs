//! Functions of one number, computed in double precision and rounded once.

use crate::Function;

pub(super) fn evaluate(function: Function, data: &mut [f32]) {
    for x in data {
        *x = apply(function, f64::from(*x)) as f32;
    }
}

fn apply(function: Function, x: f64) -> f64 {
    match function {
        Function::Exp => x.exp(),
        Function::Log => x.ln(),
        Function::Sin => x.sin(),
        Function::Cos => x.cos(),
        Function::Erf => erf(x),
        Function::Softplus => (if x < 0.0 { 0.0 } else { x }) + (-x.abs()).exp().ln_1p(),
        Function::Floor => x.floor(),
        Function::Ceil => x.ceil(),
        Function::RoundEven => x.round_ties_even(),
    }
}

fn erf(x: f64) -> f64 {
    if x.abs() < 2.0 { erf_series(x) } else { (1.0 - erfc(x.abs())).copysign(x) }
}

/// `2/sqrt(pi) * exp(-x^2) * sum of 2^n x^(2n+1) / (2n+1)!!`, all terms of one sign.
fn erf_series(x: f64) -> f64 {
    let (mut term, mut sum, mut odd) = (x, x, 1.0);
    while term.abs() > sum.abs() * 1e-17 {
        odd += 2.0;
        term *= 2.0 * x * x / odd;
        sum += term;
    }
    std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp() * sum
}

/// `1 - erf(x)`: the Taylor series of erf near zero, Lentz's continued fraction of erfc beyond.
pub(super) fn erfc(x: f64) -> f64 {
    if x < 0.0 {
        return 2.0 - erfc(-x);
    }
    if x < 2.0 {
        return 1.0 - erf_series(x);
    }
    // erfc(x) = exp(-x^2)/sqrt(pi) / (x + 1/2/(x + 2/2/(x + 3/2/(x + ...)))), evaluated from the inside.
    let tail = (1..=60).rev().fold(x, |tail, n| x + f64::from(n) / 2.0 / tail);
    0.5 * std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp() / tail
}

#[cfg(test)]
mod tests {
    use super::{erf, erfc};

    #[test]
    fn erfc_has_its_tabulated_values() {
        // To sixteen digits, from an arbitrary-precision computation.
        for (x, expected) in [
            (0.0, 1.0),
            (0.5, 0.479_500_122_186_953_5),
            (1.0, 0.157_299_207_050_285_13),
            (2.0, 0.004_677_734_981_047_266),
            (3.0, 2.209_049_699_858_544e-5),
            (-1.0, 1.842_700_792_949_715),
        ] {
            assert!((erfc(x) - expected).abs() <= 1e-14 * expected, "erfc({x}) = {}", erfc(x));
            assert!((erf(x) - (1.0 - expected)).abs() <= 1e-15, "erf({x}) = {}", erf(x));
        }
    }
}
