//! Every instruction set's table against the scalar one, and the vector tables against each other, bit for bit.

mod numbers;

use kernels::{
    Activation, Attention, Function, Isa, Kernels, LayerNorm, Mask, Matmul, MeanPool, PackedMatrix, Reduction, RmsNorm,
    Rows, RowsMut, Scratch, WeightedSum,
};
use numbers::{assert_close, numbers};

/// The vector tables of this CPU; says which ones could not be tested.
fn vector_tables() -> Vec<Kernels> {
    let (present, absent): (Vec<Isa>, Vec<Isa>) =
        Isa::ALL.into_iter().filter(|isa| *isa != Isa::Scalar).partition(|isa| Kernels::for_isa(*isa).is_some());
    for isa in absent {
        println!("NOT TESTED: this CPU has no {isa}");
    }
    present.into_iter().filter_map(Kernels::for_isa).collect()
}

fn scalar() -> Kernels {
    Kernels::for_isa(Isa::Scalar).expect("every CPU runs the scalar table")
}

struct Product {
    m: usize,
    k: usize,
    n: usize,
    activation: Activation,
    extras: bool,
}

/// Runs a product whose every operand starts `skew` elements past an allocation, with padded row strides.
fn product(kernels: &Kernels, case: &Product, skew: usize) -> Vec<f32> {
    let &Product { m, k, n, activation, extras } = case;
    let (a_stride, out_stride) = (k + skew, n + skew);
    let a = numbers(skew + m * a_stride, 1);
    let b = numbers(skew + k * n, 2);
    let bias = numbers(skew + n, 3);
    let residual = numbers(skew + m * out_stride, 4);
    let factor = numbers(skew + m * n, 9);
    let packed = PackedMatrix::new(kernels, &b[skew..], [k, n], [n, 1]);
    let task = Matmul {
        bias: extras.then(|| &bias[skew..]),
        activation,
        factor: (extras && m % 2 == 0).then(|| Rows::new(&factor[skew..], m, n, n).unwrap()),
        residual: extras.then(|| Rows::new(&residual[skew..], m, n, out_stride).unwrap()),
        ..Matmul::new(Rows::new(&a[skew..], m, k, a_stride).unwrap(), packed.panels())
    };
    let mut out = vec![f32::MAX; skew + m * out_stride];
    let view = RowsMut::new(&mut out[skew..], m, n, out_stride).unwrap();
    kernels.matmul(&task, &mut Scratch::default(), view);
    for row in 0..m {
        for gap in &out[skew + row * out_stride + n..][..skew] {
            assert_eq!(*gap, f32::MAX, "wrote past the end of row {row}");
        }
    }
    (0..m).flat_map(|row| out[skew + row * out_stride..][..n].to_vec()).collect()
}

#[test]
fn products_agree_over_ragged_sizes() {
    let tables = vector_tables();
    let mut number = 0;
    for m in (1..=14).chain([26, 27, 39, 40]) {
        for k in [0, 1, 2, 3, 16, 17, 65] {
            for n in [1, 2, 7, 8, 15, 16, 17, 31, 32, 33, 48, 63, 65] {
                let case = Product { m, k, n, activation: Activation::NAMES[number % 7].1, extras: number % 3 > 0 };
                let skew = number % 5;
                number += 1;
                let expected = product(&scalar(), &case, skew);
                let all: Vec<_> = tables.iter().map(|table| product(table, &case, skew)).collect();
                for (table, got) in tables.iter().zip(&all) {
                    let what = format!("{} [{m}, {k}] x [{k}, {n}] {:?}", table.isa, case.activation);
                    assert_close(got, &expected, 1e-6 * (k as f32 + 1.0), &what);
                    assert_eq!(bits(got), bits(&all[0]), "{what}: the vector tables differ");
                }
            }
        }
    }
}

#[test]
fn a_large_product_agrees() {
    let case = Product { m: 107, k: 1536, n: 390, activation: Activation::Gelu, extras: true };
    let expected = product(&scalar(), &case, 3);
    for table in vector_tables() {
        assert_close(&product(&table, &case, 3), &expected, 5e-4, table.isa.name());
    }
}

