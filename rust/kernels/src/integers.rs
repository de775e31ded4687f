//! Products in integers: rows quantised to 8 bits, weights of 8 bits, and sums that are exact.
//!
//! Four neighbours along the inner dimension are one *group*, which is kept in the bits of an `f32`: a matrix of integers
//! is then a matrix of groups, packed and cut as matrices of floats are. Nothing computes with a group as a float.
//!
//! A row is quantised in *segments*, each with a step of its own: what is large in one place of a row costs the other
//! places no precision. Each takes time, so that their length is the caller's choice.

use crate::arch;
use crate::dispatch::{Isa, Kernels};
use crate::packed::{LANES, PackedMatrix, Panels};
use crate::task::{Matmul, Scratch};
use crate::{Rows, RowsMut};

/// Elements of a group.
pub const GROUP: usize = 4;

/// The longest inner dimension whose sums fit into 32 bits whatever is summed: 255 * 255 each.
pub const MOST_INNER: usize = (i32::MAX / (255 * 255)) as usize;

/// How a segment of a row was quantised: its elements are `(integer - zero) * scale`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RowScale {
    /// The size of a step; NaN where there are no integers, because of a NaN or an infinity.
    pub scale: f32,
    /// The integer that stands for 0.
    pub zero: i32,
    /// The sum of `integer - zero` over the segment; 0 where that was not asked for.
    pub excess: i32,
}

/// How rows become integers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Range {
    /// Each segment of each row by its own smallest and largest element, zero between them.
    Own,
    /// All alike: `clamp(round(x / scale) + zero, 0, 255)`, ties to even.
    Fixed {
        /// The size of a step.
        scale: f32,
        /// The integer that stands for 0.
        zero: u8,
    },
}

/// Right-hand integers in the order in which the kernels read them, and what they stand for: `(w - zero) * scale`.
#[derive(Clone, Debug)]
pub struct PackedIntegers {
    groups: PackedMatrix,
    k: usize,
    segment: usize,
    scales: Vec<f32>,
    /// The sums of the weights of each segment, `[segments, columns of whole panels]`, and their zeros. The signs of both are
    /// turned: the kernels add them.
    sums: Vec<i32>,
    zeros: Option<Vec<i32>>,
}

impl PackedIntegers {
    /// Packs for one table of kernels; `strides` are those of the rows and of the columns, scales and zeros one per column.
    ///
    /// The left-hand side comes in segments of `segment` elements.
    ///
    /// # Panics
    ///
    /// The arrays do not fit together, `k` is over [`MOST_INNER`], a zero is outside -255 to 255, or a segment has no
    /// whole groups.
    #[allow(clippy::too_many_arguments)] // a matrix and what it stands for
    pub fn new(
        kernels: &Kernels,
        data: &[i8],
        [k, n]: [usize; 2],
        strides: [usize; 2],
        scales: &[f32],
        zeros: Option<&[i32]>,
        segment: usize,
    ) -> Self {
        assert!(segment > 0 && segment.is_multiple_of(GROUP), "segments of {segment}");
        assert!(k <= MOST_INNER, "sums of {k} products");
        assert_eq!(scales.len(), n, "scales");
        assert!(zeros.is_none_or(|zeros| zeros.len() == n && zeros.iter().all(|zero| zero.abs() <= 255)), "zeros");
        let count = k.div_ceil(GROUP);
        let cols = n.next_multiple_of(kernels.panel_width);
        let mut sums = vec![0; k.div_ceil(segment) * cols];
        let groups = PackedMatrix::of_rows(kernels, [count, n], |group, to| {
            let first = group * GROUP;
            let sums = &mut sums[first / segment * cols..][..to.len()];
            // By the way that they lie in memory, 5 and 2 times as fast as element by element, which was a fifth of the time
            // from a fresh process to a model of 11 MB.
            if first + GROUP > k {
                let weight = |row, col| if row < k { data[row * strides[0] + col * strides[1]] } else { 0 };
                write_groups(to, sums, |col| std::array::from_fn(|i| weight(first + i, col)));
            } else if strides[1] == 1 {
                let rows: [&[i8]; GROUP] = std::array::from_fn(|i| &data[(first + i) * strides[0]..][..to.len()]);
                write_groups(to, sums, |col| rows.map(|row| row[col]));
            } else if strides[0] == 1 {
                write_groups(to, sums, |col| *data[first + col * strides[1]..].first_chunk().expect("a whole group"));
            } else {
                let weight = |row, col| data[row * strides[0] + col * strides[1]];
                write_groups(to, sums, |col| std::array::from_fn(|i| weight(first + i, col)));
            }
        });
        let mut padded = vec![0.0; cols];
        padded[..n].copy_from_slice(scales);
        let zeros = zeros.filter(|zeros| zeros.iter().any(|zero| *zero != 0)).map(|zeros| {
            let mut padded = vec![0; cols];
            padded.iter_mut().zip(zeros).for_each(|(to, zero)| *to = -zero);
            padded
        });
        Self { groups, k, segment, scales: padded, sums, zeros }
    }

