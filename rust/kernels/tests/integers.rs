//! Products in integers: every instruction against 64-bit sums, element by element.

mod numbers;

use kernels::{
    Activation, IntegerKernels, IntegerMatmul, Isa, Kernels, Matmul, PackedIntegers, Quantise, Range, RowScale, Rows,
    RowsMut, Scratch,
};
use numbers::{assert_close, numbers};

/// Every table of this CPU with every instruction it has for integers.
fn tables() -> Vec<(Kernels, IntegerKernels)> {
    let all = Isa::available().into_iter().filter_map(Kernels::for_isa);
    all.flat_map(|table| IntegerKernels::all_of(&table).into_iter().map(move |integers| (table, integers))).collect()
}

/// Bytes that are the same on every run, the extremes often among them.
fn bytes(count: usize, seed: u64) -> Vec<u8> {
    let extreme = |x: f32| match (x * 1000.0) as i32 % 4 {
        0 => 255.0,
        1 => 0.0,
        _ => (x + 1.0) * 127.5,
    };
    numbers(count, seed).into_iter().map(|x| extreme(x) as u8).collect()
}

fn signed(count: usize, seed: u64) -> Vec<i8> {
    bytes(count, seed).into_iter().map(|byte| byte.wrapping_sub(128) as i8).collect()
}

/// Rows of bytes as rows of groups.
fn groups(rows: &[u8], k: usize) -> Vec<f32> {
    let group = |four: &[u8]| {
        let mut bytes = [0; 4];
        bytes[..four.len()].copy_from_slice(four);
        f32::from_bits(u32::from_ne_bytes(bytes))
    };
    rows.chunks(k.max(1)).flat_map(|row| row.chunks(4).map(group)).collect()
}

/// The sums of `(a - row zero) * (w - column zero)` as the kernels see them: one segment a row, and scales of 1.
fn sums(
    (table, integers): &(Kernels, IntegerKernels),
    a: &[u8],
    w: &[i8],
    [m, k, n]: [usize; 3],
    row_zeros: &[i32],
    zeros: Option<&[i32]>,
) -> Vec<f32> {
    let packed = PackedIntegers::new(table, w, [k, n], [n, 1], &vec![1.0; n], zeros, k.next_multiple_of(4).max(4));
    let groups = groups(a, k);
    let rows: Vec<RowScale> = (0..if k > 0 { m } else { 0 })
        .map(|row| {
            let sum: i32 = a[row * k..(row + 1) * k].iter().map(|a| i32::from(*a) - row_zeros[row]).sum();
            RowScale { scale: 1.0, zero: row_zeros[row], excess: sum }
        })
        .collect();
    let groups = Rows::new(&groups, m, k.div_ceil(4), k.div_ceil(4)).unwrap();
    let task = IntegerMatmul::new(|b| Matmul::new(groups, b), &rows, packed.range(0, packed.count()));
    let mut out = vec![f32::MAX; m * n];
    integers.matmul(&task, &mut Scratch::default(), RowsMut::new(&mut out, m, n, n).unwrap());
    out
}

#[test]
fn sums_are_exact_over_ragged_sizes_on_every_instruction() {
    let tables = tables();
    let mut number = 0;
    for m in (1..=14).chain([26, 40]) {
        for k in [0, 1, 2, 3, 4, 5, 16, 31, 67] {
            for n in [1, 15, 16, 17, 31, 32, 33, 65] {
                number += 1;
                let (a, w) = (bytes(m * k, number), signed(k * n, number + 1));
                let row_zeros: Vec<i32> = bytes(m, number + 2).into_iter().map(i32::from).collect();
                let zeros: Vec<i32> = signed(n, number + 3).into_iter().map(i32::from).collect();
                let zeros = (number % 3 > 0).then_some(&zeros[..]);
                let want: Vec<f32> = (0..m * n)
                    .map(|at| {
                        let (row, col) = (at / n, at % n);
                        let zero = zeros.map_or(0, |zeros| zeros[col]);
                        let term = |i: usize| {
                            i64::from(i32::from(a[row * k + i]) - row_zeros[row])
                                * i64::from(i32::from(w[i * n + col]) - zero)
                        };
                        (0..k).map(term).sum::<i64>() as f32
                    })
                    .collect();
                for table in &tables {
                    let got = sums(table, &a, &w, [m, k, n], &row_zeros, zeros);
                    assert_eq!(got, want, "{} with {}: [{m}, {k}] x [{k}, {n}]", table.0.isa, table.1.name);
                }
            }
        }
    }
}