#[test]
fn a_row_has_the_same_bits_alone_and_among_others() {
    // Two whole panels and a part of one: sums that go to the result straight from registers, and others.
    let (m, k, n) = (61, 70, 77);
    let (a, b, bias, residual) = (numbers(m * k, 1), numbers(k * n, 2), numbers(n, 3), numbers(m * n, 4));
    for (table, activation) in vector_tables()
        .into_iter()
        .chain([scalar()])
        .flat_map(|table| [Activation::Identity, Activation::Gelu].map(|activation| (table, activation)))
    {
        let packed = PackedMatrix::new(&table, &b, [k, n], [n, 1]);
        let run = |first: usize, count: usize| {
            let mut out = vec![0.0; count * n];
            let task = Matmul {
                bias: Some(&bias),
                activation,
                residual: Some(Rows::contiguous(&residual, n).range(first, count)),
                ..Matmul::new(Rows::contiguous(&a, k).range(first, count), packed.panels())
            };
            table.matmul(&task, &mut Scratch::default(), RowsMut::new(&mut out, count, n, n).unwrap());
            out
        };
        let together = run(0, m);
        for (first, count) in [(0, 1), (60, 1), (5, 13), (7, 30), (20, 41)] {
            let expected = &together[first * n..(first + count) * n];
            let what = format!("{} {activation:?}: rows {first}+{count}", table.isa);
            assert_eq!(bits(&run(first, count)), bits(expected), "{what}");
        }
        // The epilogue in one order, whichever way a sum goes: product, bias, activation, residual.
        let last = run(60, 1);
        let mut plain = vec![0.0; n];
        let task = Matmul::new(Rows::contiguous(&a, k).range(60, 1), packed.panels());
        table.matmul(&task, &mut Scratch::default(), RowsMut::new(&mut plain, 1, n, n).unwrap());
        plain.iter_mut().zip(&bias).for_each(|(x, bias)| *x += bias);
        table.activate(activation, &mut plain);
        plain.iter_mut().zip(&residual[60 * n..]).for_each(|(x, residual)| *x += residual);
        assert_eq!(bits(&last), bits(&plain), "{} {activation:?}: by hand", table.isa);
    }
}

/// One head's sizes and the mask it is given.
struct Head {
    queries: usize,
    keys: usize,
    depth: usize,
    width: usize,
    mask: Masking,
    bias: bool,
}

#[derive(Clone, Copy, Debug)]
enum Masking {
    None,
    AddShared,
    AddEach,
    KeepShared(f32),
    KeepEach(f32),
    /// With this many keys before the first query.
    Causal(usize),
}

fn head(kernels: &Kernels, case: &Head, skew: usize) -> Vec<f32> {
    let &Head { queries, keys, depth, width, mask, bias } = case;
    let (q_stride, out_stride) = (depth + skew, width + skew);
    let q = numbers(skew + queries * q_stride, 5);
    let k = numbers(skew + keys * depth, 6);
    let v = numbers(skew + keys * width, 7);
    let random = numbers(queries * keys, 8);
    let add: Vec<f32> = random.iter().map(|x| if *x < -0.3 { f32::MIN } else { *x }).collect();
    let keep: Vec<f32> = random.iter().map(|x| f32::from(*x > -0.3)).collect();
    let shared = |data| Rows::new(data, queries, keys, 0).unwrap();
    let each = |data| Rows::new(data, queries, keys, keys).unwrap();
    let task = Attention {
        q: Rows::new(&q[skew..], queries, depth, q_stride).unwrap(),
        k: Rows::new(&k[skew..], keys, depth, depth).unwrap(),
        v: Rows::new(&v[skew..], keys, width, width).unwrap(),
        scale: 0.7,
        bias: bias.then(|| each(&random)),
        mask: match mask {
            Masking::None => Mask::None,
            Masking::AddShared => Mask::Add(shared(&add)),
            Masking::AddEach => Mask::Add(each(&add)),
            Masking::KeepShared(fill) => Mask::Keep { keep: shared(&keep), fill },
            Masking::KeepEach(fill) => Mask::Keep { keep: each(&keep), fill },
            Masking::Causal(offset) => Mask::Causal { offset },
        },
        undefined_is_zero: false,
    };
    let mut out = vec![f32::MAX; skew + queries * out_stride];
    let view = RowsMut::new(&mut out[skew..], queries, width, out_stride).unwrap();
    kernels.attention(&task, &mut Scratch::default(), view);
    (0..queries).flat_map(|row| out[skew + row * out_stride..][..width].to_vec()).collect()
}

