//! Products by tiles, which sum parts of floats: as near to the true sums as multiply-adds are, and with the same bits however
//! they are cut.

use kernels::{Activation, Isa, Kernels, Matmul, PackedMatrix, Rows, RowsMut, Scratch};

use crate::bits;
use crate::numbers::numbers;

pub(crate) fn tiles() -> Option<Kernels> {
    let found = Kernels::for_isa(Isa::Amx);
    if found.is_none() {
        println!("NOT TESTED: this CPU has no amx");
    }
    found
}

fn product(kernels: &Kernels, a: &[f32], b: &[f32], shape @ [_, k, n]: [usize; 3]) -> Vec<f32> {
    product_by(kernels, a, &PackedMatrix::new(kernels, b, [k, n], [n, 1]), shape)
}

pub(crate) fn product_by(kernels: &Kernels, a: &[f32], packed: &PackedMatrix, [m, k, n]: [usize; 3]) -> Vec<f32> {
    let mut out = vec![f32::MAX; m * n];
    let task = Matmul::new(Rows::new(a, m, k, k).unwrap(), packed.panels());
    kernels.matmul(&task, &mut Scratch::default(), RowsMut::new(&mut out, m, n, n).unwrap());
    out
}

/// Sums in float64, and those of the magnitudes.
pub(crate) fn exact(a: &[f32], b: &[f32], [m, k, n]: [usize; 3]) -> Vec<[f64; 2]> {
    let mut sums = vec![[0.0; 2]; m * n];
    for row in 0..m {
        for i in 0..k {
            for col in 0..n {
                let product = f64::from(a[row * k + i]) * f64::from(b[i * n + col]);
                sums[row * n + col][0] += product;
                sums[row * n + col][1] += product.abs();
            }
        }
    }
    sums
}

/// Inner dimensions of one tile and a part of one, of several, of one chunk, of two, of three that are not alike.
const DEPTHS: [usize; 8] = [64, 65, 96, 127, 384, 385, 1025, 1536];

#[test]
fn sums_are_as_near_as_those_of_multiply_adds() {
    let Some(table) = tiles() else { return };
    let others = Kernels::for_isa(Isa::Avx512).expect("beside AMX");
    let mut worst = [0.0_f64; 2];
    for (number, k) in DEPTHS.into_iter().enumerate() {
        for m in [1, 2, 15, 16, 17, 32, 33, 50, 95, 161, 290] {
            let n = [1, 31, 32, 33, 70, 130, 600][(number + m) % 7];
            // Of all sizes: their exponents go from -20 to 20.
            let spread = |count, seed| -> Vec<f32> {
                let exponents = numbers(count, seed + 50);
                numbers(count, seed).into_iter().zip(exponents).map(|(x, e)| x * (e * 20.0).exp2()).collect()
            };
            let (a, b) = (spread(m * k, 1), spread(k * n, 2));
            let wanted = exact(&a, &b, [m, k, n]);
            for (table, worst) in [table, others].into_iter().zip(&mut worst) {
                let found = product(&table, &a, &b, [m, k, n]);
                for (at, (got, [sum, size])) in found.iter().zip(&wanted).enumerate() {
                    let error = (f64::from(*got) - sum).abs() / size;
                    assert!(error < 1.5e-6, "{} [{m}, {k}] x [{k}, {n}], {at}: {got}, not {sum}", table.isa);
                    *worst = worst.max(error);
                }
            }
        }
    }
    assert!(worst[0] < worst[1], "{worst:?}");
    println!("largest error by the sum of magnitudes: {:.2e}, and {:.2e} by multiply-adds", worst[0], worst[1]);
}

#[test]
fn whole_numbers_that_floats_hold_are_exact() {
    let Some(table) = tiles() else { return };
    for k in DEPTHS {
        let (m, n) = (37, 45);
        let whole =
            |count, seed, most: f32| -> Vec<f32> { numbers(count, seed).iter().map(|x| (x * most).round()).collect() };
        // Up to 24 digits on one side; a single product then, so that no sum rounds.
        let mut a = whole(m * k, 1, 16_777_215.0);
        a.iter_mut().enumerate().for_each(|(at, x)| *x = if at % k == at / k * 7 % k { *x } else { 0.0 });
        let signs: Vec<f32> = numbers(k * n, 2).iter().map(|x| if *x < 0.0 { -1.0 } else { 1.0 }).collect();
        // And many products of few digits.
        for (a, b) in [(a, signs), (whole(m * k, 3, 100.0), whole(k * n, 4, 100.0))] {
            let found = product(&table, &a, &b, [m, k, n]);
            for (got, [sum, _]) in found.iter().zip(exact(&a, &b, [m, k, n])) {
                assert_eq!(f64::from(*got), sum);
            }
        }
    }
}

