//! How the two products of an attention multiply: in float32, or with operands rounded to bfloat16.
//!
//! bfloat16 is for graphs that may compute in few bits. An operand's error, 2^-9 of it at most, is less than what rounding
//! to 8 bits has left in the numbers already, and where the CPU multiplies pairs of bfloat16 a product takes half of the
//! time. The order is that of float32, one fused multiply-add after another: the bits are the same with the instruction
//! and without it, but for numbers below 1.2e-38, which the instruction takes for zero.

use super::functions::{coarse_exp_of_negative, exp_of_negative};
use super::matmul::Place;
use super::pack::{pack_lanes, pack_left};
use super::{Simd, Start, Vector};
use crate::Rows;
use crate::packed::{LANES, Line};

/// How an attention multiplies. What is packed are *groups* of neighbours along the dimension that is summed over, each in the
/// bits of a float.
pub(in crate::arch) trait Products<S: Simd>: Copy {
    /// Neighbours in a group.
    const GROUP: usize;

    /// Writes `rows`, sixteen at most, as `[group][row]` without gaps, and anything up to fifteen elements behind that.
    fn pack_left(self, s: S, rows: Rows<'_>, to: &mut [f32]);
    /// Writes `rows` times a factor as `[group][row]` in lines, `stride` of them from one group to the next.
    fn pack_lanes(self, s: S, rows: Rows<'_>, stride: usize, factor: f32, to: &mut [Line]);
    /// Writes columns `first..first + count` of all rows as `[group of rows][column]` without gaps, and anything up to
    /// fifteen elements behind that.
    fn pack_columns(self, s: S, rows: Rows<'_>, first: usize, count: usize, to: &mut [f32]);
    /// Turns the scores of vectors of queries, a row for each key, into groups of `exp(score - largest)`, and adds these to
    /// `sums`, ascending; groups are put in their place.
    fn weigh<const VECTORS: usize>(self, s: S, scores: &mut [[Line; VECTORS]], largest: &[S::V], sums: &mut [S::V]);
    /// Runs the register tile of `rows` rows and `vectors` vectors over groups.
    fn tile(self, s: S, size: [usize; 2], a: &[f32], b: &[Line], to: &mut [Line], start: Start);
}

/// Float32 by float32.
#[derive(Clone, Copy)]
pub(super) struct Floats;

/// Operands rounded to bfloat16, for CPUs that do not multiply these.
#[derive(Clone, Copy)]
pub(super) struct Rounded;

impl<S: Simd> Products<S> for Floats {
    const GROUP: usize = 1;

    #[inline(always)]
    fn pack_left(self, s: S, rows: Rows<'_>, to: &mut [f32]) {
        pack_left(s, rows, to);
    }

    #[inline(always)]
    fn pack_lanes(self, s: S, rows: Rows<'_>, stride: usize, factor: f32, to: &mut [Line]) {
        pack_lanes(s, rows, stride, factor, to);
    }

    #[inline(always)]
    fn pack_columns(self, s: S, rows: Rows<'_>, first: usize, count: usize, to: &mut [f32]) {
        for row in 0..rows.count() {
            let from = &rows.row(row)[first..];
            let dest = to[row * count..].first_chunk_mut().expect("room behind the last row");
            s.load_part(&from[..from.len().min(LANES)]).store(dest);
        }
    }

    #[inline(always)]
    fn weigh<const VECTORS: usize>(self, s: S, scores: &mut [[Line; VECTORS]], largest: &[S::V], sums: &mut [S::V]) {
        for row in scores {
            for j in 0..VECTORS {
                let weight = exp_of_negative(s, s.load(&row[j].0) - largest[j]);
                sums[j] = sums[j] + weight;
                weight.store(&mut row[j].0);
            }
        }
    }

    #[inline(always)]
    fn tile(self, s: S, [rows, vectors]: [usize; 2], a: &[f32], b: &[Line], to: &mut [Line], start: Start) {
        s.tile(rows, vectors, a, b, Place::Lines(to), start);
    }
}

impl<S: Simd> Products<S> for Rounded {
    const GROUP: usize = 1;

    #[inline(always)]
    fn pack_left(self, s: S, rows: Rows<'_>, to: &mut [f32]) {
        pack_left(s, rows, to);
        round(s, &mut to[..rows.count() * rows.cols()]);
    }

    #[inline(always)]
    fn pack_lanes(self, s: S, rows: Rows<'_>, stride: usize, factor: f32, to: &mut [Line]) {
        pack_lanes(s, rows, stride, factor, to);
        for line in to.iter_mut().step_by(stride).take(rows.cols()) {
            s.load(&line.0).to_bfloat16(s).store(&mut line.0);
        }
    }

    #[inline(always)]
    fn pack_columns(self, s: S, rows: Rows<'_>, first: usize, count: usize, to: &mut [f32]) {
        Floats.pack_columns(s, rows, first, count, to);
        round(s, &mut to[..rows.count() * count]);
    }

    #[inline(always)]
    fn weigh<const VECTORS: usize>(self, s: S, scores: &mut [[Line; VECTORS]], largest: &[S::V], sums: &mut [S::V]) {
        for row in scores {
            for j in 0..VECTORS {
                let weight = coarse_exp_of_negative(s, s.load(&row[j].0) - largest[j]);
                sums[j] = sums[j] + weight;
                weight.to_bfloat16(s).store(&mut row[j].0);
            }
        }
    }

    #[inline(always)]
    fn tile(self, s: S, [rows, vectors]: [usize; 2], a: &[f32], b: &[Line], to: &mut [Line], start: Start) {
        s.tile(rows, vectors, a, b, Place::Lines(to), start);
    }
}

#[inline(always)]
fn round<S: Simd>(s: S, data: &mut [f32]) {
    let (whole, rest) = data.as_chunks_mut();
    for vector in whole {
        s.load(vector).to_bfloat16(s).store(vector);
    }
    if !rest.is_empty() {
        s.load_part(rest).to_bfloat16(s).store_part(rest);
    }
}
