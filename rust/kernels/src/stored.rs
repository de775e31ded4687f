//! Right-hand matrices that are kept in fewer bits than a float has, and become floats where they are multiplied.
//!
//! Reading weights is what a few rows cost; half the bytes, or an eighth, are read that much sooner. The floats are those
//! that `cast` and `dequantizeLinear` define, bit for bit, and so are the products.

use crate::arch;
use crate::arch::pages::Lines;
use crate::dispatch::{Isa, Kernels};
use crate::packed::{LANES, Line, Panels};
use crate::task::{Matmul, Scratch};
use crate::{RowsMut, float16};

/// Sixteen neighbours of a row, as they are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// The bits of float16.
    Float16,
    /// Signed bytes.
    Bytes,
    /// Halves of bytes, counted from the smallest: the first eight are the lower halves, the others the upper ones.
    Nibbles,
}

impl Form {
    /// Words of 32 bits for sixteen elements.
    pub(crate) const fn words(self) -> usize {
        match self {
            Self::Float16 => 8,
            Self::Bytes => 4,
            Self::Nibbles => 2,
        }
    }

    /// Puts the kept bits of sixteen elements into their words.
    #[inline(always)]
    fn write(self, bits: [u16; LANES], words: &mut [f32]) {
        let lanes = bits.map(u32::from);
        let join = |word: usize| match self {
            Self::Float16 => lanes[2 * word] | lanes[2 * word + 1] << 16,
            Self::Bytes => (0..4).fold(0, |all, byte| all | lanes[4 * word + byte] << (8 * byte)),
            Self::Nibbles => (0..4)
                .fold(0, |all, byte| all | (lanes[4 * word + byte] | lanes[8 + 4 * word + byte] << 4) << (8 * byte)),
        };
        // As the bytes lie in memory, on a machine of either order.
        words.iter_mut().enumerate().for_each(|(word, to)| *to = f32::from_bits(join(word).to_le()));
    }
}