#[test]
fn attention_agrees_over_ragged_sizes_and_masks() {
    let tables = vector_tables();
    let masks = [
        Masking::None,
        Masking::AddShared,
        Masking::AddEach,
        Masking::KeepShared(f32::MIN),
        Masking::KeepEach(-1e4),
        Masking::KeepEach(f32::MIN),
        Masking::Causal(0),
        Masking::Causal(20),
    ];
    let mut number = 0;
    for queries in [1, 2, 15, 16, 17, 31, 32, 33, 70] {
        for keys in [1, 2, 13, 14, 16, 33, 64] {
            for (depth, width) in [(0, 5), (1, 1), (8, 8), (32, 32), (33, 20), (64, 64), (80, 7)] {
                for mask in masks {
                    let case = Head { queries, keys, depth, width, mask, bias: number % 3 == 0 };
                    let skew = number % 4;
                    number += 1;
                    let expected = head(&scalar(), &case, skew);
                    let all: Vec<_> = tables.iter().map(|table| head(table, &case, skew)).collect();
                    for (table, got) in tables.iter().zip(&all) {
                        let what = format!("{} {queries}x{keys}, {depth} and {width}, {mask:?}", table.isa);
                        assert_close(got, &expected, 1e-5, &what);
                        assert_eq!(bits(got), bits(&all[0]), "{what}: the vector tables differ");
                    }
                }
            }
        }
    }
}

#[test]
fn causal_attention_has_the_bits_of_a_triangular_mask() {
    let (length, before, depth) = (75, 30, 32);
    let (q, k) = (numbers(length * depth, 1), numbers((before + length) * depth, 2));
    let v = numbers((before + length) * depth, 3);
    let keys = before + length;
    let mask: Vec<f32> = (0..length)
        .flat_map(|query| (0..keys).map(move |key| if key <= query + before { 0.0 } else { f32::NEG_INFINITY }))
        .collect();
    for table in vector_tables().into_iter().chain([scalar()]) {
        let run = |mask: Mask<'_>, start: usize, count: usize| {
            let task = Attention {
                q: Rows::contiguous(&q, depth).range(start, count),
                k: Rows::contiguous(&k, depth),
                v: Rows::contiguous(&v, depth),
                scale: 0.3,
                bias: None,
                mask: mask.range(start, count),
                undefined_is_zero: false,
            };
            let mut out = vec![0.0; count * depth];
            table.attention(&task, &mut Scratch::default(), RowsMut::new(&mut out, count, depth, depth).unwrap());
            out
        };
        let expected = run(Mask::Add(Rows::contiguous(&mask, keys)), 0, length);
        assert_eq!(bits(&run(Mask::Causal { offset: before }, 0, length)), bits(&expected), "{}", table.isa);
        // Cut into pieces of queries, as threads share them out.
        let part = run(Mask::Causal { offset: before }, 33, 20);
        assert_eq!(bits(&part), bits(&expected[33 * depth..53 * depth]), "{}", table.isa);
    }
}

