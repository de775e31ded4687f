//! Prints what integer products of many shapes reach of the peak of byte products, and what quantising their rows costs.
//!
//! `cargo run --release --example integer_roof [-- ISA]`, one thread: the instruction that each set is used with, or all that
//! go with the named one. The peak is taken as four times that of float
//! multiply-adds, measured beside each product, in turn with it: what VNNI does in the place of one multiply-add. Best and
//! median of the rounds; quantising as the time of the product it is for.

use std::hint::black_box;
use std::time::Instant;

use kernels::{
    Activation, IntegerKernels, IntegerMatmul, Isa, Kernels, Matmul, PackedIntegers, Quantise, Range, RowScale, Rows,
    RowsMut, Scratch,
};

const ROUNDS: usize = 41;

fn main() {
    let forced = std::env::args().nth(1);
    for isa in Isa::available() {
        let wanted = forced.as_deref().map_or(isa != Isa::Scalar, |name| name == isa.name());
        let Some(kernels) = Kernels::for_isa(isa).filter(|_| wanted) else { continue };
        let all = IntegerKernels::all_of(&kernels);
        let used = if forced.is_some() { &all[..] } else { &all[all.len() - 1..] };
        for integers in used {
            println!("{isa}, {}: [rows, k] x [k, n], fraction of peak best (median)", integers.name);
            table(&kernels, integers);
        }
    }
}

fn table(kernels: &Kernels, integers: &IntegerKernels) {
    for (k, n, segment, activation) in [
        (384, 384, 192, Activation::Identity),
        (384, 1152, 192, Activation::Identity),
        (384, 1152, 384, Activation::Identity),
        (384, 1536, 192, Activation::CoarseGelu),
        (1536, 384, 512, Activation::Identity),
    ] {
        let weights: Vec<i8> = (0..k * n).map(|i| (i * i % 255) as u8 as i8).collect();
        let packed = PackedIntegers::new(kernels, &weights, [k, n], [n, 1], &vec![0.01; n], None, segment);
        for rows in [1, 4, 10, 16, 52, 104] {
            let x: Vec<f32> = (0..rows * k).map(|i| (i as f32 * 0.37).sin()).collect();
            let name = format!("[{rows}, {k}] x [{k}, {n}] by {segment}, {activation:?}");
            println!("  {name:<44} {}", measure(kernels, integers, &x, &packed, rows, activation));
        }
    }
}

fn measure(
    kernels: &Kernels,
    integers: &IntegerKernels,
    x: &[f32],
    packed: &PackedIntegers,
    rows: usize,
    activation: Activation,
) -> String {
    let (k, n, segment) = (packed.k(), packed.n(), packed.segment());
    let (mut scratch, mut memory) = (Scratch::default(), [Vec::new(), Vec::new()]);
    let [out, groups] = &mut memory;
    let (out, groups) = (aligned(out, rows * n), aligned(groups, rows * k.div_ceil(4)));
    let bias = vec![0.1; n];
    let mut scales = vec![RowScale::default(); rows * k.div_ceil(segment)];
    let products = (rows * k * n) as f64;
    let (mut rates, mut peaks, mut shares) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let (done, result) = kernels.multiply_adds(4000);
        peaks.push(4.0 * 16.0 * done as f64 / start.elapsed().as_secs_f64());
        black_box(result);
        // Long enough for the clock: several products of a small shape.
        let repeats = ((2e7 / products) as usize).max(1);
        let start = Instant::now();
        for _ in 0..repeats {
            let task = Quantise { x: Rows::contiguous(x, k), segment, range: Range::Own, with_excess: false };
            integers.quantise(&task, &mut scales, groups);
        }
        let quantising = start.elapsed().as_secs_f64();
        let start = Instant::now();
        for _ in 0..repeats {
            let rows_of_groups = Rows::contiguous(groups, k.div_ceil(4));
            let after = |b| Matmul { bias: Some(&bias), activation, ..Matmul::new(rows_of_groups, b) };
            let task = IntegerMatmul::new(after, &scales, packed.range(0, packed.count()));
            integers.matmul(&task, &mut scratch, RowsMut::new(out, rows, n, n).unwrap());
        }
        let seconds = start.elapsed().as_secs_f64();
        rates.push(products * repeats as f64 / seconds);
        shares.push(quantising / seconds);
    }
    for numbers in [&mut rates, &mut peaks, &mut shares] {
        numbers.sort_unstable_by(f64::total_cmp);
    }
    let (peak, best, median) = (peaks[ROUNDS - 1], rates[ROUNDS - 1], rates[ROUNDS / 2]);
    format!("{:.2} ({:.2}), quantising {:.3} of it", best / peak, median / peak, shares[ROUNDS / 2])
}

/// Zeros that begin with a line of the cache, as the values of a plan do: rows of tiles across two lines take 1.2 times as long.
fn aligned(memory: &mut Vec<f32>, count: usize) -> &mut [f32] {
    memory.resize(count + 16, 0.0);
    let start = memory.as_ptr().align_offset(64);
    &mut memory[start..start + count]
}
