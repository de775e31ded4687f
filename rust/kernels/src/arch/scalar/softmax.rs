//! Softmax of rows.

use crate::{Rows, RowsMut};

pub(super) fn softmax(x: Rows<'_>, mut out: RowsMut<'_>) {
    for index in 0..out.count() {
        let row = x.row(index);
        // The largest is subtracted first: exp overflows above 709.8.
        let most = f64::from(row.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        let sum: f64 = row.iter().map(|x| (f64::from(*x) - most).exp()).sum();
        for (result, x) in out.row(index).iter_mut().zip(row) {
            *result = ((f64::from(*x) - most).exp() / sum) as f32;
        }
    }
}
