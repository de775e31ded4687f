//! Windows over blocked images, and functions of one number.

use super::activation;
use crate::packed::LANES;
use crate::pointwise::Pointwise;
use crate::windows::{Pixel, WindowProduct, WindowRow, Windows};
use crate::{Rows, RowsMut};

pub(super) fn window_product(task: &WindowProduct<'_>, mut out: RowsMut<'_>) {
    let whole = task.starts.len() - task.short;
    for block in 0..out.count() {
        let filters = &task.filters[block * task.rows[0] + task.rows[1]..];
        let (places, _) = out.row(block).as_chunks_mut::<LANES>();
        for (place, sums) in places.iter_mut().enumerate() {
            if let Some(bias) = task.bias {
                *sums = bias[block].0;
            }
            let mut filters = filters.iter();
            for (number, start) in task.starts.iter().enumerate() {
                let lanes = if number < whole { LANES } else { task.lanes };
                for x in &task.x[start + place][..lanes] {
                    let weights = filters.next().expect("a row for each channel");
                    sums.iter_mut().zip(weights.0).for_each(|(sum, weight)| *sum += x * weight);
                }
            }
        }
    }
}

pub(super) fn window_row(task: &WindowRow<'_>, out: &mut [Pixel]) {
    for (place, out) in out.iter_mut().enumerate() {
        *out = match task.windows {
            Windows::Sum(_, bias) => bias.0,
            Windows::Largest => [f32::NEG_INFINITY; LANES],
        };
        for [start, number] in task.taps {
            let x = task.x[start + place * task.step];
            for (lane, (out, x)) in out.iter_mut().zip(x).enumerate() {
                match task.windows {
                    Windows::Sum(weights, _) => *out += weights[*number].0[lane] * x,
                    Windows::Largest if x > *out || x.is_nan() => *out = x,
                    Windows::Largest => {}
                }
            }
        }
    }
}

pub(super) fn pointwise(steps: &[Pointwise], data: &mut [f32]) {
    for step in steps {
        match *step {
            Pointwise::Activate(activation) => activation::activate(activation, data),
            Pointwise::Add(number) => data.iter_mut().for_each(|x| *x += number),
            Pointwise::Multiply(number) => data.iter_mut().for_each(|x| *x *= number),
            Pointwise::Clamp(low, high) => data.iter_mut().for_each(|x| *x = limited(*x, low, high)),
            Pointwise::HardSigmoid(alpha, beta) => {
                // In float64: the sum may cancel.
                let (alpha, beta) = (f64::from(alpha), f64::from(beta));
                data.iter_mut().for_each(|x| *x = limited((alpha * f64::from(*x) + beta) as f32, 0.0, 1.0));
            }
            Pointwise::HardSwish => data.iter_mut().for_each(|x| *x = *x * limited(*x + 3.0, 0.0, 6.0) / 6.0),
            Pointwise::LeakyRelu(alpha) => data.iter_mut().for_each(|x| *x = if *x < 0.0 { alpha * *x } else { *x }),
        }
    }
}

fn limited(x: f32, low: f32, high: f32) -> f32 {
    let x = if x < low { low } else { x };
    if x > high { high } else { x }
}

pub(super) fn accumulate(summand: &[f32], data: &mut [f32]) {
    data.iter_mut().zip(summand).for_each(|(x, summand)| *x += summand);
}

pub(super) fn scale(factors: &Pixel, data: &mut [Pixel]) {
    data.iter_mut().for_each(|x| x.iter_mut().zip(factors).for_each(|(x, factor)| *x *= factor));
}

pub(super) fn to_pixels(channels: Rows<'_>, out: &mut [Pixel]) {
    for (place, out) in out.iter_mut().enumerate() {
        *out = [0.0; LANES];
        out.iter_mut().enumerate().take(channels.count()).for_each(|(row, x)| *x = channels.row(row)[place]);
    }
}

pub(super) fn from_pixels(pixels: &[Pixel], mut out: RowsMut<'_>) {
    for row in 0..out.count() {
        out.row(row).iter_mut().zip(pixels).for_each(|(x, pixel)| *x = pixel[row]);
    }
}
