//! Layer and root-mean-square normalisation: a row is summed in sixteen lanes, and these in one fixed order.

use super::matmul::{load_part, store_part};
use super::reduction::{reduce, total};
use super::{Simd, Vector};
use crate::RowsMut;
use crate::packed::LANES;
use crate::task::{LayerNorm, Reduction, RmsNorm};

#[inline(always)]
pub(in crate::arch) fn layer_norm<S: Simd>(s: S, task: &LayerNorm<'_>, mut out: RowsMut<'_>) {
    for index in 0..out.count() {
        let row = task.x.row(index);
        let count = row.len() as f32;
        let (whole, rest) = row.as_chunks::<LANES>();

        let mut sums = load_part(s, rest);
        for chunk in whole {
            sums = sums + s.load(chunk);
        }
        let mean = total(sums) / count;

        // Lanes behind the row's end hold the mean, whose deviation is zero.
        let center = s.splat(mean);
        let mut last = [mean; LANES];
        last[..rest.len()].copy_from_slice(rest);
        let deviation = s.load(&last) - center;
        let mut squares = deviation * deviation;
        for chunk in whole {
            let deviation = s.load(chunk) - center;
            squares = deviation.mul_add(deviation, squares);
        }
        let factor = s.splat(1.0 / (total(squares) / count + task.epsilon).sqrt());

        let dest = out.row(index);
        for (number, part) in row.chunks(LANES).enumerate() {
            let columns = number * LANES..number * LANES + part.len();
            let mut x = (load_part(s, part) - center) * factor;
            if let Some(scale) = task.scale {
                x = x * load_part(s, &scale[columns.clone()]);
            }
            if let Some(bias) = task.bias {
                x = x + load_part(s, &bias[columns.clone()]);
            }
            store_part(x, &mut dest[columns]);
        }
    }
}

#[inline(always)]
pub(in crate::arch) fn rms_norm<S: Simd>(s: S, task: &RmsNorm<'_>, mut out: RowsMut<'_>) {
    for index in 0..out.count() {
        let row = task.x.row(index);
        let squares = reduce(s, Reduction::SumOfSquares, row);
        let factor = s.splat(1.0 / (squares / row.len() as f32 + task.epsilon).sqrt());
        for ((to, part), scale) in out.row(index).chunks_mut(LANES).zip(row.chunks(LANES)).zip(task.scale.chunks(LANES))
        {
            store_part(load_part(s, part) * factor * load_part(s, scale), to);
        }
    }
}
