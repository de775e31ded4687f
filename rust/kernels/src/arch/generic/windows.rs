//! Windows over blocked images: register tiles of adjacent windows and thirty-two (sixteen) filters or channels.

use super::activation::activate;
use super::matmul::balanced;
use super::{Simd, Vector};
use crate::packed::{LANES, Line};
use crate::pointwise::Pointwise;
use crate::windows::{Pixel, WindowProduct, WindowRow, Windows};
use crate::{Rows, RowsMut};

#[inline(always)]
pub(in crate::arch) fn window_product<S: Simd>(s: S, task: &WindowProduct<'_>, mut out: RowsMut<'_>) {
    let (blocks, places) = (out.count(), out.cols() / LANES);
    let height = balanced(places, S::TILE_ROWS).max(1);
    for block in (0..blocks).step_by(S::TILE_VECTORS) {
        let vectors = S::TILE_VECTORS.min(blocks - block);
        let filters = &task.filters[block * task.rows[0]..][..vectors * task.rows[0]];
        for first in (0..places).step_by(height) {
            let count = height.min(places - first);
            s.window_tile([count, vectors], task, &filters[task.rows[1] * vectors..], [block, first], &mut out);
        }
    }
}

/// One tile of the product, whose sums stay in registers; `filters` begin with the row of the first start.
///
/// The same loop as that of a matrix product's tile: here a number of the left side is one of a pixel, and the pixels of
/// adjacent windows are at distances that the instructions hold.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // the standard library's iterators become calls
pub(in crate::arch) fn tile<S: Simd, const ROWS: usize, const VECTORS: usize>(
    s: S,
    task: &WindowProduct<'_>,
    filters: &[Line],
    [block, first]: [usize; 2],
    out: &mut RowsMut<'_>,
) {
    let mut sums = [[s.splat(0.0); VECTORS]; ROWS];
    for j in 0..VECTORS {
        if let Some(bias) = task.bias {
            let bias = s.load(&bias[block + j].0);
            for i in 0..ROWS {
                sums[i][j] = bias;
            }
        } else {
            let (row, _) = out.row(block + j)[first * LANES..].as_chunks::<LANES>();
            let row = row.first_chunk::<ROWS>().expect("pixels of the results");
            for i in 0..ROWS {
                sums[i][j] = s.load(&row[i]);
            }
        }
    }
    let (filters, _) = filters.as_chunks::<VECTORS>();
    let whole = task.starts.len() - task.short;
    let mut row = 0;
    for (number, start) in task.starts.iter().enumerate() {
        let x = task.x[start + first..].first_chunk::<ROWS>().expect("pixels of the windows");
        let lanes = if number < whole { LANES } else { task.lanes };
        let own = &filters[row..row + lanes];
        for k in 0..lanes.min(LANES) {
            if S::PREFETCH_AHEAD > 0 && row + k + S::PREFETCH_AHEAD < filters.len() {
                for j in 0..VECTORS {
                    s.prefetch(&filters[row + k + S::PREFETCH_AHEAD][j]);
                }
            }
            let mut right = [s.splat(0.0); VECTORS];
            for j in 0..VECTORS {
                right[j] = s.load(&own[k][j].0);
            }
            for i in 0..ROWS {
                let left = s.splat(x[i][k]);
                for j in 0..VECTORS {
                    sums[i][j] = left.mul_add(right[j], sums[i][j]);
                }
            }
        }
        row += lanes;
    }
    for j in 0..VECTORS {
        let (row, _) = out.row(block + j)[first * LANES..].as_chunks_mut::<LANES>();
        let row = row.first_chunk_mut::<ROWS>().expect("pixels of the results");
        for i in 0..ROWS {
            sums[i][j].store(&mut row[i]);
        }
    }
}

/// Windows that are computed at a time, at most: as many sums as hide a multiply-add's latency.
const TOGETHER: usize = 8;

#[inline(always)]
pub(in crate::arch) fn window_row<S: Simd>(s: S, task: &WindowRow<'_>, out: &mut [Pixel]) {
    let size = balanced(out.len(), TOGETHER).max(1);
    for (number, out) in out.chunks_mut(size).enumerate() {
        let first = number * size;
        macro_rules! of_size {
            ($($n:literal)*) => {
                match out.len() {
                    $($n => windows::<S, $n>(s, task, first, out.first_chunk_mut().expect("as many windows")),)*
                    _ => unreachable!("{} windows", out.len()),
                }
            };
        }
        of_size!(1 2 3 4 5 6 7 8);
    }
}

