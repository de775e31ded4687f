//! Softmax of rows.

use super::functions::exp_of_negative;
use super::reduction::{largest, total};
use super::{Simd, Vector};
use crate::packed::LANES;
use crate::{Rows, RowsMut};

#[inline(always)]
pub(in crate::arch) fn softmax<S: Simd>(s: S, x: Rows<'_>, mut out: RowsMut<'_>) {
    for index in 0..out.count() {
        let row = x.row(index);
        let (whole, rest) = row.as_chunks::<LANES>();

        // Lanes behind the row's end hold minus infinity, whose exponential is zero.
        let mut last = [f32::NEG_INFINITY; LANES];
        last[..rest.len()].copy_from_slice(rest);
        let last = s.load(&last);
        let mut most = last;
        for chunk in whole {
            most = s.load(chunk).max(most);
        }
        let center = s.splat(largest(most));

        let dest = out.row(index);
        let (dest_whole, dest_rest) = dest.as_chunks_mut::<LANES>();
        let last = exp_of_negative(s, last - center);
        let mut sums = s.splat(0.0);
        for (chunk, to) in whole.iter().zip(dest_whole.iter_mut()) {
            let weight = exp_of_negative(s, s.load(chunk) - center);
            sums = sums + weight;
            weight.store(to);
        }
        if !rest.is_empty() {
            sums = sums + last;
            last.store_part(dest_rest);
        }
        let sum = s.splat(total(sums));
        for part in dest.chunks_mut(LANES) {
            (s.load_part(part) / sum).store_part(part);
        }
    }
}
