//! Linear layers whose weights are kept in few bits, and that compute in floats.

use kernels::{Activation, Matmul, Rows, RowsMut, Steps, StoredMatmul, StoredMatrix, Weights};

use crate::{Engine, scratch};

/// Left-hand rows that a thread multiplies at a time, in tiles: as many as the panels' floats are made for.
const BLOCK_TILES: usize = 8;

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
        let wanted = self.pieces(2 * rows * x.cols() * n);
        // Each piece makes floats of the panels it multiplies by, so that few rows are better cut by panels.
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
        self.pool.for_each(pieces, |(first_row, first_col, b, out)| {
            let (count, cols) = (out.count(), out.cols());
            let after = |none| Matmul {
                bias: layer.bias.map(|bias| &bias[first_col..first_col + cols]),
                activation: layer.activation,
                factor: layer.factor.map(|rows| rows.range(first_row, count).columns(first_col, cols)),
                residual: layer.residual.map(|rows| rows.range(first_row, count).columns(first_col, cols)),
                ..Matmul::new(x.range(first_row, count), none)
            };
            let task = StoredMatmul::new(after, b);
            scratch::with(|scratch| self.stored.matmul(&task, &mut scratch.kernels, out));
        });
    }
}