/// Whether rows of a product by a matrix have the same bits alone, among others, and by some panels only.
pub(crate) fn check_cuts(table: &Kernels, packed: &PackedMatrix) {
    let (m, k, n) = (261, packed.panels().k(), packed.panels().n());
    let (a, bias) = (numbers(m * k, 1), numbers(n, 3));
    let run = |scratch: &mut Scratch, [first, count]: [usize; 2], [start, end]: [usize; 2], left_is_packed| {
        let cols = packed.panels().range(start, end).n();
        let mut out = vec![0.0; count * cols];
        let task = Matmul {
            bias: Some(&bias[start * table.panel_width..][..cols]),
            activation: Activation::Gelu,
            left_is_packed,
            ..Matmul::new(Rows::contiguous(&a, k).range(first, count), packed.panels().range(start, end))
        };
        table.matmul(&task, scratch, RowsMut::new(&mut out, count, cols, cols).unwrap());
        out
    };
    let all = packed.panels().count();
    let together = run(&mut Scratch::default(), [0, m], [0, all], false);
    for [first, count] in [[0, 1], [260, 1], [3, 16], [7, 30], [100, 70], [20, 241]] {
        let mut scratch = Scratch::default();
        for (number, [start, end]) in [[0, all], [0, 1], [5, 9], [2, all]].into_iter().enumerate() {
            let found = run(&mut scratch, [first, count], [start, end], number > 0);
            for (row, found) in found.chunks(found.len() / count).enumerate() {
                let wanted = &together[(first + row) * n + start * table.panel_width..][..found.len()];
                assert_eq!(bits(found), bits(wanted), "k {k}, rows {first}+{count}, panels {start}..{end}");
            }
        }
    }
}

#[test]
fn a_row_has_the_same_bits_however_rows_and_panels_are_cut() {
    let Some(table) = tiles() else { return };
    for k in DEPTHS {
        // More panels than are held together.
        check_cuts(&table, &PackedMatrix::new(&table, &numbers(k * 600, 2), [k, 600], [600, 1]));
    }
}

#[test]
fn what_is_no_sum_of_parts_is_what_multiply_adds_make_of_it() {
    let Some(table) = tiles() else { return };
    let others = Kernels::for_isa(Isa::Avx512).expect("beside AMX");
    let odd = [
        f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::MAX,
        -f32::MAX,
        f32::MAX / 1.001,
        f32::from_bits(0x7FFF_FFFF),
    ];
    for (number, x) in odd.into_iter().enumerate() {
        for k in [64, 385, 1025] {
            let (m, n) = (35, 66);
            let (plain_a, plain_b) = (numbers(m * k, 1), numbers(k * n, 2));
            let plain = product(&table, &plain_a, &plain_b, [m, k, n]);
            let (row, col, inner) = (number * 5, number * 9, number * 31 % k);
            let (mut a, mut b) = (plain_a.clone(), plain_b.clone());
            a[row * k + inner] = x;
            b[inner * n + col] = x;
            for (a, b, by_row) in [(&a, &plain_b, true), (&plain_a, &b, false)] {
                let found = product(&table, a, b, [m, k, n]);
                let wanted = product(&others, a, b, [m, k, n]);
                for at in 0..m * n {
                    let (got, is_odd) = (found[at], if by_row { at / n == row } else { at % n == col });
                    if !is_odd {
                        assert_eq!(got.to_bits(), plain[at].to_bits(), "{x} has left a trace");
                    } else if wanted[at].is_nan() {
                        assert!(got.is_nan(), "{got} of {x}, not NaN");
                    } else {
                        assert_eq!(got, wanted[at], "{x}");
                    }
                }
            }
        }
    }
}

#[test]
fn small_numbers_have_small_errors() {
    let Some(table) = tiles() else { return };
    // Parts below the smallest normal number count as zero: an error of less than that for each product.
    let (m, k, n) = (17, 100, 33);
    for scale in [1e-30_f32, 1e-36, 1e-38, 1e-42] {
        let a: Vec<f32> = numbers(m * k, 1).iter().map(|x| x * scale).collect();
        let b = numbers(k * n, 2);
        let found = product(&table, &a, &b, [m, k, n]);
        for (got, [sum, size]) in found.iter().zip(exact(&a, &b, [m, k, n])) {
            let error = (f64::from(*got) - sum).abs();
            assert!(error <= 2e-7 * size + 4.0 * k as f64 * f64::from(f32::MIN_POSITIVE), "{got}, not {sum}");
        }
    }
}