    /// Rows of the matrix, the dimension that is summed over.
    pub fn k(&self) -> usize {
        self.k
    }

    /// Whether a product needs the [`RowScale::excess`] of the left-hand rows: where the weights' own zeros are not 0.
    pub fn needs_excess(&self) -> bool {
        self.zeros.is_some()
    }

    /// Elements of a segment of a left-hand row; the last one may have fewer.
    pub fn segment(&self) -> usize {
        self.segment
    }

    /// Columns of the matrix.
    pub fn n(&self) -> usize {
        self.groups.panels().n()
    }

    /// How many panels there are.
    pub fn count(&self) -> usize {
        self.groups.panels().count()
    }

    /// Panels `start..end`.
    pub fn range(&self, start: usize, end: usize) -> IntegerPanels<'_> {
        let groups = self.groups.panels();
        let columns = start * groups.width()..end * groups.width();
        IntegerPanels { groups: groups.range(start, end), first: columns.start, matrix: self }
    }
}

/// Writes the group of each column, and takes its weights off the column's sum.
#[inline(always)]
fn write_groups(to: &mut [f32], sums: &mut [i32], weights: impl Fn(usize) -> [i8; GROUP]) {
    for (col, (to, sum)) in to.iter_mut().zip(sums).enumerate() {
        let weights = weights(col);
        *sum -= weights.into_iter().map(i32::from).sum::<i32>();
        *to = f32::from_bits(u32::from_ne_bytes(weights.map(|weight| weight as u8)));
    }
}

/// A view of some panels.
#[derive(Clone, Copy, Debug)]
pub struct IntegerPanels<'a> {
    /// Groups of four weights, `[k / 4, n]`.
    pub(crate) groups: Panels<'a>,
    /// The first column.
    first: usize,
    matrix: &'a PackedIntegers,
}

impl<'a> IntegerPanels<'a> {
    /// Columns of the matrix.
    pub fn n(&self) -> usize {
        self.groups.n()
    }

    /// How many segments a left-hand row has.
    pub fn segments(&self) -> usize {
        self.matrix.k.div_ceil(self.matrix.segment)
    }

    /// The groups of a segment.
    #[inline(always)]
    pub(crate) fn groups_of(&self, segment: usize) -> std::ops::Range<usize> {
        let each = self.matrix.segment / GROUP;
        segment * each..self.groups.k().min((segment + 1) * each)
    }

    /// The sizes of the steps from a column on, to the end of its panel at least.
    #[inline(always)]
    pub(crate) fn scales(&self, col: usize) -> &'a [f32] {
        &self.matrix.scales[self.first + col..]
    }

    /// The sums of the weights of a segment with their signs turned, from a column on.
    #[inline(always)]
    pub(crate) fn sums(&self, segment: usize, col: usize) -> &'a [i32] {
        &self.matrix.sums[segment * self.matrix.scales.len() + self.first + col..]
    }

    /// The integers that stand for 0 with their signs turned, from a column on; absent where all are 0.
    #[inline(always)]
    pub(crate) fn zeros(&self, col: usize) -> Option<&'a [i32]> {
        self.matrix.zeros.as_ref().map(|zeros| &zeros[self.first + col..])
    }
}

/// `activation(a @ b + bias) * factor + residual`, where `a` and `b` are quantised.
///
/// The sum of a segment is exact; what follows is rounded in one fixed order.
#[derive(Clone, Copy, Debug)]
pub struct IntegerMatmul<'a> {
    /// What follows the product; groups of four unsigned integers, `[m, k / 4]`, are its left-hand rows.
    pub(crate) after: Matmul<'a>,
    /// `[segments, m]`.
    pub(crate) rows: &'a [RowScale],
    pub(crate) b: IntegerPanels<'a>,
}

