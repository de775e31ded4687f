//! Matrix products: with a constant right-hand side, and of two computed ones.

use kernels::{Activation, Line, Matmul, PackedMatrix, Panels, Rows, RowsMut};

use crate::{Engine, scratch};

/// Left-hand rows that a thread multiplies at a time.
///
/// Eight tiles of thirteen: a packed block of 104 x 1536 and a panel of the right-hand side share a second-level cache
/// of 1 MiB.
const BLOCK_TILES: usize = 8;

/// Fewer operations than this are done by the thread that has them, where helpers would have to be woken: 50 to 80 us.
const ALONE_FLOPS: usize = 8_000_000;

/// The same where helpers are awake. These operations take 2.2 us at 110 GFLOP/s, and sharing a step costs 0.9 us on two
/// threads (`examples/session.rs`: 60 steps of 18 us take 1,079 us on one, 591 on two; AMD EPYC, family 25, model 17).
const AWAKE_FLOPS: usize = 240_000;

/// Operations that are worth a piece: half of the above, so that the smallest job is cut in two.
const PIECE_FLOPS: usize = AWAKE_FLOPS / 2;

/// Operations that are worth a second piece for each thread: 36 us, where one that is late costs more than pieces do.
///
/// A piece of a short text's layer costs 1.5 to 2 us of its own: its rows are packed, and its first panel is not asked for
/// ahead. Threads begin within 0.1 us of one another and have the same to do, so that one piece each leaves them waiting for
/// 1 us; three each, whatever their size, took 1.09 (10 tokens) and 1.13 times (30) as long with all-MiniLM-L6-v2 in
/// integers on two threads, 1.04 times in floats (10), and the same from 128 tokens on.
const LARGE_PIECE_FLOPS: usize = 4_000_000;

/// The rows of a product whose multiplying takes as long as reading the weights: 4 bytes of each at 37 GB/s, what one thread
/// reads of 42 MB there, and 2 operations with each.
const READING_ROWS: usize = 6;

/// A constant right-hand side and what follows the product.
#[derive(Clone, Copy, Debug)]
pub struct Layer<'a> {
    /// `[k, n]`, packed by the engine that runs this.
    pub weights: &'a PackedMatrix,
    /// One value per column.
    pub bias: Option<&'a [f32]>,
    /// Applied after the bias.
    pub activation: Activation,
    /// Multiplied after the activation, `[m, n]`.
    pub factor: Option<Rows<'a>>,
    /// Added last, `[m, n]`.
    pub residual: Option<Rows<'a>>,
}

/// Many products of one shape: `[m, k] @ [k, n]` for each pair of offsets.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// Holds the left-hand matrices, each of adjacent rows.
    pub a: &'a [f32],
    /// Holds the right-hand matrices.
    pub b: &'a [f32],
    /// `m`, `k` and `n`.
    pub shape: [usize; 3],
    /// Of the rows and of the columns of a right-hand matrix.
    pub b_strides: [usize; 2],
    /// Where the two matrices of each product start.
    pub starts: &'a [[usize; 2]],
}

impl Engine {
    /// How many pieces to cut a computation into: enough for the threads to finish together, as many for each of them.
    pub(crate) fn pieces(&self, flops: usize) -> usize {
        if self.threads() == 1 || flops < AWAKE_FLOPS || flops < ALONE_FLOPS && !self.pool.is_attended() {
            return 1;
        }
        let each = (flops / self.threads() / LARGE_PIECE_FLOPS).clamp(1, 3);
        (each * self.threads()).min(flops / PIECE_FLOPS)
    }

    /// Whether a product is better cut into as many blocks of rows as there are threads: see [`kernels::Kernels::rows_first`].
    ///
    /// One text of 40 tokens takes 0.88 of the time, of 128 0.86, of 256 0.82 in float32; of 128 tokens 0.79 in 8 bits (two threads
    /// of an Intel Xeon with AMX).
    pub(crate) fn is_by_rows(&self, wanted: usize, rows: usize) -> bool {
        wanted > 1 && rows / self.threads() >= self.kernels.rows_first
    }

    /// Does all pieces, on this thread alone where only one was wanted.
    pub(crate) fn share<T: Send>(&self, wanted: usize, pieces: Vec<T>, work: impl Fn(T) + Sync) {
        if wanted < 2 { pieces.into_iter().for_each(work) } else { self.pool.for_each(pieces, work) }
    }

