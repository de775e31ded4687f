//! Linear layers in integers: rows are quantised when they are multiplied, by the thread that does it.

use kernels::integers::GROUP;
use kernels::{Activation, IntegerMatmul, Matmul, PackedIntegers, Quantise, Range, RowScale, Rows, RowsMut};

use crate::{Engine, scratch};

/// Left-hand rows that a thread quantises and multiplies at a time, in tiles: their bytes and a panel of the right-hand
/// side share a second-level cache.
const BLOCK_TILES: usize = 8;

/// Products of bytes in the time of one float multiply-add, on one with VNNI: what makes threads worth waking.
const SPEED: usize = 4;

/// A constant right-hand side of integers and what follows the product.
#[derive(Clone, Copy, Debug)]
pub struct IntegerLayer<'a> {
    /// `[k, n]`, packed by the engine that runs this.
    pub weights: &'a PackedIntegers,
    /// How rows become integers.
    pub range: Range,
    /// One value per column.
    pub bias: Option<&'a [f32]>,
    /// Applied after the bias.
    pub activation: Activation,
    /// Multiplied after the activation, `[m, n]`.
    pub factor: Option<Rows<'a>>,
    /// Added last, `[m, n]`.
    pub residual: Option<Rows<'a>>,
}

/// Some rows of a product and some panels.
struct Piece<'a> {
    first_row: usize,
    panels: [usize; 2],
    out: RowsMut<'a>,
}

impl Engine {
    /// Packs a constant right-hand side of integers for [`Engine::integer_linear`]; see [`PackedIntegers::new`].
    #[allow(clippy::too_many_arguments)] // a matrix and what it stands for
    pub fn pack_integers(
        &self,
        data: &[i8],
        shape: [usize; 2],
        strides: [usize; 2],
        scales: &[f32],
        zeros: Option<&[i32]>,
        segment: usize,
    ) -> PackedIntegers {
        PackedIntegers::new(&self.kernels, data, shape, strides, scales, zeros, segment)
    }

    /// Elements of working memory that [`Engine::integer_linear`] needs for `rows` rows of `k` elements.
    pub fn groups(rows: usize, k: usize) -> usize {
        rows * k.div_ceil(GROUP)
    }

    /// `activation(quantise(x) @ weights + bias) * factor + residual`, row by row.
    ///
    /// # Panics
    ///
    /// The shapes do not fit together, or the weights were packed for another instruction set.
    pub fn integer_linear(&self, x: Rows<'_>, layer: IntegerLayer<'_>, groups: &mut [f32], out: &mut [f32]) {
        let (rows, n) = (x.count(), layer.weights.n());
        let segments = x.cols().div_ceil(layer.weights.segment());
        let mut scales = vec![RowScale::default(); rows * segments];
        let out = RowsMut::new(out, rows, n, n).expect("output");
        let tile = self.kernels.tile_rows;
        let wanted = self.pieces(2 * rows * x.cols() * n / SPEED);
        let width = x.cols().div_ceil(GROUP);
        let panels = layer.weights.count();
        let by_rows = self.is_by_rows(wanted, rows);
        if wanted > 1 && !by_rows && rows < wanted * tile {
            // Too few rows for all threads: each has its panels, and reads rows that are quantised once.
            self.quantise(layer, x, &mut scales, groups);
            let mut pieces = Vec::with_capacity(wanted);
            let mut rest = out;
            let each = panels.div_ceil(wanted).max(1);
            for first in (0..panels).step_by(each) {
                let last = panels.min(first + each);
                let (own, others) = rest.split_at_col(layer.weights.range(first, last).n());
                rest = others;
                pieces.push(Piece { first_row: 0, panels: [first, last], out: own });
            }
            let (groups, scales) = (&*groups, &*scales);
            self.pool.for_each(pieces, |piece| self.multiply(layer, groups, scales, width, piece));
            return;
        }
        let fewest = rows.div_ceil(BLOCK_TILES * tile);
        let blocks = match wanted {
            0 | 1 => fewest.max(1),
            _ if by_rows => fewest.next_multiple_of(self.threads()),
            _ => fewest.max(wanted),
        };
        let height = rows.div_ceil(blocks).max(1);
        let mut pieces = Vec::with_capacity(blocks);
        let (mut rest, mut groups, mut scales) = (out, groups, &mut scales[..]);
        for first_row in (0..rows).step_by(height) {
            let count = height.min(rows - first_row);
            let (own, after) = rest.split_at_row(count);
            let (own_groups, after_groups) = groups.split_at_mut(count * width);
            let (own_scales, after_scales) = scales.split_at_mut(count * segments);
            (rest, groups, scales) = (after, after_groups, after_scales);
            pieces.push((Piece { first_row, panels: [0, panels], out: own }, own_groups, own_scales));
        }
        self.pool.for_each(pieces, |(piece, groups, scales)| {
            let own = x.range(piece.first_row, piece.out.count());
            self.quantise(layer, own, scales, groups);
            self.multiply(layer, groups, scales, width, piece);
        });
    }

