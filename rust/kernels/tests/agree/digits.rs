//! Products of floats by digits: near the true sums, with the same bits however they are cut, and left to floats where digits
//! are not near enough.

use std::sync::Arc;

use kernels::{Bytes, Isa, Kernels, PackedMatrix, Piece};

use crate::numbers::numbers;
use crate::tiles::{check_cuts, exact, product_by, tiles};

fn filled(table: &Kernels, b: &[f32], [k, n]: [usize; 2]) -> PackedMatrix {
    PackedMatrix::blank(table, [k, n]).filled(table, &[Piece { data: b, start: 0, n, strides: [n, 1] }])
}

fn in_digits(table: &Kernels, b: &[f32], shape: [usize; 2]) -> PackedMatrix {
    let packed = filled(table, b, shape);
    assert!(packed.is_in_digits(), "{shape:?}");
    packed
}

/// Each number times two to a power up to `most` or its inverse.
fn spread(numbers: &[f32], most: f32, power: impl Fn(usize) -> usize) -> Vec<f32> {
    let powers = crate::numbers::numbers(numbers.len(), 77);
    numbers.iter().enumerate().map(|(at, x)| x * (powers[power(at)] * most).round().exp2()).collect()
}

/// Inner dimensions of one block, of one and a part, of several; more than one group of rows' digits.
const DEPTHS: [usize; 6] = [64, 65, 127, 384, 1000, 1536];

/// The largest error, as a part of the sum of magnitudes, and that of multiply-adds.
fn worst(a: &[f32], b: &[f32], shape @ [_, k, n]: [usize; 3]) -> [f64; 2] {
    let tables = [Kernels::for_isa(Isa::Amx).unwrap(), Kernels::for_isa(Isa::Avx512).expect("beside AMX")];
    let wanted = exact(a, b, shape);
    tables.map(|table| {
        let packed = filled(&table, b, [k, n]);
        assert_eq!(packed.is_in_digits(), table.isa == Isa::Amx);
        let found = product_by(&table, a, &packed, shape);
        let errors =
            found.iter().zip(&wanted).map(|(got, [sum, size])| (f64::from(*got) - sum).abs() / size.max(1e-300));
        errors.fold(0.0, |worst, error| if error > worst || error.is_nan() { error } else { worst })
    })
}

#[test]
fn sums_are_near_the_true_ones() {
    if tiles().is_none() {
        return;
    }
    let mut all = [0.0_f64; 2];
    for (number, k) in DEPTHS.into_iter().enumerate() {
        for m in [1, 2, 15, 16, 17, 33, 95, 290] {
            let n = [1, 31, 32, 33, 70, 130][(number + m) % 6];
            let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
            // As they are; rows of weights of all sizes, before columns of inverse ones or of the same; left-hand rows of all sizes
            // and numbers of many in each.
            let by_row = |at: usize| at / n;
            let by_column = |at: usize| at % k;
            for (what, a, b) in [
                ("alike", a.clone(), b.clone()),
                ("rows of weights", a.clone(), spread(&b, 20.0, by_row)),
                ("both", spread(&a, 4.0, by_column), spread(&b, 4.0, by_row)),
                ("rows", spread(&a, 40.0, |at| at / k), b.clone()),
                ("numbers of rows", spread(&a, 10.0, |at| at), b.clone()),
            ] {
                let found = worst(&a, &b, [m, k, n]);
                assert!(found[0] < 1e-6, "{what}: [{m}, {k}] x [{k}, {n}]: {found:?}");
                all = [all[0].max(found[0]), all[1].max(found[1])];
            }
        }
    }
    println!("largest error by the sum of magnitudes: {:.2e}, and {:.2e} by multiply-adds", all[0], all[1]);
}

/// What a weight becomes, by its row, its column and its number.
type Change<'a> = &'a dyn Fn(usize, usize, f32) -> f32;

