//! Products in integers: rows quantised to 8 bits, weights of 8 bits, and sums that are exact.
//!
//! Four neighbours along the inner dimension are one *group*, which is kept in the bits of an `f32`: a matrix of integers
//! is then a matrix of groups, packed and cut as matrices of floats are. Nothing computes with a group as a float.

use crate::arch;
use crate::dispatch::{Isa, Kernels};
use crate::packed::{LANES, PackedMatrix, Panels};
use crate::task::Scratch;
use crate::{Activation, Rows, RowsMut};

/// Elements of a group.
pub const GROUP: usize = 4;

/// The longest inner dimension whose sums fit into 32 bits whatever is summed: 255 * 255 each.
pub const MOST_INNER: usize = (i32::MAX / (255 * 255)) as usize;

/// How a row was quantised: its elements are `(integer - zero) * scale`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RowScale {
    /// The size of a step; NaN for a row that has no integers, because it has a NaN or an infinity.
    pub scale: f32,
    /// The integer that stands for 0.
    pub zero: i32,
    /// The sum of `integer - zero` over the row.
    pub excess: i32,
}

/// How rows become integers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Range {
    /// Each row by its own smallest and largest element, zero between them.
    OfRow,
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
    scales: Vec<f32>,
    sums: Vec<i32>,
    zeros: Option<Vec<i32>>,
}

impl PackedIntegers {
    /// Packs for one table of kernels; `strides` are those of the rows and of the columns, scales and zeros one per column.
    ///
    /// # Panics
    ///
    /// The arrays do not fit together, `k` is over [`MOST_INNER`], or a zero is outside -255 to 255.
    pub fn new(
        kernels: &Kernels,
        data: &[i8],
        [k, n]: [usize; 2],
        strides: [usize; 2],
        scales: &[f32],
        zeros: Option<&[i32]>,
    ) -> Self {
        assert!(k <= MOST_INNER, "sums of {k} products");
        assert_eq!(scales.len(), n, "scales");
        assert!(zeros.is_none_or(|zeros| zeros.len() == n && zeros.iter().all(|zero| zero.abs() <= 255)), "zeros");
        let count = k.div_ceil(GROUP);
        let mut sums = vec![0; n.next_multiple_of(kernels.panel_width)];
        let mut groups = vec![0.0_f32; count * n];
        for group in 0..count {
            for col in 0..n {
                let mut bytes = [0_u8; GROUP];
                for (byte, row) in bytes.iter_mut().zip(group * GROUP..k) {
                    let weight = data[row * strides[0] + col * strides[1]];
                    sums[col] += i32::from(weight);
                    *byte = weight as u8;
                }
                groups[group * n + col] = f32::from_bits(u32::from_ne_bytes(bytes));
            }
        }
        let mut padded = vec![0.0; sums.len()];
        padded[..n].copy_from_slice(scales);
        let zeros = zeros.filter(|zeros| zeros.iter().any(|zero| *zero != 0)).map(|zeros| {
            let mut padded = vec![0; sums.len()];
            padded[..n].copy_from_slice(zeros);
            padded
        });
        let groups = PackedMatrix::new(kernels, &groups, [count, n], [n, 1]);
        Self { groups, k, scales: padded, sums, zeros }
    }

    /// Rows of the matrix, the dimension that is summed over.
    pub fn k(&self) -> usize {
        self.k
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
        IntegerPanels {
            groups: groups.range(start, end),
            scales: &self.scales[columns.clone()],
            sums: &self.sums[columns.clone()],
            zeros: self.zeros.as_ref().map(|zeros| &zeros[columns]),
        }
    }
}

/// A view of some panels; the numbers of each column go on to the end of the last panel.
#[derive(Clone, Copy, Debug)]
pub struct IntegerPanels<'a> {
    /// Groups of four weights, `[k / 4, n]`.
    pub(crate) groups: Panels<'a>,
    /// The size of a step.
    pub(crate) scales: &'a [f32],
    /// The sum of the weights.
    pub(crate) sums: &'a [i32],
    /// The integers that stand for 0; absent where all are 0.
    pub(crate) zeros: Option<&'a [i32]>,
}

