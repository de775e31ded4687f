//! Products with matrices in few bits, element by element.

use super::activation::apply;
use crate::RowsMut;
use crate::packed::LANES;
use crate::stored::{Form, StoredMatmul, element};
use crate::task::Scratch;

pub(crate) fn matmul(task: &StoredMatmul<'_>, _: &mut Scratch, mut out: RowsMut<'_>) {
    let (b, after) = (task.b, &task.after);
    for index in 0..out.count() {
        for col in 0..out.cols() {
            let (panel, lane) = (col / LANES, col % LANES);
            let mut sum = 0.0_f32;
            for (row, a) in after.a.row(index).iter().enumerate() {
                let mut weight = element(b.form(), b.words(panel, row), lane);
                if b.form() != Form::Float16 {
                    let [scales, zeros] = b.steps(panel, row);
                    weight = (weight - zeros[0].0[lane]) * scales[0].0[lane];
                }
                sum += a * weight;
            }
            let active = apply(after.activation, after.bias.map_or(sum, |bias| sum + bias[col]));
            let active = after.factor.map_or(active, |factor| active * factor.row(index)[col]);
            out.row(index)[col] = after.residual.map_or(active, |residual| active + residual.row(index)[col]);
        }
    }
}