#[test]
fn the_largest_products_do_not_saturate() {
    // Every pair of neighbours is over what 16 bits hold, and the sums are the largest that 32 bits must hold.
    let (m, n) = (14, 33);
    for k in [4, 1536, kernels::integers::MOST_INNER] {
        for (a, w, zero, column_zero) in
            [(255, -128, 0, 0), (255, 127, 0, 0), (0, -128, 255, 0), (255, -128, 0, 127), (0, -128, 255, 127)]
        {
            let (left, right) = (vec![a; m * k], vec![w; k * n]);
            let want = (i64::from(a) - i64::from(zero)) * (i64::from(w) - i64::from(column_zero)) * k as i64;
            for table in &tables() {
                let got = sums(table, &left, &right, [m, k, n], &vec![zero; m], Some(&vec![column_zero; n]));
                assert!(got.iter().all(|x| *x == want as f32), "{}: {} of {want}", table.1.name, got[0]);
            }
        }
    }
}

/// How the segments of rows were quantised, and the bytes of whole groups.
fn quantised(
    (_, integers): &(Kernels, IntegerKernels),
    x: &[f32],
    k: usize,
    segment: usize,
    range: Range,
) -> (Vec<RowScale>, Vec<u8>) {
    let (m, width) = (x.len() / k, k.div_ceil(4));
    let mut rows = vec![RowScale { scale: 9.0, zero: 9, excess: 9 }; m * k.div_ceil(segment)];
    let mut groups = vec![9.0; m * width];
    let task = Quantise { x: Rows::contiguous(x, k), segment, range, with_excess: true };
    integers.quantise(&task, &mut rows, &mut groups);
    (rows, groups.iter().flat_map(|group| group.to_bits().to_ne_bytes()).collect())
}

#[test]
fn rows_become_the_same_integers_on_every_instruction_and_these_are_the_nearest() {
    let tables = tables();
    for k in [1, 3, 15, 16, 17, 40, 129] {
        let mut x = numbers(5 * k, k as u64);
        x[..k].iter_mut().for_each(|x| *x = x.abs() * 1e-3);
        x[k..2 * k].iter_mut().for_each(|x| *x = -x.abs() * 1e3);
        x[4 * k..].fill(0.0);
        for (range, segment) in [
            (Range::Own, 256),
            (Range::Own, 16),
            (Range::Own, 20),
            (Range::Fixed { scale: 0.007, zero: 130 }, 256),
            (Range::Fixed { scale: 0.01, zero: 0 }, 32),
        ] {
            let (rows, bytes) = quantised(&tables[0], &x, k, segment, range);
            for table in &tables {
                let found = quantised(table, &x, k, segment, range);
                assert_eq!(found, (rows.clone(), bytes.clone()), "{} {k} {segment}", table.1.name);
            }
            for (index, row) in rows.iter().enumerate() {
                let what = format!("row {} of {k}, segment {} of {segment}", index % 5, index / 5);
                let first = index / 5 * segment;
                let count = segment.min(k - first);
                let own = &bytes[index % 5 * k.div_ceil(4) * 4 + first..][..count.next_multiple_of(4)];
                assert!(own[count..].iter().all(|byte| *byte == 0), "{what}");
                let excess: i32 = own[..count].iter().map(|byte| i32::from(*byte) - row.zero).sum();
                assert_eq!(row.excess, excess, "{what}");
                for (x, byte) in x[index % 5 * k + first..].iter().zip(&own[..count]) {
                    let back = (i32::from(*byte) - row.zero) as f32 * row.scale;
                    let least = (0 - row.zero) as f32 * row.scale;
                    let most = (255 - row.zero) as f32 * row.scale;
                    let bound = row.scale * 0.501 + x.abs() * 1e-6;
                    // By its own range a segment is never cut, except for half a step that rounding the zero costs.
                    let near = if range == Range::Own { *x } else { x.clamp(least, most) };
                    assert!((back - near).abs() <= bound, "{what}: {x} became {back}, {row:?}");
                }
            }
        }
    }
}

