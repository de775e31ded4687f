//! Linear layers whose weights are kept in few bits, and that compute in floats.

use kernels::{Activation, Matmul, Rows, RowsMut, Steps, StoredMatmul, StoredMatrix, Weights};

use crate::{Engine, scratch};

/// Left-hand rows that a thread multiplies at a time, in tiles: as many as a panel is widened for.
const BLOCK_TILES: usize = 8;

/// The rows of a product whose multiplying takes as long as reading its weights, half of those for floats.
const READING_ROWS: usize = 3;

/// A constant right-hand side in few bits and what follows the product.
#[derive(Clone, Copy, Debug)]
pub struct StoredLayer<'a> {
    /// `[k, n]`, packed by the engine that runs this.
    pub weights: &'a StoredMatrix,
    /// One value per column.
    pub bias: Option<&'a [f32]>,
    /// Applied after the bias.
    pub activation: Activation,
    /// Multiplied after the activation, `[m, n]`.
    pub factor: Option<Rows<'a>>,
    /// Added last, `[m, n]`.
    pub residual: Option<Rows<'a>>,
}

impl Engine {
    /// Packs a constant right-hand side in few bits for [`Engine::stored_linear`]; see [`StoredMatrix::new`].
    pub fn pack_stored(
        &self,
        weights: Weights<'_>,
        shape: [usize; 2],
        strides: [usize; 2],
        steps: Option<Steps<'_>>,
    ) -> StoredMatrix {
        StoredMatrix::new(&self.kernels, weights, shape, strides, steps)
    }

    /// `activation(x @ weights + bias) * factor + residual`, row by row, with the bits of [`Engine::linear`].
    ///
    /// # Panics
    ///
    /// The shapes do not fit together, or the weights were packed for another instruction set.
    pub fn stored_linear(&self, x: Rows<'_>, layer: StoredLayer<'_>, out: &mut [f32]) {
        let (rows, n, panels) = (x.count(), layer.weights.n(), layer.weights.count());
        let wanted = self.pieces(2 * rows.max(READING_ROWS) * x.cols() * n);
        // Each piece widens the panels it multiplies by, so that few rows are better cut by panels.
        let blocks = rows.div_ceil(BLOCK_TILES * self.kernels.tile_rows).max(1);
        let height = rows.div_ceil(blocks).max(1);
        let each = panels.div_ceil(wanted.div_ceil(blocks).max(1)).max(1);
        let mut pieces = Vec::with_capacity(blocks * panels.div_ceil(each));
        let mut rest = RowsMut::new(out, rows, n, n).expect("output");
        for first_row in (0..rows).step_by(height) {
            let (mut block, after) = rest.split_at_row(height.min(rows - first_row));
            rest = after;
            for first in (0..panels).step_by(each) {
                let b = layer.weights.range(first, panels.min(first + each));
                let (own, others) = block.split_at_col(b.n());
                block = others;
                pieces.push((first_row, first * self.kernels.panel_width, b, own));
            }
        }
        let product = scratch::product();
        self.pool.for_each(pieces, |(first_row, first_col, b, out)| {
            let (count, cols) = (out.count(), out.cols());
            let after = |none, left_is_packed| Matmul {
                bias: layer.bias.map(|bias| &bias[first_col..first_col + cols]),
                activation: layer.activation,
                factor: layer.factor.map(|rows| rows.range(first_row, count).columns(first_col, cols)),
                residual: layer.residual.map(|rows| rows.range(first_row, count).columns(first_col, cols)),
                left_is_packed,
                ..Matmul::new(x.range(first_row, count), none)
            };
            scratch::with_left(product, first_row, |scratch, left_is_packed| {
                let task = StoredMatmul::new(|none| after(none, left_is_packed), b);
                self.stored.matmul(&task, &mut scratch.kernels, out);
            });
        });
    }
}

#[cfg(test)]
mod tests {
    use kernels::{Activation, Isa, Kernels, Rows, Steps, Weights, float16};

    use super::StoredLayer;
    use crate::{Engine, Layer};

    #[test]
    fn rows_and_panels_can_be_cut_and_widened_anywhere_without_changing_a_bit() {
        let (k, n) = (384, 300);
        let numbers = |count: usize, step: f32| (0..count).map(|i| (i as f32 * step).sin()).collect::<Vec<_>>();
        // Finite, of either sign.
        let halves: Vec<u16> = (0..k * n).map(|i| (i * i % 0x3C00) as u16 | ((i % 2) << 15) as u16).collect();
        let bytes: Vec<i8> = (0..k * n).map(|i| (i * i % 255) as u8 as i8).collect();
        let scales = vec![0.01; k / 32 * n];
        let steps = Steps { scales: &scales, zeros: None, block: 32 };
        let widened: [Vec<f32>; 2] = [
            halves.iter().map(|bits| float16::widen(*bits)).collect(),
            bytes.iter().map(|byte| f32::from(*byte) * 0.01).collect(),
        ];
        let (bias, x) = (numbers(n, 0.7), numbers(230 * k, 0.37));
        let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        for isa in Isa::available() {
            let kernels = Kernels::for_isa(isa).unwrap();
            for (kept, floats) in [(Weights::Float16(&halves), &widened[0]), (Weights::Int8(&bytes), &widened[1])] {
                let alone = Engine::new(kernels, 1);
                let packed = alone.pack(floats, [k, n], [n, 1]);
                for rows in [0, 1, 4, 13, 14, 20, 110, 230] {
                    let rows = if isa == Isa::Scalar { rows.min(4) } else { rows };
                    let residual = numbers(rows * n, 0.11);
                    let residual = Some(Rows::new(&residual, rows, n, n).unwrap());
                    let x = Rows::new(&x, rows, k, k).unwrap();
                    let (bias, activation, factor) = (Some(&bias[..]), Activation::Identity, None);
                    let mut want = vec![f32::MAX; rows * n];
                    alone.linear(x, Layer { weights: &packed, bias, activation, factor, residual }, &mut want);
                    for threads in [1, 3] {
                        let engine = Engine::new(kernels, threads);
                        let steps = matches!(kept, Weights::Int8(_)).then_some(steps);
                        let weights = &engine.pack_stored(kept, [k, n], [n, 1], steps);
                        let mut got = vec![f32::MAX; rows * n];
                        let layer = StoredLayer { weights, bias, activation, factor, residual };
                        engine.stored_linear(x, layer, &mut got);
                        assert_eq!(bits(&got), bits(&want), "{isa} {rows} {threads}");
                    }
                }
            }
        }
    }
}