impl<'a> IntegerMatmul<'a> {
    /// The product of groups, which `rows` says the scales of, with `b`; `task` says what follows it.
    pub fn new(task: impl FnOnce(Panels<'a>) -> Matmul<'a>, rows: &'a [RowScale], b: IntegerPanels<'a>) -> Self {
        Self { after: task(b.groups), rows, b }
    }

    fn check(&self, out: [usize; 2], panel_width: usize) {
        self.after.check(out, panel_width);
        assert_eq!(self.rows.len(), out[0] * self.b.segments(), "scales of rows");
    }
}

/// Rows of floats that are to become integers.
#[derive(Clone, Copy, Debug)]
pub struct Quantise<'a> {
    /// `[m, k]`.
    pub x: Rows<'a>,
    /// Elements of a segment, whole groups; the last one may have fewer.
    pub segment: usize,
    /// How they become integers.
    pub range: Range,
    /// Whether the [`RowScale::excess`] is asked for.
    pub with_excess: bool,
}

/// The kernels for integers of one instruction set; they go with one table of float kernels.
#[derive(Clone, Copy, Debug)]
pub struct IntegerKernels {
    /// The instruction that sums, for reports.
    pub name: &'static str,
    panel_width: usize,
    pub(crate) matmul: fn(&IntegerMatmul<'_>, &mut Scratch, RowsMut<'_>),
    pub(crate) quantise: fn(&Quantise<'_>, &mut [RowScale], &mut [f32]),
}

impl IntegerKernels {
    /// The best ones that go with a table.
    pub fn of(kernels: &Kernels) -> Self {
        *Self::all_of(kernels).last().expect("every table has kernels for integers")
    }

    /// All that this CPU has and that go with a table, the best one last.
    pub fn all_of(kernels: &Kernels) -> Vec<Self> {
        let found: Vec<Option<Self>> = match kernels.isa {
            Isa::Scalar => vec![Some(arch::scalar::integers::KERNELS)],
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => vec![
                arch::x86_64::integers::avx512_vnni_of_256_bits(),
                arch::x86_64::integers::avx2(),
                arch::x86_64::integers::avx_vnni(),
            ],
            #[cfg(target_arch = "x86_64")]
            Isa::Amx => vec![arch::x86_64::integers::avx512_vnni(), arch::x86_64::amx::integers()],
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => vec![
                arch::x86_64::integers::avx512(),
                arch::x86_64::integers::avx512_words(),
                arch::x86_64::integers::avx512_vnni(),
            ],
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => vec![arch::aarch64::integers::neon(), arch::aarch64::integers::dot_product()],
            #[allow(unreachable_patterns)]
            _ => vec![],
        };
        let own = |found: Self| Self { panel_width: kernels.panel_width, ..found };
        found.into_iter().flatten().map(own).collect()
    }

    pub(crate) const fn new(
        name: &'static str,
        matmul: fn(&IntegerMatmul<'_>, &mut Scratch, RowsMut<'_>),
        quantise: fn(&Quantise<'_>, &mut [RowScale], &mut [f32]),
    ) -> Self {
        Self { name, panel_width: LANES, matmul, quantise }
    }

    /// Computes `task` into `out`.
    #[inline]
    pub fn matmul(&self, task: &IntegerMatmul<'_>, scratch: &mut Scratch, out: RowsMut<'_>) {
        task.check([out.count(), out.cols()], self.panel_width);
        (self.matmul)(task, scratch, out);
    }

    /// Writes the groups of each row, `[m, k / 4]`, and how each segment was quantised, `[segments, m]`.
    ///
    /// Behind the end of a row its last group holds zeros.
    #[inline]
    pub fn quantise(&self, task: &Quantise<'_>, rows: &mut [RowScale], groups: &mut [f32]) {
        let Quantise { x, segment, .. } = *task;
        assert!(segment > 0 && segment.is_multiple_of(GROUP), "segments of {segment}");
        assert_eq!(rows.len(), x.count() * x.cols().div_ceil(segment), "scales of rows");
        assert_eq!(groups.len(), x.count() * x.cols().div_ceil(GROUP), "groups");
        assert!(x.cols() <= MOST_INNER, "rows of {} elements", x.cols());
        (self.quantise)(task, rows, groups);
    }
}
