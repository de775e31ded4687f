//! What follows the exact sums of bytes by tiles: the steps that they count, scales, biases, GELU and residuals.

use super::tiles::ROWS;
use crate::arch::generic::activation::apply;
use crate::arch::generic::integers::Dots;
use crate::arch::generic::{Simd, Vector};
use crate::arch::x86_64::avx512::{Avx512, V};
use crate::arch::x86_64::integers::Vnni;
use crate::integers::{IntegerMatmul, RowScale};
use crate::packed::{LANES, Line};
use crate::{Activation, RowsMut};

pub(super) const VECTORS: usize = Avx512::TILE_VECTORS;
/// Lines of the sums of two tiles of rows by a panel.
pub(super) const SUMS: usize = 2 * ROWS * VECTORS;
/// What is done in registers where sums become floats.
pub(super) const PLAIN: u8 = 0;
pub(super) const GELU: u8 = 1;
pub(super) const COARSE_GELU: u8 = 2;

/// What the sums of a tile by a panel stand for.
pub(super) struct Panel<'a> {
    pub(super) task: &'a IntegerMatmul<'a>,
    pub(super) first_col: usize,
    /// Sums of the weights of each segment with their signs turned, as floats.
    pub(super) columns: &'a [Line],
    pub(super) biases: &'a [f32],
    /// Zeros and scales of all rows, `[segments, m]`.
    pub(super) steps: [&'a [f32]; 2],
    /// The tile's first row, and how many there are.
    pub(super) rows: [usize; 2],
}

