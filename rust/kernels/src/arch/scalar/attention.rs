//! Scaled dot-product attention of one head.

use crate::RowsMut;
use crate::task::{Attention, Mask, Scratch};

pub(super) fn attention(task: &Attention<'_>, _: &mut Scratch, mut out: RowsMut<'_>) {
    let mut scores = vec![0.0_f32; task.k.count()];
    for query in 0..out.count() {
        for (key, score) in scores.iter_mut().enumerate() {
            let products = task.q.row(query).iter().zip(task.k.row(key)).map(|(a, b)| a * b);
            let scaled = products.sum::<f32>() * task.scale;
            let scaled = task.bias.map_or(scaled, |bias| scaled + bias.row(query)[key]);
            *score = match task.mask {
                Mask::None => scaled,
                Mask::Add(mask) => scaled + mask.row(query)[key],
                Mask::Keep { keep, .. } if keep.row(query)[key] != 0.0 => scaled,
                Mask::Keep { fill, .. } => fill,
                Mask::Causal { offset } if key <= query + offset => scaled,
                Mask::Causal { .. } => f32::NEG_INFINITY,
            };
        }
        // The largest score is subtracted first: exp overflows above 88.7.
        let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        scores.iter_mut().for_each(|score| *score = (*score - largest).exp());
        let sum: f32 = scores.iter().sum();
        if sum.is_nan() && task.undefined_is_zero {
            out.row(query).fill(0.0);
            continue;
        }
        for (col, result) in out.row(query).iter_mut().enumerate() {
            let weighted = scores.iter().enumerate().map(|(key, weight)| weight * task.v.row(key)[col]);
            *result = weighted.sum::<f32>() / sum;
        }
    }
}
