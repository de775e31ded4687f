//! The definition of every kernel, in the plainest loops that say it.

mod activation;
mod attention;
mod functions;
pub(crate) mod integers;
mod matmul;
mod normalization;
mod reduction;
mod softmax;
pub(crate) mod stored;
mod windows;

use crate::dispatch::{Isa, Kernels};

/// The table that every CPU can run.
pub fn kernels() -> Kernels {
    Kernels {
        isa: Isa::Scalar,
        panel_width: 16,
        tile_rows: 1,
        rows_first: usize::MAX,
        digits: None,
        matmul: matmul::matmul,
        attention: attention::attention,
        attention_of_bfloat16: attention::attention_of_bfloat16,
        layer_norm: normalization::layer_norm,
        rms_norm: normalization::rms_norm,
        softmax: softmax::softmax,
        activate: activation::activate,
        evaluate: functions::evaluate,
        reduce: reduction::reduce,
        reduce_columns: reduction::reduce_columns,
        weighted_sum: reduction::weighted_sum,
        mean_pool: reduction::mean_pool,
        normalize_rows: reduction::normalize_rows,
        window_product: windows::window_product,
        window_row: windows::window_row,
        pointwise: windows::pointwise,
        accumulate: windows::accumulate,
        scale: windows::scale,
        to_pixels: windows::to_pixels,
        from_pixels: windows::from_pixels,
        multiply_adds: |rounds| (rounds / 16, (0..rounds).fold(0.0, |sum, _| sum * 0.5 + 0.5)),
    }
}
