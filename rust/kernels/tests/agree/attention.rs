//! Attention: every mask, any number of keys, and rows that see none.

use kernels::{Attention, Isa, Kernels, Mask, Rows, RowsMut, Scratch};

use crate::numbers::{assert_close, numbers};
use crate::{bits, scalar, vector_tables};

/// One head's sizes and the mask it is given.
struct Head {
    queries: usize,
    keys: usize,
    depth: usize,
    width: usize,
    mask: Masking,
    bias: bool,
    bfloat16: bool,
}

/// How near results are whose products are of float32, or of bfloat16: there a weight may be rounded the other way.
fn bound(bfloat16: bool) -> f32 {
    if bfloat16 { 8e-3 } else { 1e-5 }
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
    let &Head { queries, keys, depth, width, mask, bias, bfloat16 } = case;
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
        bfloat16,
    };
    let mut out = vec![f32::MAX; skew + queries * out_stride];
    let view = RowsMut::new(&mut out[skew..], queries, width, out_stride).unwrap();
    kernels.attention(&task, &mut Scratch::default(), view);
    (0..queries).flat_map(|row| out[skew + row * out_stride..][..width].to_vec()).collect()
}

/// Every table with products of either kind.
fn tables_and_products() -> Vec<(Kernels, bool)> {
    let tables = vector_tables().into_iter().chain([scalar()]);
    tables.flat_map(|table| [(table, false), (table, true)]).collect()
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
                    let bfloat16 = number % 5 < 2;
                    let case = Head { queries, keys, depth, width, mask, bias: number % 3 == 0, bfloat16 };
                    let skew = number % 4;
                    number += 1;
                    let expected = head(&scalar(), &case, skew);
                    let all: Vec<_> = tables.iter().map(|table| head(table, &case, skew)).collect();
                    for (table, got) in tables.iter().zip(&all) {
                        let what = format!("{} {queries}x{keys}, {depth} and {width}, {mask:?}, {bfloat16}", table.isa);
                        assert_close(got, &expected, bound(bfloat16), &what);
                        if !(table.isa == Isa::Amx && bfloat16) {
                            assert_eq!(bits(got), bits(&all[0]), "{what}: the vector tables differ");
                        }
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
    for (table, bfloat16) in tables_and_products() {
        let run = |mask: Mask<'_>, start: usize, count: usize| {
            let task = Attention {
                q: Rows::contiguous(&q, depth).range(start, count),
                k: Rows::contiguous(&k, depth),
                v: Rows::contiguous(&v, depth),
                scale: 0.3,
                bias: None,
                mask: mask.range(start, count),
                undefined_is_zero: false,
                bfloat16,
            };
            let mut out = vec![0.0; count * depth];
            table.attention(&task, &mut Scratch::default(), RowsMut::new(&mut out, count, depth, depth).unwrap());
            out
        };
        let expected = run(Mask::Add(Rows::contiguous(&mask, keys)), 0, length);
        let causal = run(Mask::Causal { offset: before }, 0, length);
        if table.isa == Isa::Amx && bfloat16 {
            // Tiles sum in an order of their own, where no mask may hide keys.
            assert_close(&causal, &expected, bound(bfloat16), "amx");
        } else {
            assert_eq!(bits(&causal), bits(&expected), "{}", table.isa);
        }
        // Cut into pieces of queries, as threads share them out.
        for (start, count) in [(33, 20), (0, 1), (74, 1), (16, 33)] {
            let part = run(Mask::Causal { offset: before }, start, count);
            assert_eq!(bits(&part), bits(&causal[start * depth..(start + count) * depth]), "{}", table.isa);
        }
    }
}

#[test]
fn keys_that_are_more_than_one_block_give_the_bits_of_fewer() {
    // Blocks have a little more than 4096 keys: these are one, and with padding behind or before them two.
    let (queries, length, depth) = (17, 4090, 16);
    let (q, k, v) = (numbers(queries * depth, 1), numbers(4400 * depth, 2), numbers(4400 * depth, 3));
    for (table, bfloat16) in tables_and_products().into_iter().filter(|(table, _)| table.isa != Isa::Scalar) {
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
                bfloat16,
            };
            let mut out = vec![0.0; queries * depth];
            table.attention(&task, &mut Scratch::default(), RowsMut::new(&mut out, queries, depth, depth).unwrap());
            out
        };
        // An odd number of keys before them: pairs are other pairs then.
        let alone = run(&table, 201, length, 0..length);
        assert_eq!(bits(&run(&table, 201, 4199, 0..length)), bits(&alone), "{}: padding behind", table.isa);
        assert_eq!(
            bits(&run(&table, 0, 201 + length, 201..201 + length)),
            bits(&alone),
            "{}: padding before",
            table.isa
        );
        assert_close(
            &run(&table, 0, 4400, 0..4400),
            &run(&scalar(), 0, 4400, 0..4400),
            bound(bfloat16),
            table.isa.name(),
        );
    }
}

#[test]
fn padding_behind_the_keys_and_the_queries_leaves_no_trace() {
    let (length, padded, depth) = (21, 50, 32);
    let (q, k, v) = (numbers(padded * depth, 1), numbers(padded * depth, 2), numbers(padded * depth, 3));
    for masked in [f32::MIN, f32::NEG_INFINITY] {
        let mask: Vec<f32> = (0..padded).map(|key| if key < length { 0.0 } else { masked }).collect();
        for (table, bfloat16) in tables_and_products() {
            let run = |count: usize| {
                let task = Attention {
                    q: Rows::contiguous(&q, depth).range(0, count),
                    k: Rows::contiguous(&k, depth).range(0, count),
                    v: Rows::contiguous(&v, depth).range(0, count),
                    scale: 0.25,
                    bias: None,
                    mask: Mask::Add(Rows::new(&mask, count, count, 0).unwrap()),
                    undefined_is_zero: false,
                    bfloat16,
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
    for (table, bfloat16) in tables_and_products() {
        let run = |mask: Mask<'_>, undefined_is_zero: bool| {
            let task = Attention {
                q: Rows::contiguous(&q, depth),
                k: Rows::contiguous(&k, depth),
                v: Rows::contiguous(&v, depth),
                scale: 1.0,
                bias: None,
                mask,
                undefined_is_zero,
                bfloat16,
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
                assert_close(row, &average, bound(bfloat16) / 10.0, table.isa.name());
            }
        }
        let infinite = vec![f32::NEG_INFINITY; length];
        for mask in [Mask::Add(shared(&infinite)), Mask::Keep { keep: shared(&zeros), fill: f32::NEG_INFINITY }] {
            assert!(run(mask, false).iter().all(|x| x.is_nan()), "{}", table.isa);
            assert!(run(mask, true).iter().all(|x| *x == 0.0), "{}", table.isa);
        }
    }
}