    /// Writes the groups of some rows and how they were quantised.
    fn quantise(&self, layer: IntegerLayer<'_>, x: Rows<'_>, scales: &mut [RowScale], groups: &mut [f32]) {
        let IntegerLayer { weights, range, .. } = layer;
        let task = Quantise { x, segment: weights.segment(), range, with_excess: weights.needs_excess() };
        self.integers.quantise(&task, scales, groups);
    }

    /// One piece; `groups` and `scales` are those of its rows.
    fn multiply(&self, layer: IntegerLayer<'_>, groups: &[f32], scales: &[RowScale], width: usize, piece: Piece<'_>) {
        let Piece { first_row, panels, out } = piece;
        let count = out.count();
        let b = layer.weights.range(panels[0], panels[1]);
        let first_col = panels[0] * self.kernels.panel_width;
        let after = |panels| Matmul {
            bias: layer.bias.map(|bias| &bias[first_col..first_col + b.n()]),
            activation: layer.activation,
            factor: layer.factor.map(|rows| rows.range(first_row, count).columns(first_col, b.n())),
            residual: layer.residual.map(|rows| rows.range(first_row, count).columns(first_col, b.n())),
            ..Matmul::new(Rows::new(groups, count, width, width).expect("groups of the rows"), panels)
        };
        let task = IntegerMatmul::new(after, scales, b);
        scratch::with(|scratch| self.integers.matmul(&task, &mut scratch.kernels, out));
    }
}

#[cfg(test)]
mod tests {
    use kernels::{Activation, Isa, Kernels, Range, Rows};

    use super::IntegerLayer;
    use crate::Engine;

    #[test]
    fn rows_and_panels_can_be_cut_without_changing_a_bit() {
        let (k, n) = (384, 1000);
        let numbers = |count: usize, step: f32| (0..count).map(|i| (i as f32 * step).sin()).collect::<Vec<_>>();
        let weights: Vec<i8> = (0..k * n).map(|i| (i * i % 255) as u8 as i8).collect();
        let (scales, bias, x) = (vec![0.01; n], numbers(n, 0.7), numbers(230 * k, 0.37));
        for isa in Isa::available() {
            let kernels = Kernels::for_isa(isa).unwrap();
            for rows in [0, 1, 20, 100, 230] {
                let rows = if isa == Isa::Scalar { rows.min(20) } else { rows };
                let residual = numbers(rows * n, 0.11);
                let found: Vec<Vec<f32>> = [1, 3]
                    .map(|threads| {
                        let engine = Engine::new(kernels, threads);
                        let packed = engine.pack_integers(&weights, [k, n], [n, 1], &scales, None, 100);
                        let layer = IntegerLayer {
                            weights: &packed,
                            range: Range::Own,
                            bias: Some(&bias),
                            activation: Activation::Tanh,
                            factor: None,
                            residual: Some(Rows::new(&residual, rows, n, n).unwrap()),
                        };
                        let mut out = vec![f32::MAX; rows * n];
                        let mut groups = vec![0.0; Engine::groups(rows, k)];
                        engine.integer_linear(Rows::new(&x, rows, k, k).unwrap(), layer, &mut groups, &mut out);
                        out
                    })
                    .into();
                let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                assert_eq!(bits(&found[0]), bits(&found[1]), "{isa} {rows}");
            }
        }
    }
}