#[test]
fn rows_without_numbers_give_nan_and_no_other_row_does() {
    let k = 19;
    for table in &tables() {
        for (what, by_row, fixed) in
            [(f32::NAN, true, true), (f32::INFINITY, true, false), (f32::NEG_INFINITY, true, false)]
        {
            for at in [0, 7, 16, 18] {
                let mut x = numbers(3 * k, 5);
                x[k + at] = what;
                for (range, is_nan) in [(Range::Own, by_row), (Range::Fixed { scale: 0.01, zero: 7 }, fixed)] {
                    let (rows, _) = quantised(table, &x, k, 20, range);
                    let found: Vec<bool> = rows.iter().map(|row| row.scale.is_nan()).collect();
                    assert_eq!(found, [false, is_nan, false], "{} {what} at {at}, {range:?}", table.1.name);
                }
            }
        }
        let tiny = [1e-40, -1e-41, 0.0];
        assert_eq!(quantised(table, &tiny, 3, 4, Range::Own).0, [RowScale::default()], "{}", table.1.name);
        let huge = [f32::MAX, f32::MIN, 0.0];
        let scale = quantised(table, &huge, 3, 4, Range::Own).0[0].scale;
        assert!(scale.is_finite() && scale > 1e36, "{} {scale}", table.1.name);
    }
}

struct Layer {
    m: usize,
    k: usize,
    n: usize,
    activation: Activation,
    segment: usize,
    has_factor: bool,
}

/// Elements of a segment of most of the layers below: three segments a row, the last one shorter.
const SEGMENT: usize = 28;

/// A whole layer in floats, from quantised rows to the residual.
fn layer(
    (table, integers): &(Kernels, IntegerKernels),
    case: &Layer,
    [first, count]: [usize; 2],
    panels: [usize; 2],
) -> Vec<f32> {
    let &Layer { m, k, n, activation, segment, has_factor } = case;
    let (x, w) = (numbers(m * k, 1), signed(k * n, 2));
    let (bias, residual, factor) = (numbers(n, 3), numbers(m * n, 4), numbers(m * n, 5));
    let scales: Vec<f32> = numbers(n, 6).into_iter().map(|x| (x + 1.5) / 300.0).collect();
    let packed = PackedIntegers::new(table, &w, [k, n], [n, 1], &scales, None, segment);
    let width = table.panel_width;
    let columns = panels[0] * width..n.min(panels[1] * width);
    let (rows, bytes) = quantised(&(*table, *integers), &x[first * k..(first + count) * k], k, segment, Range::Own);
    let groups = groups(&bytes, k.div_ceil(4) * 4);
    let part = |data| Rows::new(data, m, n, n).unwrap().range(first, count).columns(columns.start, columns.len());
    let (residual, factor) = (part(&residual), part(&factor));
    let after = |b| Matmul {
        bias: Some(&bias[columns.clone()]),
        activation,
        factor: has_factor.then_some(factor),
        residual: Some(residual),
        ..Matmul::new(Rows::contiguous(&groups, k.div_ceil(4)), b)
    };
    let task = IntegerMatmul::new(after, &rows, packed.range(panels[0], panels[1]));
    let mut out = vec![f32::MAX; count * columns.len()];
    let view = RowsMut::new(&mut out, count, columns.len(), columns.len()).unwrap();
    integers.matmul(&task, &mut Scratch::default(), view);
    out
}

#[test]
fn what_follows_a_product_agrees_and_vector_tables_agree_bit_for_bit() {
    let tables = tables();
    for (number, (_, activation)) in Activation::NAMES.iter().enumerate() {
        let (m, activation) = (17 + number, *activation);
        let case = Layer { m, k: 70, n: 77, activation, segment: SEGMENT, has_factor: true };
        let all: Vec<Vec<f32>> = (tables.iter())
            .map(|table| layer(table, &case, [0, case.m], [0, case.n.div_ceil(table.0.panel_width)]))
            .collect();
        let vectors = tables.iter().position(|table| table.0.isa != Isa::Scalar).unwrap_or(0);
        for (table, got) in tables.iter().zip(&all) {
            assert_close(got, &all[0], 2e-5, &format!("{} {activation:?}", table.1.name));
            if table.0.isa != Isa::Scalar {
                assert_eq!(bits(got), bits(&all[vectors]), "{} {activation:?}", table.1.name);
            }
        }
    }
}