    /// `activation(x @ weights + bias) * factor + residual`, row by row.
    ///
    /// # Panics
    ///
    /// The shapes do not fit together, or the weights were packed for another instruction set.
    pub fn linear(&self, x: Rows<'_>, layer: Layer<'_>, out: &mut [f32]) {
        let panels = layer.weights.panels();
        let out = RowsMut::new(out, x.count(), panels.n(), panels.n()).expect("output");
        let Layer { bias, activation, factor, residual, .. } = layer;
        let task = Matmul { bias, activation, factor, residual, ..Matmul::new(x, panels) };
        let wanted = self.pieces(2 * x.count().max(READING_ROWS) * x.cols() * panels.n());
        let pieces = self.cut(task, out, wanted);
        let product = scratch::product();
        self.pool.for_each(pieces, |(first_row, task, out)| {
            scratch::with_left(product, first_row, |scratch, left_is_packed| {
                self.kernels.matmul(&Matmul { left_is_packed, ..task }, &mut scratch.kernels, out);
            });
        });
    }

    /// Cuts a product into blocks of rows, and these into blocks of panels where that gives too few pieces; each with its
    /// first row.
    fn cut<'a>(&self, task: Matmul<'a>, out: RowsMut<'a>, wanted: usize) -> Vec<(usize, Matmul<'a>, RowsMut<'a>)> {
        let (rows, panels) = (task.a.count(), task.b.count());
        let fewest = rows.div_ceil(BLOCK_TILES * self.kernels.tile_rows).max(1);
        let by_rows = self.is_by_rows(wanted, rows);
        let blocks = if by_rows { fewest.next_multiple_of(self.threads()) } else { fewest };
        let height = rows.div_ceil(blocks).max(1);
        let groups = if by_rows { 1 } else { wanted.div_ceil(blocks).min(panels).max(1) };
        let width = panels.div_ceil(groups).max(1);
        let mut pieces = Vec::with_capacity(blocks * groups);
        let mut rest = out;
        for first_row in (0..rows).step_by(height) {
            let count = height.min(rows - first_row);
            let (mut block, after) = rest.split_at_row(count);
            rest = after;
            for first in (0..panels).step_by(width) {
                let b = task.b.range(first, panels.min(first + width));
                let first_col = first * task.b.width();
                let (own, others) = block.split_at_col(b.n());
                block = others;
                let piece = Matmul {
                    a: task.a.range(first_row, count),
                    b,
                    bias: task.bias.map(|bias| &bias[first_col..first_col + b.n()]),
                    activation: task.activation,
                    factor: task.factor.map(|rows| rows.range(first_row, count).columns(first_col, b.n())),
                    residual: task.residual.map(|rows| rows.range(first_row, count).columns(first_col, b.n())),
                    left_is_packed: false,
                };
                pieces.push((first_row, piece, own));
            }
        }
        pieces
    }

    /// All products of a batch, written one after the other as `[m, n]`.
    ///
    /// # Panics
    ///
    /// A matrix lies outside its array, or `out` has the wrong size.
    pub fn matmul(&self, batch: Batch<'_>, out: &mut [f32]) {
        let [m, k, n] = batch.shape;
        assert_eq!(out.len(), batch.starts.len() * m * n, "output");
        if out.is_empty() {
            return;
        }
        let wanted = self.pieces(2 * out.len() * k);
        // Each piece packs the columns it multiplies by; a single tall product is cut by columns for that reason.
        let width = self.kernels.panel_width;
        let groups = wanted.div_ceil(batch.starts.len()).min(n.div_ceil(width)).max(1);
        let cols = n.div_ceil(width).div_ceil(groups) * width;
        let mut pieces = Vec::with_capacity(batch.starts.len() * groups);
        for (start, out) in batch.starts.iter().zip(out.chunks_exact_mut(m * n)) {
            let mut rest = RowsMut::new(out, m, n, n).expect("chunks of m x n");
            for first in (0..n).step_by(cols) {
                let (own, others) = rest.split_at_col(cols.min(n - first));
                rest = others;
                pieces.push((*start, first, own));
            }
        }
        self.pool.for_each(pieces, |([a, b], first, out)| {
            scratch::with(|scratch| {
                let shape = [k, out.cols()];
                let needed = Panels::lines_for(k, out.cols(), width);
                if scratch.packed.len() < needed {
                    scratch.packed.resize(needed, Line::default());
                }
                let from = if k == 0 { &[] } else { &batch.b[b + first * batch.b_strides[1]..] };
                let panels = Panels::pack(&mut scratch.packed[..needed], from, shape, batch.b_strides, width);
                let a = Rows::new(&batch.a[a..], m, k, k).expect("left-hand matrix");
                self.kernels.matmul(&Matmul::new(a, panels), &mut scratch.kernels, out);
            });
        });
    }
}
