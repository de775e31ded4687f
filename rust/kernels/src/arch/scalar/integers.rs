//! Products in integers, element by element.

use super::activation::apply;
use crate::RowsMut;
use crate::integers::{GROUP, IntegerKernels, IntegerMatmul, Quantise, Range, RowScale};
use crate::packed::LANES;
use crate::task::Scratch;

pub(crate) const KERNELS: IntegerKernels = IntegerKernels::new("scalar", matmul, quantise);

fn bytes(group: f32) -> [u8; GROUP] {
    group.to_bits().to_ne_bytes()
}

fn matmul(task: &IntegerMatmul<'_>, _: &mut Scratch, mut out: RowsMut<'_>) {
    let (b, after, segments) = (task.b, &task.after, task.b.segments());
    for index in 0..out.count() {
        for col in 0..out.cols() {
            let mut total = 0.0_f32;
            for segment in 0..segments {
                let row = &task.rows[segment * out.count() + index];
                let range = b.groups_of(segment);
                let column = b.groups.panel(col / LANES)[range.clone()].iter().map(|line| bytes(line.0[col % LANES]));
                let mut sum = 0_i32;
                for (a, b) in after.a.row(index)[range].iter().zip(column) {
                    for (a, b) in bytes(*a).into_iter().zip(b) {
                        sum += i32::from(a) * i32::from(b as i8);
                    }
                }
                sum = sum.wrapping_add(row.zero.wrapping_mul(b.sums(segment, col)[0]));
                if let Some(zeros) = b.zeros(col) {
                    sum = sum.wrapping_add(zeros[0].wrapping_mul(row.excess));
                }
                total = (sum as f32).mul_add(row.scale, total);
            }
            let scaled = total.mul_add(b.scales(col)[0], after.bias.map_or(0.0, |bias| bias[col]));
            let active = apply(after.activation, scaled);
            let active = after.factor.map_or(active, |factor| active * factor.row(index)[col]);
            out.row(index)[col] = after.residual.map_or(active, |residual| active + residual.row(index)[col]);
        }
    }
}

/// The steps between a segment's smallest and largest element, and zero, as a factor and a shift of `x -> integer`.
#[inline(always)]
pub(crate) fn steps(least: f32, most: f32) -> (f32, f32, f32) {
    let (least, most) = (least.min(0.0), most.max(0.0));
    let scale = most / 255.0 - least / 255.0;
    // Below, the factor would not be a number: such a segment is zero.
    if scale < f32::MIN_POSITIVE {
        return (0.0, 0.0, 0.0);
    }
    let factor = 1.0 / scale;
    (scale, factor, (-least * factor).round_ties_even().clamp(0.0, 255.0))
}

fn quantise(task: &Quantise<'_>, rows: &mut [RowScale], groups: &mut [f32]) {
    let Quantise { x, segment, range, with_excess } = *task;
    let (cols, width) = (x.cols(), x.cols().div_ceil(GROUP));
    for (number, first) in (0..cols).step_by(segment).enumerate() {
        for row in 0..x.count() {
            let own = &x.row(row)[first..cols.min(first + segment)];
            let at = row * width + first / GROUP;
            let to = &mut rows[number * x.count() + row];
            one_segment(own, range, to, &mut groups[at..at + own.len().div_ceil(GROUP)]);
            to.excess = if with_excess { to.excess } else { 0 };
        }
    }
}

fn one_segment(x: &[f32], range: Range, to: &mut RowScale, groups: &mut [f32]) {
    let is_number = match range {
        Range::Own => x.iter().all(|x| x.is_finite()),
        Range::Fixed { .. } => !x.iter().any(|x| x.is_nan()),
    };
    if !is_number {
        *to = RowScale { scale: f32::NAN, zero: 0, excess: 0 };
        groups.fill(0.0);
        return;
    }
    let (scale, zero, integers): (f32, f32, Vec<f32>) = match range {
        Range::Own => {
            let (least, most) = x.iter().fold((0.0_f32, 0.0_f32), |(l, m), x| (l.min(*x), m.max(*x)));
            let (scale, factor, zero) = steps(least, most);
            (scale, zero, x.iter().map(|x| x.mul_add(factor, zero).round_ties_even()).collect())
        }
        Range::Fixed { scale, zero } => {
            let zero = f32::from(zero);
            (scale, zero, x.iter().map(|x| (x / scale).round_ties_even() + zero).collect())
        }
    };
    *to = RowScale { scale, zero: zero as i32, excess: 0 };
    let mut integers = integers.into_iter().map(|x| x.clamp(0.0, 255.0) as u8);
    for group in groups {
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
