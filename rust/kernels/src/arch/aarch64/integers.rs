//! Products in integers with the float lanes of NEON around plain loops, which the compiler makes vectors of.

use super::neon::Neon;
use crate::RowsMut;
use crate::arch::generic::integers::{self, Plain, integer_kernels};
use crate::arch::generic::quantise;
use crate::integers::{IntegerKernels, IntegerMatmul, Quantise, RowScale};
use crate::task::Scratch;

pub(crate) fn neon() -> Option<IntegerKernels> {
    std::arch::is_aarch64_feature_detected!("neon").then_some(integer_kernels!("neon", "neon", Neon(()), Plain))
}
