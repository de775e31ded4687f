//! Functions of one number with numbers of their own, which follow a convolution.

use crate::Activation;

/// A function of one number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pointwise {
    /// One without numbers of its own.
    Activate(Activation),
    /// `x + a`.
    Add(f32),
    /// `x * a`.
    Multiply(f32),
    /// Between two bounds; NaN stays NaN.
    Clamp(f32, f32),
    /// `alpha * x + beta`, rounded once, between 0 and 1.
    HardSigmoid(f32, f32),
    /// `x * (x + 3, between 0 and 6) / 6`.
    HardSwish,
    /// `alpha * x` below 0.
    LeakyRelu(f32),
}
