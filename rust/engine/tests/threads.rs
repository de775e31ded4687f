//! The number of threads changes no bit, and the operators say what the kernels' definition says.

#[allow(dead_code)] // what the kernels' tests need of it
#[path = "../../kernels/tests/numbers/mod.rs"]
mod numbers;

use engine::{Activation, Batch, Engine, Heads, HeadsMask, Isa, Kernels, Layer, LayerNorm, Rows, Scores};
use numbers::numbers;

/// Engines of every instruction set and of one to three threads, by instruction set.
fn engines() -> Vec<Vec<Engine>> {
    Isa::available()
        .into_iter()
        .map(|isa| (1..=3).map(|threads| Engine::new(Kernels::for_isa(isa).unwrap(), threads)).collect())
        .collect()
}

fn bits(data: &[f32]) -> Vec<u32> {
    data.iter().map(|x| x.to_bits()).collect()
}

/// Checks that all engines agree: bit for bit on one instruction set, and within `bound` on different ones.
fn assert_same(run: impl Fn(&Engine) -> Vec<f32>, bound: f32) {
    let mut first: Option<Vec<f32>> = None;
    for engines in engines() {
        let expected = run(&engines[0]);
        for engine in &engines[1..] {
            assert_eq!(bits(&run(engine)), bits(&expected), "{}, {} threads", engine.kernels().isa, engine.threads());
        }
        let reference = first.get_or_insert_with(|| expected.clone());
        for (got, want) in expected.iter().zip(reference) {
            assert!((got - *want).abs() <= bound, "{}: {got}, not {want}", engines[0].kernels().isa);
        }
    }
}

#[test]
fn linear_layers_do_not_depend_on_threads() {
    for (m, k, n) in [(1, 384, 1536), (10, 384, 384), (333, 100, 77), (250, 64, 1), (0, 8, 8)] {
        let (x, w, bias, residual) = (numbers(m * k, 1), numbers(k * n, 2), numbers(n, 3), numbers(m * n, 4));
        assert_same(
            |engine| {
                let weights = engine.pack(&w, [k, n], [n, 1]);
                let mut out = vec![0.0; m * n];
                let layer = Layer {
                    weights: &weights,
                    bias: Some(&bias),
                    activation: Activation::Gelu,
                    factor: None,
                    residual: Some(Rows::contiguous(&residual, n)),
                };
                engine.linear(Rows::contiguous(&x, k), layer, &mut out);
                out
            },
            1e-4,
        );
    }
}

#[test]
fn a_row_has_the_same_bits_in_any_batch() {
    let (m, k, n) = (400, 96, 200);
    let (x, w) = (numbers(m * k, 1), numbers(k * n, 2));
    for engine in engines().into_iter().flatten() {
        let weights = engine.pack(&w, [k, n], [n, 1]);
        let run = |first: usize, count: usize| {
            let mut out = vec![0.0; count * n];
            let layer =
                Layer { weights: &weights, bias: None, activation: Activation::Identity, factor: None, residual: None };
            engine.linear(Rows::contiguous(&x, k).range(first, count), layer, &mut out);
            out
        };
        let together = run(0, m);
        for (first, count) in [(0, 1), (399, 1), (17, 105), (200, 13)] {
            assert_eq!(bits(&run(first, count)), bits(&together[first * n..(first + count) * n]));
        }
    }
}

#[test]
fn products_of_computed_matrices_do_not_depend_on_threads() {
    for (count, m, k, n) in [(1, 70, 300, 333), (12, 33, 32, 40), (5, 1, 9, 1), (2, 3, 0, 4)] {
        let (a, b) = (numbers(count * m * k, 1), numbers(k * n, 2));
        // Every product has its own left-hand side; all share the right-hand one, which is stored transposed.
        let starts: Vec<_> = (0..count).map(|item| [item * m * k, 0]).collect();
        let batch = Batch { a: &a, b: &b, shape: [m, k, n], b_strides: [1, k], starts: &starts };
        let run = |engine: &Engine| {
            let mut out = vec![9.0; count * m * n];
            engine.matmul(batch, &mut out);
            out
        };
        assert_same(run, 1e-4);
        let plain: f32 = (0..k).map(|i| a[i] * b[i]).sum();
        assert!((run(&engines()[0][0])[0] - plain).abs() < 1e-4);
    }
}

#[test]
fn attention_does_not_depend_on_threads_or_on_the_other_sequences() {
    for (batches, heads, length, depth) in [(3, 4, 21, 32), (1, 1, 300, 64), (1, 2, 129, 16), (2, 3, 1, 8)] {
        // As a linear layer leaves them: the heads of a token are adjacent.
        let tokens = |seed| numbers(batches * length * heads * depth, seed);
        let (q, k, v, mask) = (tokens(1), tokens(2), tokens(3), numbers(batches * length, 4));
        let strides = [length * heads * depth, depth, heads * depth];
        let run = |engine: &Engine, first: usize, count: usize| {
            let view = |data| Heads::new(data, [count, heads, length, depth], strides).unwrap();
            let skip = first * length * heads * depth;
            let mask = Heads::new(&mask[first * length..], [count, heads, length, length], [length, 0, 0]).unwrap();
            let mut out = vec![9.0; count * length * heads * depth];
            engine.attention(
                [view(&q[skip..]), view(&k[skip..]), view(&v[skip..])],
                Scores {
                    scale: 0.2,
                    bias: None,
                    relative: &[],
                    mask: HeadsMask::Add(mask),
                    undefined_is_zero: false,
                    bfloat16: false,
                },
                &mut out,
            );
            out
        };
        assert_same(|engine| run(engine, 0, batches), 1e-5);
        for engine in engines().into_iter().flatten() {
            let all = run(&engine, 0, batches);
            let size = length * heads * depth;
            for batch in 0..batches {
                assert_eq!(bits(&run(&engine, batch, 1)), bits(&all[batch * size..(batch + 1) * size]));
            }
        }
    }
}

#[test]
fn rows_and_elements_do_not_depend_on_threads() {
    let (count, cols) = (1001, 384);
    let (x, scale, bias) = (numbers(count * cols, 1), numbers(cols, 2), numbers(cols, 3));
    let task = LayerNorm { x: Rows::contiguous(&x, cols), scale: Some(&scale), bias: Some(&bias), epsilon: 1e-12 };
    assert_same(
        |engine| {
            let mut out = vec![0.0; x.len()];
            engine.layer_norm(task, &mut out);
            out
        },
        1e-5,
    );
    assert_same(
        |engine| {
            let mut out = vec![0.0; x.len()];
            engine.activate(Activation::Gelu, &x, &mut out);
            out
        },
        1e-6,
    );
}
