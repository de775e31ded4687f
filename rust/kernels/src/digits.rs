//! Right-hand matrices of whole numbers of three digits, for tables that multiply bytes faster than floats.
//!
//! A weight is `number * factor of its row / steps of its column`. Factors and steps are powers of two: a row's factor brings its
//! largest weight between 1 and 2, and a column has as many steps as its largest number, of 23 binary digits and a sign, has
//! room for. So each weight is within 2^-24 of what is largest in its column after the rows are brought to one size, which the
//! left-hand side makes up for exactly: rows of weights that stand before large inputs are small as a rule.
//!
//! That is as near as a float's own rounding where the weights of a column are of like size. Where they are not, the largest
//! being more than [`CREST`] times the mean magnitude, as in the identity, or one in [`FEW`] [`SMALL`], as in a sparse matrix, it
//! stays one of floats.

use crate::arch::pages::Lines;
use crate::packed::{LANES, Line, Piece, write_panels};

/// Rows of a block. Bytes of rows sixteen apart lie side by side.
pub(crate) const DEPTH: usize = 64;
/// Digits of a number.
pub(crate) const PARTS: usize = 3;
/// Lines of a block by sixteen columns.
pub(crate) const BLOCK: usize = PARTS * DEPTH / 4;
/// Fewer rows than a block are not worth it; more than this have sums of 3 * 2^14 each that 32 bits do not hold.
const ROWS: std::ops::RangeInclusive<usize> = DEPTH..=32768;
/// Binary digits of a column's steps where its largest number is between 1 and 2.
pub(crate) const FEWEST_BITS: i32 = 22;
/// The largest number of three digits from -128 to 127.
pub(crate) const MOST: f32 = 8_355_711.0;
/// How many times the mean magnitude of a column the largest number of it may be. all-MiniLM-L6-v2 has 16 times it at most.
pub(crate) const CREST: f32 = 32.0;
/// Numbers below this have ten binary digits less than the largest of their column, or eleven. Of all-MiniLM-L6-v2's at most one in 34
/// of a column is.
pub(crate) const SMALL: f32 = 4096.0;
/// One number in so many may be.
pub(crate) const FEW: f32 = 8.0;
/// Numbers beyond two to this, or below its inverse, are not brought to any size.
const FURTHEST: i32 = 60;
/// Floats that are read at a time, while the second-level cache has them: 512 KiB.
const READ: usize = 1 << 17;

/// A table's way to write such matrices.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DigitKernels {
    /// Raises magnitudes to those of as many numbers.
    pub(crate) raise: fn(&[f32], &mut [f32]),
    /// The largest magnitude.
    pub(crate) largest: fn(&[f32]) -> f32,
    /// Writes a panel of floats, each row times its inverse; `false` where a column is not [near](is_near) enough.
    pub(crate) write: fn(&[Line], &[f32], &mut [Line]) -> bool,
}

/// Lines of sixteen columns of `k` rows.
pub(crate) fn strip_lines(k: usize) -> usize {
    k.div_ceil(DEPTH) * BLOCK
}

/// Lines of a panel: its strips, and a line of scales for each.
pub(crate) fn panel_lines(k: usize, width: usize) -> usize {
    width / LANES * (strip_lines(k) + 1)
}

/// Lines of the rows' factors, zeros behind them.
pub(crate) fn factor_lines(k: usize) -> usize {
    k.div_ceil(DEPTH) * DEPTH / LANES
}

/// Lines of a matrix of floats; of one in digits there is one more than of its parts, which makes the number odd, and that
/// of floats in panels of two vectors is even.
pub(crate) fn lines_for([k, n]: [usize; 2], width: usize) -> Option<usize> {
    let panels = n.div_ceil(width);
    (ROWS.contains(&k) && panels > 0).then(|| panels * panel_lines(k, width) + factor_lines(k) + 1)
}

/// Where a float lies among the powers of two: `e` of a normal one from `2^e` up to `2^(e + 1)`.
pub(crate) fn exponent_of(x: f32) -> i32 {
    (x.to_bits() >> 23 & 0xFF) as i32 - 127
}

/// Two to a power from -126 to 127.
pub(crate) fn power_of_two(exponent: i32) -> f32 {
    debug_assert!((-126..=127).contains(&exponent), "2^{exponent}");
    f32::from_bits(((exponent + 127) as u32) << 23)
}

/// Whether so many numbers, of which this is the largest magnitude and that the sum of all, are of like size; zeros are.
pub(crate) fn is_near(most: f32, sum: f32, count: usize, crest: f32) -> bool {
    // A sum is NaN or infinite where a number is.
    sum == 0.0 || exponent_of(most).abs() < FURTHEST && most * count as f32 <= crest * sum && sum < f32::INFINITY
}

/// The largest magnitude of each row of the matrix that `pieces` are, numbers that are not NaN.
fn magnitudes(kernels: &DigitKernels, pieces: &[Piece<'_>], k: usize) -> Vec<f32> {
    let mut most = vec![0.0_f32; k];
    for Piece { data, n, strides, .. } in pieces.iter().filter(|piece| piece.n > 0) {
        match strides {
            [row, 1] => {
                for (at, most) in most.iter_mut().enumerate() {
                    *most = most.max((kernels.largest)(&data[at * row..][..*n]));
                }
            }
            [1, col] => (0..*n).for_each(|at| (kernels.raise)(&data[at * col..][..k], &mut most)),
            [row, col] => {
                for (at, most) in most.iter_mut().enumerate() {
                    *most = (0..*n).map(|to| data[at * row + to * col].abs()).fold(*most, f32::max);
                }
            }
        }
    }
    most
}

/// Writes the matrix that `pieces` are; `false` where it has to be one of floats.
pub(crate) fn fill(
    kernels: &DigitKernels,
    lines: &mut Lines,
    pieces: &[Piece<'_>],
    [k, n]: [usize; 2],
    width: usize,
) -> bool {
    let (panels, size) = (n.div_ceil(width), k * (width / LANES));
    let (to, factors) = lines.split_at_mut(panels * panel_lines(k, width));
    let mut inverse = vec![0.0; k];
    for (row, most) in magnitudes(kernels, pieces, k).into_iter().enumerate() {
        if most > 0.0 {
            let exponent = exponent_of(most);
            if exponent.abs() >= FURTHEST {
                return false;
            }
            inverse[row] = power_of_two(-exponent);
            factors[row / LANES].0[row % LANES] = power_of_two(exponent);
        }
    }
    let each = (READ / (size * LANES)).clamp(1, panels);
    let mut floats = vec![Line::default(); each * size];
    (to.chunks_mut(each * panel_lines(k, width)).zip((0..panels).step_by(each))).all(|(to, first)| {
        let count = each.min(panels - first);
        let floats = &mut floats[..count * size];
        if first + count == panels && !n.is_multiple_of(width) {
            floats[(count - 1) * size..].fill(Line::default());
        }
        pieces.iter().filter(|piece| piece.n > 0).for_each(|piece| write_panels(floats, first, piece, k, width));
        let mut panels = floats.chunks_exact(size).zip(to.chunks_exact_mut(panel_lines(k, width)));
        panels.all(|(panel, to)| (kernels.write)(panel, &inverse, to))
    })
}