/// Elements of a matrix, row by row or column by column.
#[derive(Clone, Copy, Debug)]
pub enum Weights<'a> {
    /// The bits of float16.
    Float16(&'a [u16]),
    /// int8.
    Int8(&'a [i8]),
    /// uint8.
    Uint8(&'a [u8]),
    /// int4, one a byte.
    Int4(&'a [i8]),
    /// uint4, one a byte.
    Uint4(&'a [u8]),
}

impl Weights<'_> {
    fn form(&self) -> Form {
        match self {
            Self::Float16(_) => Form::Float16,
            Self::Int8(_) | Self::Uint8(_) => Form::Bytes,
            Self::Int4(_) | Self::Uint4(_) => Form::Nibbles,
        }
    }

    /// What a kept integer is more than the element.
    fn offset(&self) -> f32 {
        match self {
            Self::Float16(_) | Self::Int8(_) | Self::Uint4(_) => 0.0,
            Self::Uint8(_) => -128.0,
            Self::Int4(_) => 8.0,
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Float16(data) => data.len(),
            Self::Int8(data) | Self::Int4(data) => data.len(),
            Self::Uint8(data) | Self::Uint4(data) => data.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The kept bits of `count` elements, each in the lowest bits, and zeros behind them.
    #[inline(always)]
    fn bits(&self, at: usize, stride: usize, count: usize) -> [u16; LANES] {
        match self {
            Self::Float16(data) => line(data, at, stride, count, |x| x),
            Self::Int8(data) => line(data, at, stride, count, |x| u16::from(x as u8)),
            Self::Uint8(data) => line(data, at, stride, count, |x| u16::from(x ^ 0x80)),
            Self::Int4(data) => line(data, at, stride, count, |x| u16::from((x + 8) as u8 & 0xF)),
            Self::Uint4(data) => line(data, at, stride, count, |x| u16::from(x & 0xF)),
        }
    }
}

/// `count` elements from `at` on, as bits.
#[inline(always)]
fn line<T: Copy>(data: &[T], at: usize, stride: usize, count: usize, bits: impl Fn(T) -> u16) -> [u16; LANES] {
    if stride == 1 && count == LANES {
        return data[at..].first_chunk::<LANES>().expect("a whole line").map(bits);
    }
    std::array::from_fn(|index| if index < count { bits(data[at + index * stride]) } else { 0 })
}

/// Steps and zeros of a matrix of integers: `(w - zero) * scale`, each for a block of rows of one column.
#[derive(Clone, Copy, Debug)]
pub struct Steps<'a> {
    /// `[k / block, n]`.
    pub scales: &'a [f32],
    /// The same number; absent where all are 0.
    pub zeros: Option<&'a [f32]>,
    /// Rows that share them.
    pub block: usize,
}

/// A right-hand matrix in few bits, in panels as [`Panels`] has them.
#[derive(Clone, Debug)]
pub struct StoredMatrix {
    form: Form,
    words: Lines,
    k: usize,
    n: usize,
    width: usize,
    /// Rows that share a step; all of them, where they are floats.
    block: usize,
    /// For each panel `[k / block, 2, width]`: scales and zeros, in the order in which they are needed.
    steps: Lines,
}

impl StoredMatrix {
    /// Packs for one table of kernels; `strides` are those of the rows and of the columns, in elements.
    ///
    /// # Panics
    ///
    /// The arrays do not fit together, or there are steps for floats or none for integers.
    pub fn new(
        kernels: &Kernels,
        weights: Weights<'_>,
        [k, n]: [usize; 2],
        strides: [usize; 2],
        steps: Option<Steps<'_>>,
    ) -> Self {
        let (form, width) = (weights.form(), kernels.panel_width);
        assert_eq!(form == Form::Float16, steps.is_none(), "steps");
        let block = steps.map_or(k.max(1), |steps| steps.block);
        assert!(block > 0 && k.is_multiple_of(block), "blocks of {block} in {k} rows");
        let padded = n.next_multiple_of(width);
        let vectors = padded / LANES;
        let mut words = Lines::zeroed((k * vectors * form.words()).div_ceil(LANES));
        // A line at a time, as rows lie in memory: element by element was two thirds of the time that a model in 8 bits took
        // to load.
        let (size, own) = (form.words(), arch::floats_mut(&mut words));
        for row in 0..k {
            for first in (0..n).step_by(LANES) {
                let bits = weights.bits(row * strides[0] + first * strides[1], strides[1], LANES.min(n - first));
                let place = (first / width * k + row) * (width / LANES) + first % width / LANES;
                form.write(bits, &mut own[place * size..][..size]);
            }
        }
        let blocks = if steps.is_some() { k / block } else { 0 };
        let mut own_steps = Lines::zeroed(blocks * vectors * 2);
        if let Some(steps) = steps {
            assert_eq!(steps.scales.len(), blocks * n, "scales");
            assert!(steps.zeros.is_none_or(|zeros| zeros.len() == steps.scales.len()), "zeros");
            for (index, scale) in steps.scales.iter().enumerate() {
                let (row, col) = (index / n, index % n);
                let at = (col / width * blocks + row) * 2 * (width / LANES) + col % width / LANES;
                own_steps[at].0[col % LANES] = *scale;
                let zero = steps.zeros.map_or(0.0, |zeros| zeros[index]);
                own_steps[at + width / LANES].0[col % LANES] = zero + weights.offset();
            }
        }
        Self { form, words, k, n, width, block, steps: own_steps }
    }

    /// Rows of the matrix, the dimension that is summed over.
    pub fn k(&self) -> usize {
        self.k
    }

    /// Columns of the matrix.
    pub fn n(&self) -> usize {
        self.n
    }

    /// How many panels there are.
    pub fn count(&self) -> usize {
        self.n.div_ceil(self.width)
    }

    /// Panels `start..end`.
    pub fn range(&self, start: usize, end: usize) -> StoredPanels<'_> {
        assert!(start <= end && end <= self.count(), "panels {start}..{end} of {}", self.count());
        StoredPanels { matrix: self, start, end }
    }
}

/// A view of some panels.
#[derive(Clone, Copy, Debug)]
pub struct StoredPanels<'a> {
    matrix: &'a StoredMatrix,
    start: usize,
    end: usize,
}

impl<'a> StoredPanels<'a> {
    /// Columns of the matrix.
    pub fn n(&self) -> usize {
        let width = self.matrix.width;
        self.matrix.n.min(self.end * width) - self.matrix.n.min(self.start * width)
    }

    /// How many panels there are.
    pub(crate) fn count(&self) -> usize {
        self.end - self.start
    }

    pub(crate) fn k(&self) -> usize {
        self.matrix.k
    }

    pub(crate) fn form(&self) -> Form {
        self.matrix.form
    }

    /// The kept elements of a panel from a row on, and all that is behind them.
    #[inline(always)]
    pub(crate) fn words(&self, panel: usize, row: usize) -> &'a [f32] {
        &arch::floats(&self.matrix.words)[self.first_word(panel, row)..]
    }

    /// The same from the line on that the first of them is in.
    #[inline(always)]
    pub(crate) fn lines(&self, panel: usize, row: usize) -> &'a [Line] {
        &self.matrix.words[self.first_word(panel, row) / LANES..]
    }

    #[inline(always)]
    fn first_word(&self, panel: usize, row: usize) -> usize {
        ((self.start + panel) * self.matrix.k + row) * (self.matrix.width / LANES) * self.matrix.form.words()
    }

    /// Rows that share their steps; all of them, and at least one, where there are none.
    pub(crate) fn block(&self) -> usize {
        self.matrix.block
    }

    /// Scales and zeros of the columns of a panel, for a row.
    #[inline(always)]
    pub(crate) fn steps(&self, panel: usize, row: usize) -> [&'a [Line]; 2] {
        let StoredMatrix { k, width, block, steps, .. } = self.matrix;
        let vectors = width / LANES;
        let first = ((self.start + panel) * (k / block) + row / block) * 2 * vectors;
        steps[first..first + 2 * vectors].split_at(vectors).into()
    }
}

