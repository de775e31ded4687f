//! Products in integers, element by element.

use super::activation::apply;
use crate::integers::{GROUP, IntegerKernels, IntegerMatmul, Range, RowScale};
use crate::packed::LANES;
use crate::task::Scratch;
use crate::{Rows, RowsMut};

pub(crate) const KERNELS: IntegerKernels = IntegerKernels::new("scalar", matmul, quantise);

fn bytes(group: f32) -> [u8; GROUP] {
    group.to_bits().to_ne_bytes()
}

fn matmul(task: &IntegerMatmul<'_>, _: &mut Scratch, mut out: RowsMut<'_>) {
    for (index, row) in task.rows.iter().enumerate() {
        for col in 0..task.b.n() {
            let column = task.b.groups.panel(col / LANES).iter().map(|line| bytes(line.0[col % LANES]));
            let mut sum = 0_i32;
            for (a, b) in task.a.row(index).iter().zip(column) {
                for (a, b) in bytes(*a).into_iter().zip(b) {
                    sum += i32::from(a) * i32::from(b as i8);
                }
            }
            sum = sum.wrapping_sub(row.zero.wrapping_mul(task.b.sums[col]));
            sum = task.b.zeros.map_or(sum, |zeros| sum.wrapping_sub(zeros[col].wrapping_mul(row.excess)));
            let scaled = sum as f32 * (row.scale * task.b.scales[col]);
            let active = apply(task.activation, task.bias.map_or(scaled, |bias| scaled + bias[col]));
            let active = task.factor.map_or(active, |factor| active * factor.row(index)[col]);
            out.row(index)[col] = task.residual.map_or(active, |residual| active + residual.row(index)[col]);
        }
    }
}

/// The steps between a row's smallest and largest element, and zero, as a factor and a shift of `x -> integer`.
pub(crate) fn steps(least: f32, most: f32) -> (f32, f32, f32) {
    let (least, most) = (least.min(0.0), most.max(0.0));
    let scale = most / 255.0 - least / 255.0;
    // Below, the factor would not be a number: such a row is zero.
    if scale < f32::MIN_POSITIVE {
        return (0.0, 0.0, 0.0);
    }
    let factor = 1.0 / scale;
    (scale, factor, (-least * factor).round_ties_even().clamp(0.0, 255.0))
}

fn quantise(x: Rows<'_>, range: Range, rows: &mut [RowScale], groups: &mut [f32]) {
    let width = x.cols().div_ceil(GROUP);
    for (index, to) in rows.iter_mut().enumerate() {
        let row = x.row(index);
        let is_number = match range {
            Range::OfRow => row.iter().all(|x| x.is_finite()),
            Range::Fixed { .. } => !row.iter().any(|x| x.is_nan()),
        };
        let (scale, integers): (f32, Vec<f32>) = match range {
            _ if !is_number => (f32::NAN, vec![0.0; row.len()]),
            Range::OfRow => {
                let (least, most) = row.iter().fold((0.0_f32, 0.0_f32), |(l, m), x| (l.min(*x), m.max(*x)));
                let (scale, factor, zero) = steps(least, most);
                to.zero = zero as i32;
                (scale, row.iter().map(|x| x.mul_add(factor, zero).round_ties_even()).collect())
            }
            Range::Fixed { scale, zero } => {
                to.zero = i32::from(zero);
                (scale, row.iter().map(|x| (x / scale).round_ties_even() + f32::from(zero)).collect())
            }
        };
        if !is_number {
            to.zero = 0;
        }
        to.scale = scale;
        to.excess = 0;
        let mut integers = integers.into_iter().map(|x| x.clamp(0.0, 255.0) as u8);
        for group in &mut groups[index * width..(index + 1) * width] {
            let bytes: [u8; GROUP] = std::array::from_fn(|_| match integers.next() {
                Some(integer) => {
                    to.excess += i32::from(integer) - to.zero;
                    integer
                }
                None => 0,
            });
            *group = f32::from_bits(u32::from_ne_bytes(bytes));
        }
    }
}