#[test]
fn what_goes_straight_to_the_result_has_the_bits_of_every_vector_table() {
    let tables = tables();
    for activation in [Activation::Identity, Activation::Gelu, Activation::CoarseGelu] {
        // The scalar table has the GELU itself in place of the coarse one.
        let bound = if activation == Activation::CoarseGelu { 2.1e-4 } else { 2e-5 };
        // One segment to five, and one that is not summed exactly in floats.
        for (k, segment) in [(64, 64), (128, 64), (192, 64), (300, 64), (600, 600)] {
            for m in [5, 16, 29, 64, 130, 260] {
                let case = Layer { m, k, n: 77, activation, segment, has_factor: false };
                let all: Vec<Vec<f32>> = (tables.iter())
                    .map(|table| layer(table, &case, [0, m], [0, case.n.div_ceil(table.0.panel_width)]))
                    .collect();
                let vectors = tables.iter().position(|table| table.0.isa != Isa::Scalar).unwrap_or(0);
                for (table, got) in tables.iter().zip(&all) {
                    let what = format!("{} {activation:?} [{m}, {k}] by {segment}", table.1.name);
                    assert_close(got, &all[0], bound, &what);
                    if table.0.isa != Isa::Scalar {
                        assert_eq!(bits(got), bits(&all[vectors]), "{what}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_row_has_the_same_bits_alone_among_others_and_in_some_panels() {
    let case = Layer { m: 29, k: 66, n: 100, activation: Activation::Gelu, segment: SEGMENT, has_factor: true };
    for table in &tables() {
        let panels = case.n.div_ceil(table.0.panel_width);
        let together = layer(table, &case, [0, case.m], [0, panels]);
        for (first, count) in [(0, 1), (28, 1), (3, 14), (5, 24)] {
            let got = layer(table, &case, [first, count], [0, panels]);
            let want = &together[first * case.n..(first + count) * case.n];
            assert_eq!(bits(&got), bits(want), "{}: rows {first}+{count}", table.1.name);
        }
        let got = layer(table, &case, [0, case.m], [1, panels]);
        let width = case.n - table.0.panel_width;
        for row in 0..case.m {
            let want = &together[row * case.n + table.0.panel_width..][..width];
            assert_eq!(bits(&got[row * width..(row + 1) * width]), bits(want), "{}: row {row}", table.1.name);
        }
    }
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn weights_are_the_same_however_they_lie() {
    for (k, n) in [(1, 3), (8, 33), (21, 16), (32, 1)] {
        let w = signed(k * n, 7);
        let rows: Vec<f32> = groups(&bytes(2 * k, 9), k);
        let scales = vec![RowScale { scale: 1.0, zero: 7, excess: 0 }; 2 * k.div_ceil(8)];
        for (table, integers) in tables() {
            let product = |strides: [usize; 2]| {
                let mut data = vec![99; k * strides[0] + n * strides[1]];
                for at in 0..k * n {
                    data[at / n * strides[0] + at % n * strides[1]] = w[at];
                }
                let packed = PackedIntegers::new(&table, &data, [k, n], strides, &vec![1.0; n], None, 8);
                let a = Rows::new(&rows, 2, k.div_ceil(4), k.div_ceil(4)).unwrap();
                let task = IntegerMatmul::new(|b| Matmul::new(a, b), &scales, packed.range(0, packed.count()));
                let mut out = vec![0.0; 2 * n];
                integers.matmul(&task, &mut Scratch::default(), RowsMut::new(&mut out, 2, n, n).unwrap());
                out
            };
            let want = product([n, 1]);
            for strides in [[1, k], [1, k + 5], [n + 3, 1], [2, 2 * k], [2 * n, 2]] {
                assert_eq!(product(strides), want, "{}: [{k}, {n}] with strides {strides:?}", integers.name);
            }
        }
    }
}