/// A product whose right-hand side is kept in few bits.
#[derive(Clone, Copy, Debug)]
pub struct StoredMatmul<'a> {
    /// Left-hand rows and what follows the product; its own right-hand side has the right columns and no rows.
    pub(crate) after: Matmul<'a>,
    pub(crate) b: StoredPanels<'a>,
}

impl<'a> StoredMatmul<'a> {
    /// The product `task` describes, but for its right-hand side, which is `b`.
    pub fn new(task: impl FnOnce(Panels<'a>) -> Matmul<'a>, b: StoredPanels<'a>) -> Self {
        let none = Panels::pack(&mut [], &[], [0, b.n()], [1, 1], b.matrix.width);
        Self { after: task(none), b }
    }

    fn check(&self, out: [usize; 2], panel_width: usize) {
        let shape = [self.after.a.count(), self.b.n()];
        assert_eq!(self.after.a.cols(), self.b.k(), "inner dimensions");
        assert_eq!(self.b.matrix.width, panel_width, "panels packed for another instruction set");
        assert_eq!(out, shape, "output");
        if let Some(bias) = self.after.bias {
            assert_eq!(bias.len(), shape[1], "bias");
        }
        for (name, rows) in [("factor", self.after.factor), ("residual", self.after.residual)] {
            assert!(rows.is_none_or(|rows| [rows.count(), rows.cols()] == shape), "{name}");
        }
    }
}

/// The kernels of one instruction set for matrices in few bits; they go with one table of float kernels.
#[derive(Clone, Copy, Debug)]
pub struct StoredKernels {
    panel_width: usize,
    matmul: fn(&StoredMatmul<'_>, &mut Scratch, RowsMut<'_>),
}

impl StoredKernels {
    /// Those that go with a table.
    pub fn of(kernels: &Kernels) -> Self {
        let matmul = match kernels.isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => arch::x86_64::stored::avx2(),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => arch::x86_64::stored::avx512(),
            #[cfg(target_arch = "x86_64")]
            Isa::Amx => arch::x86_64::amx::stored_matmul,
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => arch::aarch64::stored::neon(),
            _ => arch::scalar::stored::matmul,
        };
        Self { panel_width: kernels.panel_width, matmul }
    }

    /// Computes `task` into `out`.
    #[inline]
    pub fn matmul(&self, task: &StoredMatmul<'_>, scratch: &mut Scratch, out: RowsMut<'_>) {
        task.check([out.count(), out.cols()], self.panel_width);
        (self.matmul)(task, scratch, out);
    }
}

/// One element of sixteen, as a float before its steps.
pub(crate) fn element(form: Form, words: &[f32], lane: usize) -> f32 {
    let byte = |index: usize| words[index / 4].to_bits().to_ne_bytes()[index % 4];
    match form {
        Form::Float16 => float16::widen(u16::from_le_bytes([byte(2 * lane), byte(2 * lane + 1)])),
        Form::Bytes => f32::from(byte(lane) as i8),
        Form::Nibbles => f32::from((byte(lane % 8) >> (lane / 8 * 4)) & 0xF),
    }
}