impl Panel<'_> {
    /// What the sums of all segments stand for, times the columns' scales, with the bias and where that is asked for GELU: to the
    /// result with the residual, where there is one, or to the first segment's lines.
    #[inline(always)]
    pub(super) fn floats<const ACTIVATION: u8>(
        &self,
        s: Avx512,
        d: Vnni,
        sums: &mut [Line],
        is_exact: bool,
        out: Option<&mut RowsMut<'_>>,
    ) {
        let segments = self.task.b.segments();
        if !(is_exact && (1..=3).contains(&segments)) {
            self.add_up(s, d, sums, is_exact);
        }
        // SAFETY: AVX-512 F and VNNI are there, of which `s` and `d` are evidence.
        unsafe {
            match segments {
                1 if is_exact => self.finish::<1, ACTIVATION>(s, d, sums, out),
                2 if is_exact => self.finish::<2, ACTIVATION>(s, d, sums, out),
                3 if is_exact => self.finish::<3, ACTIVATION>(s, d, sums, out),
                _ => self.finish::<0, ACTIVATION>(s, d, sums, out),
            }
        }
    }

    /// The same of sums of some segments, or of floats that are added up already for none.
    ///
    /// A function of its own, so that its few numbers have registers: where it was part of the product, 64 rows of 384 by 1152
    /// columns took 1.08 times as long, with GELU 1.07 times.
    #[inline(never)]
    #[target_feature(enable = "avx512f,avx512vnni")]
    #[allow(clippy::needless_range_loop)] // unrolled, so that vectors stay in registers
    fn finish<const SEGMENTS: usize, const ACTIVATION: u8>(
        &self,
        s: Avx512,
        d: Vnni,
        sums: &mut [Line],
        mut out: Option<&mut RowsMut<'_>>,
    ) {
        let Self { task, first_col, rows: [first, height], .. } = *self;
        let count = task.after.a.count();
        // Not by the array's own map, which becomes a call: 5% of texts of 256 tokens.
        let (mut zeros, mut steps) = ([&[][..]; SEGMENTS], [&[][..]; SEGMENTS]);
        for segment in 0..SEGMENTS {
            zeros[segment] = &self.steps[0][segment * count + first..][..height];
            steps[segment] = &self.steps[1][segment * count + first..][..height];
        }
        let mut columns = [[s.splat(0.0); VECTORS]; SEGMENTS];
        let (mut scales, mut biases) = ([s.splat(0.0); VECTORS], [s.splat(0.0); VECTORS]);
        let (own_scales, own_biases) = (task.b.scales(first_col).as_chunks().0, self.biases.as_chunks().0);
        for j in 0..VECTORS {
            (scales[j], biases[j]) = (s.load(&own_scales[j]), s.load(&own_biases[j]));
            for segment in 0..SEGMENTS {
                columns[segment][j] = s.load(&self.columns[segment * VECTORS + j].0);
            }
        }
        let (sums, _) = sums.as_chunks_mut::<VECTORS>();
        for row in 0..height {
            let mut x = [s.splat(0.0); VECTORS];
            if SEGMENTS == 0 {
                for j in 0..VECTORS {
                    x[j] = s.load(&sums[row][j].0);
                }
            }
            for segment in 0..SEGMENTS {
                let (zero, step) = (s.splat(zeros[segment][row]), s.splat(steps[segment][row]));
                for j in 0..VECTORS {
                    // Whole numbers that floats hold, each of them: no step rounds.
                    let sum = d.floats(s, d.sums(&sums[segment * ROWS * 2 + row][j]));
                    let sum = zero.mul_add(columns[segment][j], sum);
                    x[j] = if segment == 0 { sum * step } else { sum.mul_add(step, x[j]) };
                }
            }
            for j in 0..VECTORS {
                x[j] = x[j].mul_add(scales[j], biases[j]);
            }
            for j in 0..VECTORS {
                x[j] = match ACTIVATION {
                    GELU => apply(s, Activation::Gelu, x[j]),
                    COARSE_GELU => apply(s, Activation::CoarseGelu, x[j]),
                    _ => x[j],
                };
            }
            if let Some(out) = &mut out {
                if let Some(residual) = task.after.residual {
                    let (residual, _) = residual.row(first + row)[first_col..].as_chunks();
                    let residual: &[[f32; LANES]; VECTORS] = residual.first_chunk().expect("whole vectors");
                    for j in 0..VECTORS {
                        x[j] = x[j] + s.load(&residual[j]);
                    }
                }
                let (to, _) = out.row(first + row)[first_col..].as_chunks_mut();
                let to: &mut [[f32; LANES]; VECTORS] = to.first_chunk_mut().expect("whole vectors");
                for j in 0..VECTORS {
                    x[j].store(&mut to[j]);
                }
            } else {
                for j in 0..VECTORS {
                    x[j].store(&mut sums[row][j].0);
                }
            }
        }
    }

    /// Replaces the first segment's sums by floats, what the sums of all segments stand for.
    #[inline(always)]
    #[allow(clippy::needless_range_loop)] // as above
    fn add_up(&self, s: Avx512, d: Vnni, sums: &mut [Line], is_exact: bool) {
        let Self { task, first_col, rows: [first, height], .. } = *self;
        let (count, segments) = (task.after.a.count(), task.b.segments());
        for row in 0..height {
            for j in 0..VECTORS {
                let mut x = s.splat(0.0);
                for segment in 0..segments {
                    let at = segment * count + first + row;
                    let own = &sums[segment * SUMS + row * VECTORS + j];
                    let sum = if is_exact {
                        let column = s.load(&self.columns[segment * VECTORS + j].0);
                        s.splat(self.steps[0][at]).mul_add(column, d.floats(s, d.sums(own)))
                    } else {
                        self.sum(s, d, &task.rows[at], segment, first_col + j * LANES, own)
                    };
                    let step = s.splat(self.steps[1][at]);
                    x = if segment == 0 { sum * step } else { sum.mul_add(step, x) };
                }
                x.store(&mut sums[row * VECTORS + j].0);
            }
        }
    }

    /// Sums with what the zeros of the row and of the weights come to, in integers.
    #[inline(always)]
    fn sum(&self, s: Avx512, d: Vnni, own: &RowScale, segment: usize, col: usize, sums: &Line) -> V {
        let of_columns = self.task.b.sums(segment, col).first_chunk().expect("numbers up to the end of a panel");
        let mut sum = d.plus(d.times(of_columns, &own.zero), d.sums(sums));
        if let Some(zeros) = self.task.b.zeros(col) {
            let zeros = zeros.first_chunk().expect("numbers up to the end of a panel");
            sum = d.plus(sum, d.times(zeros, &own.excess));
        }
        d.floats(s, sum)
    }
}
