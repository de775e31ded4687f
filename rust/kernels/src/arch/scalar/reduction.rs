//! Reductions, sums in double precision.

use crate::task::{MeanPool, Reduction, WeightedSum};
use crate::{Rows, RowsMut};

pub(super) fn reduce(reduction: Reduction, data: &[f32]) -> f32 {
    let numbers = || data.iter().copied();
    let wide = || numbers().map(f64::from);
    match reduction {
        Reduction::Sum => wide().sum::<f64>() as f32,
        Reduction::SumOfSquares => wide().map(|x| x * x).sum::<f64>() as f32,
        Reduction::SumOfMagnitudes => wide().map(f64::abs).sum::<f64>() as f32,
        Reduction::Product => wide().product::<f64>() as f32,
        // Not f32::max and min, which pass over NaN.
        Reduction::Max => numbers().fold(f32::NEG_INFINITY, |a, b| if a > b || a.is_nan() { a } else { b }),
        Reduction::Min => numbers().fold(f32::INFINITY, |a, b| if a < b || a.is_nan() { a } else { b }),
    }
}

pub(super) fn reduce_columns(reduction: Reduction, x: Rows<'_>, out: &mut [f32]) {
    for (col, result) in out.iter_mut().enumerate() {
        let column: Vec<f32> = (0..x.count()).map(|row| x.row(row)[col]).collect();
        *result = reduce(reduction, &column);
    }
}

pub(super) fn weighted_sum(task: &WeightedSum<'_>, out: &mut [f32]) {
    for (index, result) in out.iter_mut().enumerate() {
        let summands = task.starts.iter().zip(task.weights);
        let sum: f64 = summands.map(|(start, weight)| f64::from(*weight) * f64::from(task.x[start + index])).sum();
        *result = (f64::from(task.bias) + sum) as f32;
    }
}

pub(super) fn mean_pool(task: &MeanPool<'_>, out: &mut [f32]) {
    let weight = |row: usize| f64::from(task.weights.map_or(1.0, |weights| weights[row]));
    let weighed: Vec<usize> = (0..task.x.count()).filter(|row| weight(*row) != 0.0).collect();
    let divisor = weighed.iter().map(|row| weight(*row)).sum::<f64>().max(f64::from(task.least));
    for (col, result) in out.iter_mut().enumerate() {
        let sum: f64 = weighed.iter().map(|row| weight(*row) * f64::from(task.x.row(*row)[col])).sum();
        *result = (sum / divisor) as f32;
    }
}

pub(super) fn normalize_rows(least: f32, mut rows: RowsMut<'_>) {
    for index in 0..rows.count() {
        let row = rows.row(index);
        let size = row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        let divisor = if size < f64::from(least) { f64::from(least) } else { size };
        row.iter_mut().for_each(|x| *x = (f64::from(*x) / divisor) as f32);
    }
}
