//! Layer and root-mean-square normalisation of rows.

use crate::RowsMut;
use crate::task::{LayerNorm, RmsNorm};

pub(super) fn layer_norm(task: &LayerNorm<'_>, mut out: RowsMut<'_>) {
    for index in 0..out.count() {
        let row = task.x.row(index);
        let count = row.len() as f64;
        let mean = row.iter().map(|x| f64::from(*x)).sum::<f64>() / count;
        let variance = row.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / count;
        let deviation = (variance + f64::from(task.epsilon)).sqrt();
        for (col, (result, x)) in out.row(index).iter_mut().zip(row).enumerate() {
            let scale = task.scale.map_or(1.0, |scale| f64::from(scale[col]));
            let bias = task.bias.map_or(0.0, |bias| f64::from(bias[col]));
            *result = ((f64::from(*x) - mean) / deviation * scale + bias) as f32;
        }
    }
}

pub(super) fn rms_norm(task: &RmsNorm<'_>, mut out: RowsMut<'_>) {
    for index in 0..out.count() {
        let row = task.x.row(index);
        let squares = row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / row.len() as f64;
        let size = (squares + f64::from(task.epsilon)).sqrt();
        for ((result, x), scale) in out.row(index).iter_mut().zip(row).zip(task.scale) {
            *result = (f64::from(*x) / size * f64::from(*scale)) as f32;
        }
    }
}
