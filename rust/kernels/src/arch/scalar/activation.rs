//! Activations, computed in double precision and rounded once.

use crate::Activation;

pub(super) fn activate(activation: Activation, data: &mut [f32]) {
    for x in data {
        *x = apply(activation, *x);
    }
}

pub(super) fn apply(activation: Activation, x: f32) -> f32 {
    match activation {
        Activation::Identity => x,
        // Not f32::max, which turns NaN into 0.
        Activation::Relu => {
            if x < 0.0 {
                0.0
            } else {
                x
            }
        }
        Activation::Gelu => gelu(f64::from(x)) as f32,
        Activation::Tanh => f64::from(x).tanh() as f32,
    }
}

fn gelu(x: f64) -> f64 {
    if x == f64::NEG_INFINITY {
        return 0.0;
    }
    0.5 * x * erfc(-x * std::f64::consts::FRAC_1_SQRT_2)
}

/// `1 - erf(x)`: the Taylor series of erf near zero, Lentz's continued fraction of erfc beyond.
fn erfc(x: f64) -> f64 {
    if x < 0.0 {
        return 2.0 - erfc(-x);
    }
    if x < 2.0 {
        // erf(x) = 2/sqrt(pi) * exp(-x^2) * sum of 2^n x^(2n+1) / (2n+1)!!, all terms positive.
        let (mut term, mut sum, mut odd) = (x, x, 1.0);
        while term > sum * 1e-17 {
            odd += 2.0;
            term *= 2.0 * x * x / odd;
            sum += term;
        }
        return 1.0 - std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp() * sum;
    }
    // erfc(x) = exp(-x^2)/sqrt(pi) / (x + 1/2/(x + 2/2/(x + 3/2/(x + ...)))), evaluated from the inside.
    let tail = (1..=60).rev().fold(x, |tail, n| x + f64::from(n) / 2.0 / tail);
    0.5 * std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp() / tail
}

#[cfg(test)]
mod tests {
    use super::{apply, erfc};
    use crate::Activation;

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
        }
    }

    #[test]
    fn nan_and_infinities_pass_through() {
        for activation in [Activation::Identity, Activation::Relu, Activation::Gelu, Activation::Tanh] {
            assert!(apply(activation, f32::NAN).is_nan(), "{activation:?}");
        }
        assert_eq!(apply(Activation::Gelu, f32::INFINITY), f32::INFINITY);
        assert_eq!(apply(Activation::Gelu, f32::NEG_INFINITY), 0.0);
    }
}