#[test]
fn matrices_whose_numbers_are_unlike_stay_floats() {
    let Some(table) = tiles() else { return };
    let [k, n] = [384, 70];
    let plain = numbers(k * n, 2);
    let with = |change: Change<'_>| {
        let changed: Vec<f32> = (0..k * n).map(|at| change(at / n, at % n, plain[at])).collect();
        filled(&table, &changed, [k, n]).is_in_digits()
    };
    assert!(with(&|_, _, x| x));
    // Zeros where nothing depends on them: whole rows, whole columns.
    assert!(with(&|row, _, x| if row % 3 == 0 { 0.0 } else { x }));
    assert!(with(&|_, col, x| if col > 20 { 0.0 } else { x }));
    assert!(with(&|_, _, _| 0.0));
    let unlike: [(&str, Change<'_>); 7] = [
        ("the identity", &|row, col, _| if row == col { 1.0 } else { 0.0 }),
        ("sparse", &|row, col, x| if (row * 31 + col * 17) % 5 > 0 { 0.0 } else { x }),
        ("sparse in one column", &|row, col, x| if col == 69 && row % 5 > 0 { 0.0 } else { x }),
        ("of all sizes", &|row, col, x| x * (((row * 7 + col * 13) % 40) as f32).exp2()),
        ("not a number", &|row, col, x| if row == 380 && col == 3 { f32::NAN } else { x }),
        ("infinite", &|row, col, x| if row == 0 && col == 69 { f32::NEG_INFINITY } else { x }),
        ("far beyond one", &|row, _, x| if row == 5 { x * 1e25 } else { x }),
    ];
    for (what, change) in unlike {
        assert!(!with(change), "{what}");
    }
    // Too short, and too long for sums of 32 bits.
    assert!(!filled(&table, &plain[..63 * n], [63, n]).is_in_digits());
    assert!(!filled(&table, &numbers(32769, 1), [32769, 1]).is_in_digits());
    assert!(filled(&table, &numbers(32768, 1), [32768, 1]).is_in_digits());
}

#[test]
fn the_longest_sums_fit_into_32_bits() {
    let Some(table) = tiles() else { return };
    let k = 32768;
    // All digits of both sides as large as they are.
    for (x, w) in [(1.0, 1.0), (127.5 / 64.0, 127.5 / 64.0), (-1.998, 1.998), (1.0 - 1e-7, -1.9999)] {
        let (a, b) = (vec![x as f32; k], vec![w as f32; k]);
        let found = product_by(&table, &a, &in_digits(&table, &b, [k, 1]), [1, k, 1])[0];
        let wanted = f64::from(x as f32) * f64::from(w as f32) * k as f64;
        assert!((f64::from(found) - wanted).abs() < 2e-7 * wanted.abs(), "{found}, not {wanted}");
    }
}

#[test]
fn a_row_has_the_same_bits_however_rows_and_panels_are_cut() {
    let Some(table) = tiles() else { return };
    for k in DEPTHS {
        check_cuts(&table, &in_digits(&table, &numbers(k * 330, 2), [k, 330]));
    }
}

#[test]
fn rows_that_have_no_digits_are_what_multiply_adds_make_of_them() {
    let Some(table) = tiles() else { return };
    let others = Kernels::for_isa(Isa::Avx512).expect("beside AMX");
    let (m, n) = (35, 66);
    for k in [64, 385, 1025] {
        let (plain, b) = (numbers(m * k, 1), numbers(k * n, 2));
        let packed = in_digits(&table, &b, [k, n]);
        let before = product_by(&table, &plain, &packed, [m, k, n]);
        let odd = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, 1e25, 1e7];
        for (number, x) in odd.into_iter().enumerate() {
            let (row, inner) = (number * 5 + 3, number * 31 % k);
            let mut a = plain.clone();
            // Beside small ones, so that it stands out.
            a[row * k..][..k].iter_mut().for_each(|x| *x *= 1e-3);
            a[row * k + inner] = x;
            let found = product_by(&table, &a, &packed, [m, k, n]);
            let wanted = product_by(&others, &a, &PackedMatrix::new(&others, &b, [k, n], [n, 1]), [m, k, n]);
            for (at, (got, want)) in found.iter().zip(&wanted).enumerate() {
                if at / n != row {
                    assert_eq!(got.to_bits(), before[at].to_bits(), "{x} has left a trace");
                } else if want.is_nan() {
                    assert!(got.is_nan(), "{got} of {x}, not NaN");
                } else if want.is_infinite() {
                    assert_eq!(got, want, "{x}");
                } else {
                    // A weight of up to 1 is rounded to 2^-23 of the largest one.
                    let bound = 1e-6 * want.abs() + x.abs() / (1 << 23) as f32;
                    assert!((got - want).abs() <= bound, "{got} of {x}, not {want}");
                }
            }
        }
    }
}

