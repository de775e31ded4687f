//! Matrix product with an epilogue.

use super::activation::apply;
use crate::RowsMut;
use crate::packed::LANES;
use crate::task::{Matmul, Scratch};

pub(super) fn matmul(task: &Matmul<'_>, _: &mut Scratch, mut out: RowsMut<'_>) {
    for row in 0..out.count() {
        let left = task.a.row(row);
        for panel in 0..task.b.count() {
            let mut sums = [0.0_f32; LANES];
            for (a, line) in left.iter().zip(task.b.panel(panel)) {
                for (sum, b) in sums.iter_mut().zip(line.0) {
                    *sum += a * b;
                }
            }
            let first = panel * LANES;
            for (col, sum) in (first..task.b.n()).zip(sums) {
                let biased = task.bias.map_or(sum, |bias| sum + bias[col]);
                let active = apply(task.activation, biased);
                let active = task.factor.map_or(active, |factor| active * factor.row(row)[col]);
                out.row(row)[col] = task.residual.map_or(active, |residual| active + residual.row(row)[col]);
            }
        }
    }
}
