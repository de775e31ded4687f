//! Activations, computed in double precision and rounded once.

use super::functions::erfc;
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
        Activation::Gelu | Activation::CoarseGelu => gelu(f64::from(x)) as f32,
        Activation::GeluTanh | Activation::CoarseGeluTanh => gelu_tanh(f64::from(x)) as f32,
        Activation::Sigmoid => sigmoid(f64::from(x)) as f32,
        // Minus infinity times zero is not the limit.
        Activation::Silu if x == f32::NEG_INFINITY => 0.0,
        Activation::Silu => (f64::from(x) * sigmoid(f64::from(x))) as f32,
        Activation::Tanh => f64::from(x).tanh() as f32,
    }
}

fn gelu(x: f64) -> f64 {
    if x == f64::NEG_INFINITY {
        return 0.0;
    }
    0.5 * x * erfc(-x * std::f64::consts::FRAC_1_SQRT_2)
}

fn gelu_tanh(x: f64) -> f64 {
    // x * sigmoid(2u) is x/2 * (1 + tanh(u)) without the cancellation.
    let x = if x == f64::NEG_INFINITY { -1e3 } else { x };
    x * sigmoid(2.0 * (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x))
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

#[cfg(test)]
mod tests {
    use super::apply;
    use crate::Activation;

    #[test]
    fn nan_and_infinities_pass_through() {
        for (_, activation) in Activation::NAMES {
            let activation = *activation;
            assert!(apply(activation, f32::NAN).is_nan(), "{activation:?}");
        }
        for activation in [Activation::Gelu, Activation::GeluTanh, Activation::Silu] {
            assert_eq!(apply(activation, f32::INFINITY), f32::INFINITY, "{activation:?}");
            assert_eq!(apply(activation, f32::NEG_INFINITY), 0.0, "{activation:?}");
        }
    }
}