impl IntegerPanels<'_> {
    /// Columns of the matrix.
    pub fn n(&self) -> usize {
        self.groups.n()
    }
}

/// `activation(a @ b + bias) * factor + residual`, where `a` and `b` are quantised.
///
/// The sum of an element is exact; what follows is rounded in one fixed order.
#[derive(Clone, Copy, Debug)]
pub struct IntegerMatmul<'a> {
    /// Groups of four unsigned integers, `[m, k / 4]`.
    pub a: Rows<'a>,
    /// One for each row.
    pub rows: &'a [RowScale],
    /// Right-hand matrix, packed for the table that runs this.
    pub b: IntegerPanels<'a>,
    /// One value per column.
    pub bias: Option<&'a [f32]>,
    /// Applied after the bias.
    pub activation: Activation,
    /// Multiplied with the activation's result, `[m, n]`.
    pub factor: Option<Rows<'a>>,
    /// Added last, `[m, n]`.
    pub residual: Option<Rows<'a>>,
}

impl IntegerMatmul<'_> {
    fn check(&self, out: [usize; 2], panel_width: usize) {
        let shape = [self.a.count(), self.b.n()];
        assert_eq!(self.a.cols(), self.b.groups.k(), "inner dimensions");
        assert_eq!(self.b.groups.width(), panel_width, "panels packed for another instruction set");
        assert_eq!(out, shape, "output");
        assert_eq!(self.rows.len(), shape[0], "scales of rows");
        if let Some(bias) = self.bias {
            assert_eq!(bias.len(), shape[1], "bias");
        }
        for (name, rows) in [("factor", self.factor), ("residual", self.residual)] {
            assert!(rows.is_none_or(|rows| [rows.count(), rows.cols()] == shape), "{name}");
        }
    }
}

/// The kernels for integers of one instruction set; they go with one table of float kernels.
#[derive(Clone, Copy, Debug)]
pub struct IntegerKernels {
    /// The instruction that sums, for reports.
    pub name: &'static str,
    panel_width: usize,
    pub(crate) matmul: fn(&IntegerMatmul<'_>, &mut Scratch, RowsMut<'_>),
    pub(crate) quantise: fn(Rows<'_>, Range, &mut [RowScale], &mut [f32]),
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
            Isa::Avx2 => vec![arch::x86_64::integers::avx2()],
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => vec![
                arch::x86_64::integers::avx512(),
                arch::x86_64::integers::avx512_words(),
                arch::x86_64::integers::avx512_vnni(),
            ],
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => vec![arch::aarch64::integers::neon()],
            #[allow(unreachable_patterns)]
            _ => vec![],
        };
        let own = |found: Self| Self { panel_width: kernels.panel_width, ..found };
        found.into_iter().flatten().map(own).collect()
    }

    pub(crate) const fn new(
        name: &'static str,
        matmul: fn(&IntegerMatmul<'_>, &mut Scratch, RowsMut<'_>),
        quantise: fn(Rows<'_>, Range, &mut [RowScale], &mut [f32]),
    ) -> Self {
        Self { name, panel_width: LANES, matmul, quantise }
    }

    /// Computes `task` into `out`.
    #[inline]
    pub fn matmul(&self, task: &IntegerMatmul<'_>, scratch: &mut Scratch, out: RowsMut<'_>) {
        task.check([out.count(), out.cols()], self.panel_width);
        (self.matmul)(task, scratch, out);
    }

    /// Writes the groups of each row of `x`, `[m, k / 4]`, and how it was quantised.
    ///
    /// Behind the end of a row its last group holds zeros.
    #[inline]
    pub fn quantise(&self, x: Rows<'_>, range: Range, rows: &mut [RowScale], groups: &mut [f32]) {
        assert_eq!(rows.len(), x.count(), "scales of rows");
        assert_eq!(groups.len(), x.count() * x.cols().div_ceil(GROUP), "groups");
        assert!(x.cols() <= MOST_INNER, "rows of {} elements", x.cols());
        (self.quantise)(x, range, rows, groups);
    }
}
