//! The definition of every kernel, in the plainest loops that say it.

mod activation;
mod attention;
mod matmul;
mod normalization;

use crate::dispatch::{Isa, Kernels};

/// The table that every CPU can run.
pub fn kernels() -> Kernels {
    Kernels {
        isa: Isa::Scalar,
        panel_width: 16,
        tile_rows: 1,
        matmul: matmul::matmul,
        attention: attention::attention,
        layer_norm: normalization::layer_norm,
        activate: activation::activate,
    }
}
