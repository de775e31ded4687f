//! Layer and root-mean-square normalisation: a row is summed in sixteen lanes, and these in one fixed order.

use super::reduction::{reduce, total};
use super::{Simd, Vector};
use crate::RowsMut;
use crate::packed::LANES;
use crate::task::{LayerNorm, Reduction, RmsNorm};

/// Rows that are normalised at the same time: a sum of 384 elements waits 24 times for the addition before it. A row takes
/// 0.10 us so, 0.15 alone (Intel Xeon, without link-time optimisation).
const TOGETHER: usize = 4;

#[inline(always)]
pub(in crate::arch) fn layer_norm<S: Simd>(s: S, task: &LayerNorm<'_>, mut out: RowsMut<'_>) {
    let count = out.count();
    let mut first = 0;
    while first + TOGETHER <= count {
        layer_norm_of::<S, TOGETHER>(s, task, first, &mut out);
        first += TOGETHER;
    }
    for row in first..count {
        layer_norm_of::<S, 1>(s, task, row, &mut out);
    }
}

/// Some rows, each in the order of one alone.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // unrolled, so that vectors stay in registers
fn layer_norm_of<S: Simd, const ROWS: usize>(s: S, task: &LayerNorm<'_>, first: usize, out: &mut RowsMut<'_>) {
    let cols = task.x.cols();
    let (count, chunks) = (cols as f32, cols / LANES);
    let (mut rows, mut rests) = ([&[][..]; ROWS], [&[][..]; ROWS]);
    for index in 0..ROWS {
        let (row, rest) = task.x.row(first + index).as_chunks::<LANES>();
        (rows[index], rests[index]) = (&row[..chunks], rest);
    }

    let mut sums = [s.splat(0.0); ROWS];
    for index in 0..ROWS {
        sums[index] = s.load_part(rests[index]);
    }
    for number in 0..chunks {
        for index in 0..ROWS {
            sums[index] = sums[index] + s.load(&rows[index][number]);
        }
    }

    // Lanes behind the row's end hold the mean, whose deviation is zero.
    let (mut centers, mut squares) = ([s.splat(0.0); ROWS], [s.splat(0.0); ROWS]);
    for index in 0..ROWS {
        let mean = total(sums[index]) / count;
        let mut last = [mean; LANES];
        last[..rests[index].len()].copy_from_slice(rests[index]);
        centers[index] = s.splat(mean);
        let deviation = s.load(&last) - centers[index];
        squares[index] = deviation * deviation;
    }
    for number in 0..chunks {
        for index in 0..ROWS {
            let deviation = s.load(&rows[index][number]) - centers[index];
            squares[index] = deviation.mul_add(deviation, squares[index]);
        }
    }

    for index in 0..ROWS {
        let factor = s.splat(1.0 / (total(squares[index]) / count + task.epsilon).sqrt());
        let (dest, last) = out.row(first + index).as_chunks_mut::<LANES>();
        let dest = &mut dest[..chunks];
        if let (Some(scale), Some(bias)) = (task.scale, task.bias) {
            // As they mostly are: to ask for each vector whether it is whole and has them takes a quarter of the time.
            let (scale, bias) = (&scale.as_chunks::<LANES>().0[..chunks], &bias.as_chunks::<LANES>().0[..chunks]);
            for number in 0..chunks {
                let x = (s.load(&rows[index][number]) - centers[index]) * factor;
                (x * s.load(&scale[number]) + s.load(&bias[number])).store(&mut dest[number]);
            }
        } else {
            for (number, (to, from)) in dest.iter_mut().zip(rows[index]).enumerate() {
                scaled(s, (s.load(from) - centers[index]) * factor, task, number).store(to);
            }
        }
        if !last.is_empty() {
            let x = (s.load_part(rests[index]) - centers[index]) * factor;
            scaled(s, x, task, chunks).store_part(last);
        }
    }
}

/// Sixteen elements of a row times their factors and with their summands.
#[inline(always)]
fn scaled<S: Simd>(s: S, mut x: S::V, task: &LayerNorm<'_>, number: usize) -> S::V {
    if let Some(scale) = task.scale {
        x = x * s.load_part(&scale[number * LANES..]);
    }
    if let Some(bias) = task.bias {
        x = x + s.load_part(&bias[number * LANES..]);
    }
    x
}

#[inline(always)]
pub(in crate::arch) fn rms_norm<S: Simd>(s: S, task: &RmsNorm<'_>, mut out: RowsMut<'_>) {
    for index in 0..out.count() {
        let row = task.x.row(index);
        let squares = reduce(s, Reduction::SumOfSquares, row);
        let factor = s.splat(1.0 / (squares / row.len() as f32 + task.epsilon).sqrt());
        for ((to, part), scale) in out.row(index).chunks_mut(LANES).zip(row.chunks(LANES)).zip(task.scale.chunks(LANES))
        {
            (s.load_part(part) * factor * s.load_part(scale)).store_part(to);
        }
    }
}
