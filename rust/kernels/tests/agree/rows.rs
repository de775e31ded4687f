//! Kernels of whole rows: softmax, normalisations, reductions, pooling, weighted sums.

use kernels::{Kernels, MeanPool, Reduction, RmsNorm, Rows, RowsMut, WeightedSum};

use crate::numbers::{assert_close, numbers};
use crate::{bits, scalar, vector_tables};

/// Runs a kernel of rows on every table, and compares what comes out.
fn rows_agree(what: &str, bound: f32, run: impl Fn(&Kernels) -> Vec<f32>) {
    let (expected, all) = (run(&scalar()), vector_tables().iter().map(&run).collect::<Vec<_>>());
    for (table, got) in vector_tables().iter().zip(&all) {
        let what = format!("{} {what}", table.isa);
        assert_close(got, &expected, bound, &what);
        assert_eq!(bits(got), bits(&all[0]), "{what}: the vector tables differ");
    }
}

#[test]
fn softmax_rms_norm_and_unit_length_agree_over_ragged_sizes() {
    for cols in (1..=33).chain([48, 63, 384, 1000]) {
        let (rows, stride) = (4, cols + 3);
        let x: Vec<f32> = numbers(rows * stride, 1).iter().map(|x| 1.0 + 9.0 * x).collect();
        let (scale, view) = (numbers(cols, 2), Rows::new(&x[1..], rows - 1, cols, stride).unwrap());
        let count = view.count();
        let into = |work: &dyn Fn(RowsMut<'_>)| {
            let mut out = vec![0.0; count * cols];
            work(RowsMut::new(&mut out, count, cols, cols).unwrap());
            out
        };
        rows_agree(&format!("softmax of {cols}"), 3e-7, |table| into(&|out| table.softmax(view, out)));
        rows_agree(&format!("RMS norm of {cols}"), 1e-6, |table| {
            into(&|out| table.rms_norm(&RmsNorm { x: view, scale: &scale, epsilon: 1e-6 }, out))
        });
        rows_agree(&format!("unit length of {cols}"), 3e-7, |table| {
            let mut out = x[1..1 + (count - 1) * stride + cols].to_vec();
            table.normalize_rows(1e-12, RowsMut::new(&mut out, count, cols, stride).unwrap());
            for gap in 0..count - 1 {
                assert_eq!(out[gap * stride + cols..][..3], x[1 + gap * stride + cols..][..3], "between the rows");
            }
            out.chunks(stride).flat_map(|row| row[..cols].to_vec()).collect()
        });
    }
}

#[test]
fn softmax_and_unit_length_of_special_rows() {
    for table in vector_tables().into_iter().chain([scalar()]) {
        let softmax = |x: &[f32]| {
            let mut out = vec![0.0; x.len()];
            table.softmax(Rows::contiguous(x, x.len()), RowsMut::new(&mut out, 1, x.len(), x.len()).unwrap());
            out
        };
        assert!(softmax(&[f32::NEG_INFINITY; 20]).iter().all(|x| x.is_nan()), "{}", table.isa);
        let mut x = vec![0.0; 40];
        x[3] = f32::NAN;
        assert!(softmax(&x).iter().all(|x| x.is_nan()), "{}", table.isa);
        // A masked number leaves exactly nothing.
        let masked: Vec<f32> = (0..40).map(|i| if i < 21 { 1.0 } else { f32::MIN }).collect();
        assert_eq!(bits(&softmax(&masked)[..21]), bits(&softmax(&masked[..21])), "{}", table.isa);
        assert!(softmax(&masked)[21..].iter().all(|x| *x == 0.0), "{}", table.isa);

        let mut zeros = [0.0; 5];
        table.normalize_rows(1e-12, RowsMut::new(&mut zeros, 1, 5, 5).unwrap());
        assert_eq!(zeros, [0.0; 5], "{}", table.isa);
    }
}

#[test]
fn reductions_and_pooling_agree_over_ragged_sizes() {
    for count in (0..=35).chain([64, 1000]) {
        let x: Vec<f32> = numbers(count * 7 + 3, 1).iter().map(|x| 1.0 + x / 8.0).collect();
        let mut weights = numbers(count, 2);
        weights.iter_mut().for_each(|x| *x = x.max(0.0));
        let rows = Rows::new(&x[3..], count, 7, 7).unwrap();
        for reduction in Reduction::ALL.iter().copied() {
            let bound = if reduction == Reduction::Product { 1e-4 } else { 1e-6 * (count as f32 + 1.0) };
            let relative = |table: &Kernels| {
                let mut all = vec![table.reduce(reduction, &x[3..3 + count]); 8];
                table.reduce_columns(reduction, rows, &mut all[1..]);
                if reduction == Reduction::Product {
                    all.iter_mut().for_each(|x| *x = x.ln());
                }
                all.iter_mut().for_each(|x| *x = x.clamp(f32::MIN, f32::MAX));
                all
            };
            rows_agree(&format!("{reduction:?} of {count}"), bound, relative);
        }
        for weights in [None, Some(&weights[..])] {
            rows_agree(&format!("mean of {count}"), 1e-6, |table| {
                let mut out = vec![5.0; 7];
                table.mean_pool(&MeanPool { x: rows, weights, least: 1e-9 }, &mut out);
                out
            });
        }
    }
}

#[test]
fn weighted_sums_are_the_scalar_ones_at_every_length_and_place() {
    for count in (0..=3 * 16 + 1).chain([4 * 16 - 1, 4 * 16, 5 * 16 + 7]) {
        for taps in [0, 1, 3, 25] {
            let starts: Vec<usize> = (0..taps).map(|tap| tap * 7 % 31).collect();
            let x = numbers(count + 31, 1);
            let weights = numbers(taps, 2);
            let task = WeightedSum { x: &x, starts: &starts, weights: &weights, bias: 0.5 };
            let mut want = vec![0.0; count];
            scalar().weighted_sum(&task, &mut want);
            let mut first: Option<Vec<u32>> = None;
            for table in vector_tables() {
                let mut out = vec![f32::NAN; count + 1];
                table.weighted_sum(&task, &mut out[1..]);
                assert!(out[0].is_nan());
                for (got, want) in out[1..].iter().zip(&want) {
                    assert!((got - want).abs() <= 1e-5 * (1.0 + want.abs()), "{} {got}, not {want}", table.isa);
                }
                let found = bits(&out[1..]);
                assert_eq!(first.get_or_insert(found.clone()), &found, "{}", table.isa);
            }
        }
    }
}

#[test]
fn reductions_pass_nan_on_and_pooling_does_not_look_at_padding() {
    for table in vector_tables().into_iter().chain([scalar()]) {
        for place in [0, 5, 16, 39] {
            let mut x = vec![1.0; 40];
            x[place] = f32::NAN;
            for reduction in Reduction::ALL.iter().copied() {
                assert!(table.reduce(reduction, &x).is_nan(), "{} {reduction:?} {place}", table.isa);
                let mut column = [0.0];
                table.reduce_columns(reduction, Rows::contiguous(&x, 1), &mut column);
                assert!(column[0].is_nan(), "{} {reduction:?} {place}", table.isa);
            }
        }
        let x = [1.0, 2.0, f32::NAN, f32::INFINITY];
        let mut out = [0.0; 2];
        let task = MeanPool { x: Rows::contiguous(&x, 2), weights: Some(&[1.0, 0.0]), least: 1e-9 };
        table.mean_pool(&task, &mut out);
        assert_eq!(out, [1.0, 2.0], "{}", table.isa);
    }
}