#[test]
fn keys_that_are_more_than_one_block_give_the_bits_of_fewer() {
    // Blocks have a little more than 4096 keys: these are one, and with padding behind or before them two.
    let (queries, length, depth) = (17, 4090, 16);
    let (q, k, v) = (numbers(queries * depth, 1), numbers(4400 * depth, 2), numbers(4400 * depth, 3));
    for table in vector_tables() {
        let run = |table: &Kernels, first: usize, keys: usize, unmasked: std::ops::Range<usize>| {
            let mask: Vec<f32> =
                (0..keys).map(|key| if unmasked.contains(&key) { 0.0 } else { f32::NEG_INFINITY }).collect();
            let task = Attention {
                q: Rows::contiguous(&q, depth),
                k: Rows::contiguous(&k, depth).range(first, keys),
                v: Rows::contiguous(&v, depth).range(first, keys),
                scale: 0.9,
                bias: None,
                mask: Mask::Add(Rows::new(&mask, queries, keys, 0).unwrap()),
                undefined_is_zero: false,
            };
            let mut out = vec![0.0; queries * depth];
            table.attention(&task, &mut Scratch::default(), RowsMut::new(&mut out, queries, depth, depth).unwrap());
            out
        };
        let alone = run(&table, 200, length, 0..length);
        assert_eq!(bits(&run(&table, 200, 4200, 0..length)), bits(&alone), "{}: padding behind", table.isa);
        assert_eq!(
            bits(&run(&table, 0, 200 + length, 200..200 + length)),
            bits(&alone),
            "{}: padding before",
            table.isa
        );
        assert_close(&run(&table, 0, 4400, 0..4400), &run(&scalar(), 0, 4400, 0..4400), 1e-5, table.isa.name());
    }
}

#[test]
fn padding_behind_the_keys_and_the_queries_leaves_no_trace() {
    let (length, padded, depth) = (21, 50, 32);
    let (q, k, v) = (numbers(padded * depth, 1), numbers(padded * depth, 2), numbers(padded * depth, 3));
    for masked in [f32::MIN, f32::NEG_INFINITY] {
        let mask: Vec<f32> = (0..padded).map(|key| if key < length { 0.0 } else { masked }).collect();
        for table in vector_tables().into_iter().chain([scalar()]) {
            let run = |count: usize| {
                let task = Attention {
                    q: Rows::contiguous(&q, depth).range(0, count),
                    k: Rows::contiguous(&k, depth).range(0, count),
                    v: Rows::contiguous(&v, depth).range(0, count),
                    scale: 0.25,
                    bias: None,
                    mask: Mask::Add(Rows::new(&mask, count, count, 0).unwrap()),
                    undefined_is_zero: false,
                };
                let mut out = vec![0.0; count * depth];
                let view = RowsMut::new(&mut out, count, depth, depth).unwrap();
                table.attention(&task, &mut Scratch::default(), view);
                out.truncate(length * depth);
                out
            };
            assert_eq!(bits(&run(length)), bits(&run(padded)), "{}, mask {masked}", table.isa);
        }
    }
}

#[test]
fn fully_masked_rows_give_what_separate_operators_give() {
    let (length, depth) = (19, 8);
    let (q, k, v) = (numbers(length * depth, 1), numbers(length * depth, 2), numbers(length * depth, 3));
    let zeros = vec![0.0; length];
    for table in vector_tables().into_iter().chain([scalar()]) {
        let run = |mask: Mask<'_>, undefined_is_zero: bool| {
            let task = Attention {
                q: Rows::contiguous(&q, depth),
                k: Rows::contiguous(&k, depth),
                v: Rows::contiguous(&v, depth),
                scale: 1.0,
                bias: None,
                mask,
                undefined_is_zero,
            };
            let mut out = vec![0.0; length * depth];
            let view = RowsMut::new(&mut out, length, depth, depth).unwrap();
            table.attention(&task, &mut Scratch::default(), view);
            out
        };
        let average: Vec<f32> =
            (0..depth).map(|col| (0..length).map(|key| v[key * depth + col]).sum::<f32>() / length as f32).collect();
        let lowest = vec![f32::MIN; length];
        let shared = |data| Rows::new(data, length, length, 0).unwrap();
        for mask in [Mask::Add(shared(&lowest)), Mask::Keep { keep: shared(&zeros), fill: -1e4 }] {
            for row in run(mask, true).chunks(depth) {
                assert_close(row, &average, 1e-6, table.isa.name());
            }
        }
        let infinite = vec![f32::NEG_INFINITY; length];
        for mask in [Mask::Add(shared(&infinite)), Mask::Keep { keep: shared(&zeros), fill: f32::NEG_INFINITY }] {
            assert!(run(mask, false).iter().all(|x| x.is_nan()), "{}", table.isa);
            assert!(run(mask, true).iter().all(|x| *x == 0.0), "{}", table.isa);
        }
    }
}

