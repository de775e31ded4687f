//! Prints what the kernels reach on one thread, beside what the CPU's multiply-add units can do.
//!
//! `cargo run --release --example throughput [-- ISA]`. Each case is checked against the scalar table before it is
//! timed. Best of the rounds: on a shared machine the others say more about the neighbours.

#[allow(dead_code)] // what the tests need of it
#[path = "../tests/numbers/mod.rs"]
mod numbers;

use std::hint::black_box;
use std::time::Instant;

use kernels::{Activation, Attention, Isa, Kernels, Mask, Matmul, PackedMatrix, Rows, RowsMut, Scratch};
use numbers::numbers;

const ROUNDS: usize = 15;

fn main() {
    let forced = std::env::args().nth(1);
    for isa in Isa::available() {
        if forced.as_deref().is_some_and(|name| name != isa.name()) {
            continue;
        }
        let kernels = Kernels::for_isa(isa).expect("an available instruction set has a table");
        println!("{isa}");
        for (m, k, n, activation) in [
            (10, 384, 384, Activation::Identity),
            (104, 384, 384, Activation::Identity),
            (104, 384, 1536, Activation::Identity),
            (104, 384, 1536, Activation::Gelu),
            (104, 1536, 384, Activation::Identity),
            (128, 384, 384, Activation::Identity),
            (512, 384, 384, Activation::Identity),
            (37, 123, 77, Activation::Tanh),
        ] {
            matmul(&kernels, m, k, n, activation);
        }
        for (length, depth) in [(10, 32), (64, 32), (128, 32), (256, 32), (512, 64)] {
            attention(&kernels, length, depth);
        }
    }
}

fn matmul(kernels: &Kernels, m: usize, k: usize, n: usize, activation: Activation) {
    let (a, b, bias) = (numbers(m * k, 1), numbers(k * n, 2), numbers(n, 3));
    let run = |kernels: &Kernels| {
        let packed = PackedMatrix::new(kernels, &b, [k, n], [n, 1]);
        let task = Matmul { bias: Some(&bias), activation, ..Matmul::new(Rows::contiguous(&a, k), packed.panels()) };
        let (mut scratch, mut out) = (Scratch::default(), vec![0.0; m * n]);
        let best = best_of(|| kernels.matmul(&task, &mut scratch, RowsMut::new(&mut out, m, n, n).unwrap()));
        (out, best)
    };
    let (out, seconds) = run(kernels);
    let (expected, _) = run(&Kernels::for_isa(Isa::Scalar).unwrap());
    check(&out, &expected, 1e-6 * k as f32);
    report(&format!("matmul [{m}, {k}] x [{k}, {n}] {activation:?}"), 2 * m * k * n, seconds);
}

fn attention(kernels: &Kernels, length: usize, depth: usize) {
    let (q, k, v) = (numbers(length * depth, 1), numbers(length * depth, 2), numbers(length * depth, 3));
    let mask = vec![0.0; length];
    let task = Attention {
        q: Rows::contiguous(&q, depth),
        k: Rows::contiguous(&k, depth),
        v: Rows::contiguous(&v, depth),
        scale: 1.0,
        bias: None,
        mask: Mask::Add(Rows::new(&mask, length, length, 0).unwrap()),
        undefined_is_zero: false,
        bfloat16: false,
    };
    let run = |kernels: &Kernels| {
        let (mut scratch, mut out) = (Scratch::default(), vec![0.0; length * depth]);
        let best =
            best_of(|| kernels.attention(&task, &mut scratch, RowsMut::new(&mut out, length, depth, depth).unwrap()));
        (out, best)
    };
    let (out, seconds) = run(kernels);
    let (expected, _) = run(&Kernels::for_isa(Isa::Scalar).unwrap());
    check(&out, &expected, 1e-6 * depth as f32);
    report(&format!("attention [{length}, {depth}]"), 4 * length * length * depth, seconds);
}

fn best_of(mut work: impl FnMut()) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        work();
        best = best.min(start.elapsed().as_secs_f64());
    }
    best
}

fn check(got: &[f32], expected: &[f32], bound: f32) {
    let worst = black_box(got).iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst <= bound, "differs from scalar by {worst}");
}

fn report(what: &str, flops: usize, seconds: f64) {
    println!("  {what:<48} {:9.1} us  {:7.1} GFLOP/s", seconds * 1e6, flops as f64 / seconds / 1e9);
}