#[test]
fn small_rows_and_zeros_keep_their_size() {
    let Some(table) = tiles() else { return };
    let (m, k, n) = (17, 100, 33);
    let b = numbers(k * n, 2);
    let packed = in_digits(&table, &b, [k, n]);
    for scale in [1e-15_f32, 1e-20, 1e-30, 1e-36] {
        let a: Vec<f32> = numbers(m * k, 1).iter().map(|x| x * scale).collect();
        let found = product_by(&table, &a, &packed, [m, k, n]);
        for (got, [sum, size]) in found.iter().zip(exact(&a, &b, [m, k, n])) {
            assert!((f64::from(*got) - sum).abs() <= 1e-6 * size + 1e-43, "{got}, not {sum}");
        }
    }
    let zeros = product_by(&table, &vec![0.0; m * k], &packed, [m, k, n]);
    assert!(zeros.iter().all(|x| x.to_bits() == 0), "{zeros:?}");
    // Columns of zeros, and behind the last one.
    let b = vec![0.0; k * n];
    let zeros = product_by(&table, &numbers(m * k, 1), &in_digits(&table, &b, [k, n]), [m, k, n]);
    assert!(zeros.iter().all(|x| *x == 0.0), "{zeros:?}");
}

#[test]
fn pieces_side_by_side_and_kept_bytes_are_the_same_matrix() {
    /// Bytes that begin where a line may.
    struct Own(Vec<u8>, usize);
    impl AsRef<[u8]> for Own {
        fn as_ref(&self) -> &[u8] {
            &self.0[self.0.as_ptr().align_offset(64)..][..self.1]
        }
    }

    let Some(table) = tiles() else { return };
    // More panels than are read at a time, and as many.
    for [k, n] in [[1536, 700], [70, 100]] {
        let b = numbers(k * n, 2);
        let whole = in_digits(&table, &b, [k, n]);
        // Columns of a matrix, and those of a transposed one.
        let turned: Vec<f32> = (0..k * n).map(|at| b[at % k * n + at / k]).collect();
        let cut = n / 3;
        let pieces = [
            Piece { data: &b, start: 0, n: cut, strides: [n, 1] },
            Piece { data: &turned[cut * k..], start: cut, n: n - cut, strides: [1, k] },
        ];
        let pieced = PackedMatrix::blank(&table, [k, n]).filled(&table, &pieces);
        assert_eq!(pieced.as_bytes(), whole.as_bytes());
        let size = whole.as_bytes().len();
        let mut own = Own(vec![0; size + 64], size);
        let start = own.0.as_ptr().align_offset(64);
        own.0[start..start + size].copy_from_slice(whole.as_bytes());
        let kept: Bytes = Arc::new(own);
        let again = PackedMatrix::kept(&table, [k, n], Arc::clone(&kept), 0..size).expect("the same shape");
        assert!(again.is_in_digits());
        let a = numbers(3 * k, 1);
        assert_eq!(product_by(&table, &a, &again, [3, k, n]), product_by(&table, &a, &whole, [3, k, n]));
        assert!(PackedMatrix::kept(&table, [k, n], Arc::clone(&kept), 0..size - 64).is_none());
        let others = Kernels::for_isa(Isa::Avx512).expect("beside AMX");
        assert!(PackedMatrix::kept(&others, [k, n], kept, 0..size).is_none(), "of another table");
    }
}
