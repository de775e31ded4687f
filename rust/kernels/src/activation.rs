//! The functions of one number that the tables have.

/// Applied to each element of a matrix product after the bias; also by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activation {
    /// Leaves the sum as it is.
    #[default]
    Identity,
    /// `max(x, 0)`; NaN stays NaN.
    Relu,
    /// `x/2 * (1 + erf(x/sqrt(2)))`, the exact form.
    Gelu,
    /// `x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 * x^3)))`.
    GeluTanh,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// `x / (1 + exp(-x))`, also called swish.
    Silu,
    /// Hyperbolic tangent.
    Tanh,
    /// `Gelu` within 2e-4, for where what it is applied to and what follows are rounded to 8 bits.
    CoarseGelu,
    /// `GeluTanh` within 2.2e-4, for the same.
    CoarseGeluTanh,
}

impl Activation {
    /// The names by which callers outside Rust choose one.
    pub const NAMES: &'static [(&'static str, Activation)] = &[
        ("identity", Activation::Identity),
        ("relu", Activation::Relu),
        ("gelu", Activation::Gelu),
        ("gelu_tanh", Activation::GeluTanh),
        ("sigmoid", Activation::Sigmoid),
        ("silu", Activation::Silu),
        ("tanh", Activation::Tanh),
    ];

    /// What takes its place behind a product of rows that were rounded to 8 bits, each by its own range.
    ///
    /// The rounding is 2e-3 of the largest of a row's numbers, and ten times the error of what is put in its place.
    pub fn coarse(self) -> Activation {
        match self {
            Activation::Gelu => Activation::CoarseGelu,
            Activation::GeluTanh => Activation::CoarseGeluTanh,
            other => other,
        }
    }

    /// Looks a name up in [`Activation::NAMES`].
    pub fn from_name(name: &str) -> Option<Activation> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, activation)| *activation)
    }
}

/// A function of one number, applied to whole slices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// `e^x`, denormal results included.
    Exp,
    /// Natural logarithm.
    Log,
    /// Sine; the argument in radians, of any size.
    Sin,
    /// Cosine; the argument in radians, of any size.
    Cos,
    /// Error function.
    Erf,
    /// `ln(1 + e^x)`.
    Softplus,
    /// The largest integer that is not above.
    Floor,
    /// The smallest integer that is not below.
    Ceil,
    /// The nearest integer, ties to even.
    RoundEven,
}

impl Function {
    /// All of them.
    pub const ALL: &'static [Function] = &[
        Function::Exp,
        Function::Log,
        Function::Sin,
        Function::Cos,
        Function::Erf,
        Function::Softplus,
        Function::Floor,
        Function::Ceil,
        Function::RoundEven,
    ];
}
