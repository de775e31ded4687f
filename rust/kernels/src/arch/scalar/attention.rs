//! Scaled dot-product attention of one head.

use std::num::FpCategory;

use crate::RowsMut;
use crate::task::{Attention, Mask, Scratch};

pub(super) fn attention(task: &Attention<'_>, _: &mut Scratch, out: RowsMut<'_>) {
    attend(task, |x| x, out);
}

/// With operands rounded to bfloat16.
pub(super) fn attention_of_bfloat16(task: &Attention<'_>, _: &mut Scratch, out: RowsMut<'_>) {
    attend(task, to_bfloat16, out);
}

/// The nearest bfloat16, ties to even; denormal numbers become zero.
fn to_bfloat16(x: f32) -> f32 {
    match x.classify() {
        FpCategory::Nan => x,
        FpCategory::Subnormal => 0.0,
        _ => f32::from_bits((x.to_bits() + 0x7FFF + (x.to_bits() >> 16 & 1)) & 0xFFFF_0000),
    }
}

fn attend(task: &Attention<'_>, round: impl Fn(f32) -> f32, mut out: RowsMut<'_>) {
    let mut scores = vec![0.0_f32; task.k.count()];
    for query in 0..out.count() {
        for (key, score) in scores.iter_mut().enumerate() {
            let pairs = task.q.row(query).iter().zip(task.k.row(key));
            let scaled: f32 = pairs.map(|(a, b)| round(a * task.scale) * round(*b)).sum();
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
            let weighted = scores.iter().enumerate().map(|(key, weight)| round(*weight) * round(task.v.row(key)[col]));
            *result = weighted.sum::<f32>() / sum;
        }
    }
}
