//! What a kernel is asked to compute: plain data, so that a table entry is one function of one argument list.

use crate::packed::{Line, Panels};
use crate::{Activation, Rows};

/// `activation(a @ b + bias) * factor + residual`, each output element summed over `k` in ascending order.
#[derive(Clone, Copy, Debug)]
pub struct Matmul<'a> {
    /// Left-hand rows, `[m, k]`.
    pub a: Rows<'a>,
    /// Right-hand matrix, `[k, n]`, packed for the table that runs this.
    pub b: Panels<'a>,
    /// One value per column.
    pub bias: Option<&'a [f32]>,
    /// Applied after the bias.
    pub activation: Activation,
    /// Multiplied with the activation's result, `[m, n]`: the other half of a gated layer.
    pub factor: Option<Rows<'a>>,
    /// Added last, `[m, n]`.
    pub residual: Option<Rows<'a>>,
    /// The left-hand rows are in the scratch: its last use was a product of the same rows. They are packed again for
    /// each product otherwise.
    pub left_is_packed: bool,
}

impl<'a> Matmul<'a> {
    /// `a @ b` and nothing after it.
    pub fn new(a: Rows<'a>, b: Panels<'a>) -> Self {
        Self { a, b, bias: None, activation: Activation::Identity, factor: None, residual: None, left_is_packed: false }
    }

    /// The shape of the result.
    pub fn shape(&self) -> [usize; 2] {
        [self.a.count(), self.b.n()]
    }

    /// Panics unless all the shapes fit together, the output's included.
    pub(crate) fn check(&self, out: [usize; 2], panel_width: usize) {
        assert_eq!(self.a.cols(), self.b.k(), "inner dimensions");
        assert_eq!(self.b.width(), panel_width, "panels packed for another instruction set");
        assert_eq!(out, self.shape(), "output");
        if let Some(bias) = self.bias {
            assert_eq!(bias.len(), self.b.n(), "bias");
        }
        for (name, rows) in [("factor", self.factor), ("residual", self.residual)] {
            assert!(rows.is_none_or(|rows| [rows.count(), rows.cols()] == self.shape()), "{name}");
        }
    }
}

/// What is done to a scaled score before the softmax.
#[derive(Clone, Copy, Debug, Default)]
pub enum Mask<'a> {
    /// Nothing.
    #[default]
    None,
    /// `score + mask`; `[queries, keys]`, stride 0 where the queries share a row.
    Add(Rows<'a>),
    /// `keep != 0 ? score : fill`; `keep` as for `Add`.
    Keep {
        /// Non-zero where the score stays.
        keep: Rows<'a>,
        /// What the other scores become.
        fill: f32,
    },
    /// Query `i` sees keys `0..=i + offset` and no others.
    Causal {
        /// Keys that come before the first query.
        offset: usize,
    },
}

impl<'a> Mask<'a> {
    /// The mask's own numbers, if there are any.
    pub fn rows(&self) -> Option<Rows<'a>> {
        match *self {
            Mask::None | Mask::Causal { .. } => None,
            Mask::Add(rows) | Mask::Keep { keep: rows, .. } => Some(rows),
        }
    }

    /// The mask of queries `start..start + count`.
    pub fn range(&self, start: usize, count: usize) -> Self {
        match *self {
            Mask::None => Mask::None,
            Mask::Add(rows) => Mask::Add(rows.range(start, count)),
            Mask::Keep { keep, fill } => Mask::Keep { keep: keep.range(start, count), fill },
            Mask::Causal { offset } => Mask::Causal { offset: offset + start },
        }
    }
}

/// `softmax(mask(scale * q @ k^T + bias)) @ v` for one head.
///
/// A row whose scores are all minus infinity gives NaN, as the separate operators would, or zero if asked for; a row shifted by a large
/// finite number gives the average of `v`, as they would.
#[derive(Clone, Copy, Debug)]
pub struct Attention<'a> {
    /// `[queries, depth]`.
    pub q: Rows<'a>,
    /// `[keys, depth]`.
    pub k: Rows<'a>,
    /// `[keys, width]`.
    pub v: Rows<'a>,
    /// Multiplied with each score before the mask.
    pub scale: f32,
    /// Added to the scaled scores, before the mask; `[queries, keys]`, stride 0 where the queries share a row.
    pub bias: Option<Rows<'a>>,
    /// Applied to the scaled and biased scores.
    pub mask: Mask<'a>,
    /// A query whose softmax is NaN gets zeros, as after `where(isNaN(weights), 0, weights)`.
    pub undefined_is_zero: bool,
    /// `scale * q`, `k`, `v` and the weights are rounded to bfloat16 before they are multiplied, to float32 sums; a weight's own
    /// relative error before that is 1.2e-4.
    pub bfloat16: bool,
}