#[test]
fn activations_agree_everywhere() {
    let mut inputs: Vec<f32> = (-150_000..=150_000).map(|i| i as f32 * 1e-4).collect();
    inputs.extend([0.0, -0.0, 1e-30, -1e-30, 50.0, -50.0, 1e30, -1e30, f32::INFINITY, f32::NEG_INFINITY, f32::NAN]);
    for (name, activation) in Activation::NAMES.iter().copied() {
        let mut expected = inputs.clone();
        scalar().activate(activation, &mut expected);
        for table in vector_tables() {
            let mut got = inputs.clone();
            table.activate(activation, &mut got);
            for ((x, got), expected) in inputs.iter().zip(&got).zip(&expected) {
                // The factor of x in a GELU is right to 1e-7, the others are right themselves.
                let is_gelu = matches!(activation, Activation::Gelu | Activation::GeluTanh);
                let bound = 2e-7 * if is_gelu { x.abs().clamp(1.0, 15.0) } else { expected.abs().max(1e-30) };
                let fits = got == expected || (got.is_nan() && expected.is_nan()) || (got - expected).abs() <= bound;
                assert!(fits, "{} {name}({x}) = {got}, not {expected}", table.isa);
            }
        }
    }
}

#[test]
fn layer_normalisation_agrees_over_ragged_sizes() {
    let tables = vector_tables();
    for cols in (1..=33).chain([48, 63, 384, 1000]) {
        let (rows, stride) = (5, cols + 3);
        let x: Vec<f32> = numbers(rows * stride, 1).iter().map(|x| 3.0 + 2.0 * x).collect();
        let (scale, bias) = (numbers(cols, 2), numbers(cols, 3));
        for affine in [false, true] {
            let task = LayerNorm {
                x: Rows::new(&x, rows, cols, stride).unwrap(),
                scale: affine.then_some(&scale[..]),
                bias: affine.then_some(&bias[..]),
                epsilon: 1e-5,
            };
            let run = |table: &Kernels| {
                let mut out = vec![0.0; rows * cols];
                table.layer_norm(&task, RowsMut::new(&mut out, rows, cols, cols).unwrap());
                out
            };
            let (expected, all) = (run(&scalar()), tables.iter().map(run).collect::<Vec<_>>());
            for (table, got) in tables.iter().zip(&all) {
                let what = format!("{} {cols} columns", table.isa);
                assert_close(got, &expected, 4e-6, &what);
                assert_eq!(bits(got), bits(&all[0]), "{what}: the vector tables differ");
            }
        }
    }
}

#[test]
fn functions_agree_bit_for_bit() {
    let mut inputs: Vec<f32> = (0..=u32::MAX).step_by(65_521).map(f32::from_bits).collect();
    inputs.extend([
        0.0,
        -0.0,
        1.0,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
        88.7,
        88.8,
        -103.9,
        -104.1,
        8192.0,
        8193.0,
    ]);
    for function in Function::ALL {
        let run = |table: &Kernels| {
            let mut data = inputs.clone();
            table.evaluate(*function, &mut data);
            data
        };
        let (expected, all) = (run(&scalar()), vector_tables().iter().map(run).collect::<Vec<_>>());
        for (index, x) in inputs.iter().enumerate() {
            for got in all.iter().map(|all| all[index]) {
                let same = got.to_bits() == all[0][index].to_bits() || got.is_nan() && all[0][index].is_nan();
                assert!(same, "{function:?}({x}): the vector tables differ");
                let want = expected[index];
                let special = got == want || got.is_nan() && want.is_nan();
                let finite = got.is_finite() && want.is_finite() && (got - want).abs() <= 3e-7 * want.abs() + 3e-45;
                assert!(special || finite, "{function:?}({x}) = {got}, not {want}");
            }
        }
    }
}

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

fn bits(data: &[f32]) -> Vec<u32> {
    data.iter().map(|x| x.to_bits()).collect()
}