#[inline(always)]
fn windows<S: Simd, const N: usize>(s: S, task: &WindowRow<'_>, first: usize, out: &mut [Pixel; N]) {
    match task.windows {
        Windows::Sum(weights, bias) => {
            let mut sums = [s.load(&bias.0); N];
            for [start, number] in task.taps {
                let weight = s.load(&weights[*number].0);
                let x = &task.x[start + first * task.step..];
                for i in 0..N {
                    sums[i] = s.load(&x[i * task.step]).mul_add(weight, sums[i]);
                }
            }
            for i in 0..N {
                sums[i].store(&mut out[i]);
            }
        }
        Windows::Largest => {
            let mut most = [s.splat(f32::NEG_INFINITY); N];
            for [start, _] in task.taps {
                let x = &task.x[start + first * task.step..];
                for i in 0..N {
                    most[i] = most[i].where_nan(most[i], most[i].max(s.load(&x[i * task.step])));
                }
            }
            for i in 0..N {
                most[i].store(&mut out[i]);
            }
        }
    }
}

#[inline(always)]
pub(in crate::arch) fn pointwise<S: Simd>(s: S, steps: &[Pointwise], data: &mut [f32]) {
    for step in steps {
        if let Pointwise::Activate(activation) = step {
            activate(s, *activation, data);
            continue;
        }
        let (whole, rest) = data.as_chunks_mut::<LANES>();
        for x in whole {
            apply(s, *step, s.load(x)).store(x);
        }
        let last = apply(s, *step, s.load_part(rest));
        last.store_part(rest);
    }
}

#[inline(always)]
fn apply<S: Simd>(s: S, step: Pointwise, x: S::V) -> S::V {
    match step {
        Pointwise::Activate(activation) => super::activation::apply(s, activation, x),
        Pointwise::Add(number) => x + s.splat(number),
        Pointwise::Multiply(number) => x * s.splat(number),
        Pointwise::Clamp(low, high) => limited(s, x, low, high),
        Pointwise::HardSigmoid(alpha, beta) => limited(s, x.mul_add(s.splat(alpha), s.splat(beta)), 0.0, 1.0),
        Pointwise::HardSwish => x * limited(s, x + s.splat(3.0), 0.0, 6.0) / s.splat(6.0),
        Pointwise::LeakyRelu(alpha) => x.where_less(s.splat(0.0), s.splat(alpha) * x, x),
    }
}

#[inline(always)]
fn limited<S: Simd>(s: S, x: S::V, low: f32, high: f32) -> S::V {
    let (low, high) = (s.splat(low), s.splat(high));
    let x = x.where_less(low, low, x);
    high.where_less(x, high, x)
}

#[inline(always)]
pub(in crate::arch) fn accumulate<S: Simd>(s: S, summand: &[f32], data: &mut [f32]) {
    let ((whole, rest), (own, others)) = (data.as_chunks_mut::<LANES>(), summand.as_chunks::<LANES>());
    for (x, summand) in whole.iter_mut().zip(own) {
        (s.load(x) + s.load(summand)).store(x);
    }
    for (x, summand) in rest.iter_mut().zip(others) {
        *x += summand;
    }
}

#[inline(always)]
pub(in crate::arch) fn scale<S: Simd>(s: S, factors: &Pixel, data: &mut [Pixel]) {
    let factors = s.load(factors);
    for x in data {
        (s.load(x) * factors).store(x);
    }
}

/// By squares in registers.
#[inline(always)]
pub(in crate::arch) fn to_pixels<S: Simd>(s: S, channels: Rows<'_>, out: &mut [Pixel]) {
    for (number, pixels) in out.chunks_mut(LANES).enumerate() {
        let mut square = [s.splat(0.0); LANES];
        for (row, vector) in square.iter_mut().enumerate().take(channels.count()) {
            *vector = s.load_part(&channels.row(row)[number * LANES..]);
        }
        s.transpose(&mut square);
        for (pixel, vector) in pixels.iter_mut().zip(square) {
            vector.store(pixel);
        }
    }
}

/// By squares in registers.
#[inline(always)]
pub(in crate::arch) fn from_pixels<S: Simd>(s: S, pixels: &[Pixel], mut out: RowsMut<'_>) {
    for (number, pixels) in pixels.chunks(LANES).enumerate() {
        let mut square = [s.splat(0.0); LANES];
        for (vector, pixel) in square.iter_mut().zip(pixels) {
            *vector = s.load(pixel);
        }
        s.transpose(&mut square);
        for (row, vector) in square.into_iter().enumerate().take(out.count()) {
            let to = &mut out.row(row)[number * LANES..];
            let count = to.len().min(LANES);
            vector.store_part(&mut to[..count]);
        }
    }
}
