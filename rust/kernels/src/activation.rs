//! The functions that can follow a matrix product.

/// Applied to each element after the bias and before the residual.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activation {
    /// Leaves the sum as it is.
    #[default]
    Identity,
    /// `max(x, 0)`; NaN stays NaN.
    Relu,
    /// `x/2 * (1 + erf(x/sqrt(2)))`, the exact form.
    Gelu,
    /// Hyperbolic tangent.
    Tanh,
}

impl Activation {
    /// The names by which callers outside Rust choose one.
    pub const NAMES: [(&'static str, Activation); 4] = [
        ("identity", Activation::Identity),
        ("relu", Activation::Relu),
        ("gelu", Activation::Gelu),
        ("tanh", Activation::Tanh),
    ];

    /// Looks a name up in [`Activation::NAMES`].
    pub fn from_name(name: &str) -> Option<Activation> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, activation)| *activation)
    }
}