impl Attention<'_> {
    /// Panics unless all the shapes fit together, the output's included.
    pub(crate) fn check(&self, out: [usize; 2]) {
        assert_eq!(self.q.cols(), self.k.cols(), "depth of queries and keys");
        assert_eq!(self.k.count(), self.v.count(), "number of keys and of values");
        assert!(self.k.count() > 0, "softmax over no keys");
        assert_eq!(out, [self.q.count(), self.v.cols()], "output");
        for rows in [self.mask.rows(), self.bias].into_iter().flatten() {
            assert_eq!([rows.count(), rows.cols()], [self.q.count(), self.k.count()], "mask or bias");
        }
    }
}

/// `(x - mean) / sqrt(variance + epsilon) * scale + bias` for each row.
#[derive(Clone, Copy, Debug)]
pub struct LayerNorm<'a> {
    /// The rows.
    pub x: Rows<'a>,
    /// One factor per column.
    pub scale: Option<&'a [f32]>,
    /// One summand per column.
    pub bias: Option<&'a [f32]>,
    /// Added to the variance.
    pub epsilon: f32,
}

impl LayerNorm<'_> {
    /// Panics unless all the shapes fit together, the output's included.
    pub(crate) fn check(&self, out: [usize; 2]) {
        assert_eq!(out, [self.x.count(), self.x.cols()], "output");
        for (name, values) in [("scale", self.scale), ("bias", self.bias)] {
            assert!(values.is_none_or(|values| values.len() == self.x.cols()), "{name}");
        }
    }
}

/// `x / sqrt(mean(x^2) + epsilon) * scale` for each row.
#[derive(Clone, Copy, Debug)]
pub struct RmsNorm<'a> {
    /// The rows.
    pub x: Rows<'a>,
    /// One factor per column.
    pub scale: &'a [f32],
    /// Added to the mean of the squares.
    pub epsilon: f32,
}

impl RmsNorm<'_> {
    /// Panics unless all the shapes fit together, the output's included.
    pub(crate) fn check(&self, out: [usize; 2]) {
        assert_eq!(out, [self.x.count(), self.x.cols()], "output");
        assert_eq!(self.scale.len(), self.x.cols(), "scale");
    }
}

/// The weighted mean of rows: `sum(weight * x) / max(sum(weight), least)`, rows in ascending order.
///
/// A row of weight zero is not looked at: whatever padding holds, it leaves no trace.
#[derive(Clone, Copy, Debug)]
pub struct MeanPool<'a> {
    /// The rows, one token each.
    pub x: Rows<'a>,
    /// One weight per row; every row weighs 1 where there are none.
    pub weights: Option<&'a [f32]>,
    /// Keeps a division by zero away where no row has weight.
    pub least: f32,
}

impl MeanPool<'_> {
    /// Panics unless all the shapes fit together, the output's included.
    pub(crate) fn check(&self, out: usize) {
        assert_eq!(out, self.x.cols(), "output");
        assert!(self.weights.is_none_or(|weights| weights.len() == self.x.count()), "weights");
    }
}

/// `bias + sum(weight * x[start + i])` for each `i` of the result, weights in ascending order: a row of a convolution by
/// filters of one channel.
#[derive(Clone, Copy, Debug)]
pub struct WeightedSum<'a> {
    /// Holds the numbers.
    pub x: &'a [f32],
    /// Where the summands of the first result are.
    pub starts: &'a [usize],
    /// One for each start.
    pub weights: &'a [f32],
    /// What each sum starts from.
    pub bias: f32,
}

impl WeightedSum<'_> {
    /// Panics unless each summand of `out` results is there.
    pub(crate) fn check(&self, out: usize) {
        assert_eq!(self.starts.len(), self.weights.len(), "weights");
        let is_inside = |start: &usize| start.checked_add(out).is_some_and(|end| end <= self.x.len());
        assert!(self.starts.iter().all(is_inside), "summands of {out} results in {}", self.x.len());
    }
}

/// How many numbers become one. NaN in gives NaN out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    /// Of no numbers: 0.
    Sum,
    /// Of no numbers: 0.
    SumOfSquares,
    /// Of absolute values; of no numbers: 0.
    SumOfMagnitudes,
    /// Of no numbers: 1.
    Product,
    /// Of no numbers: minus infinity.
    Max,
    /// Of no numbers: infinity.
    Min,
}

impl Reduction {
    /// All of them.
    pub const ALL: &'static [Reduction] = &[
        Reduction::Sum,
        Reduction::SumOfSquares,
        Reduction::SumOfMagnitudes,
        Reduction::Product,
        Reduction::Max,
        Reduction::Min,
    ];
}

/// Working memory that a thread keeps between calls; it grows to the largest call and stays there.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(crate) left: Vec<Line>,
    pub(crate) right: Vec<Line>,
    pub(crate) scores: Vec<Line>,
    pub(crate) bias: Vec<Line>,
    pub(crate) mask: Vec<Line>,
    pub(crate) values: Vec<Line>,
    pub(crate) tile: Vec<Line>,
}

/// The first `count` lines of a scratch vector, with whatever is in them.
pub(crate) fn lines(store: &mut Vec<Line>, count: usize) -> &mut [Line] {
    if store.len() < count {
        store.resize(count, Line::default());
    }
    &mut store[..count]
}
