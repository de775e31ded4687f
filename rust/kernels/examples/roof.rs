//! Prints what fraction of the multiply-add units' peak, and of the memory's speed, products of many shapes reach.
//!
//! `cargo run --release --example roof [-- ISA]`, one thread. The peak is measured beside each product, in turn with it: on a
//! shared machine it moves. "cached" multiplies by one matrix again and again; "streamed" by copies of it in turn that
//! no cache holds, as a pass over a model with more weights than cache does. Best and median of the rounds.

use std::hint::black_box;
use std::time::Instant;

use kernels::{Isa, Kernels, Matmul, PackedMatrix, Rows, RowsMut, Scratch};

const ROUNDS: usize = 31;
/// More than the last-level cache of most machines, in elements.
const STREAMED: usize = 24 << 20;

fn main() {
    let forced = std::env::args().nth(1);
    for isa in Isa::available() {
        let wanted = forced.as_deref().map_or(isa != Isa::Scalar, |name| name == isa.name());
        let Some(kernels) = Kernels::for_isa(isa).filter(|_| wanted) else { continue };
        println!("{isa}: [rows, k] x [k, n], fraction of peak best (median), GB/s of weights");
        for (k, n) in [(384, 384), (384, 1152), (384, 1536), (1536, 384), (768, 768), (768, 3072)] {
            let weights: Vec<f32> = (0..k * n).map(|i| (i % 101) as f32 / 101.0).collect();
            let one = PackedMatrix::new(&kernels, &weights, [k, n], [n, 1]);
            let copies: Vec<PackedMatrix> = (0..STREAMED.div_ceil(k * n)).map(|_| one.clone()).collect();
            for rows in [1, 7, 10, 16, 80, 160, 320, 560] {
                let a = vec![0.5; rows * k];
                let mut cells = Vec::new();
                for matrices in [&copies[..1], &copies[..]] {
                    cells.push(measure(&kernels, &a, matrices, rows));
                }
                println!("  {:<24} cached {}   streamed {}", format!("[{rows}, {k}] x [{k}, {n}]"), cells[0], cells[1]);
            }
        }
    }
}

fn measure(kernels: &Kernels, a: &[f32], matrices: &[PackedMatrix], rows: usize) -> String {
    let (k, n) = (matrices[0].panels().k(), matrices[0].panels().n());
    let (mut scratch, mut out) = (Scratch::default(), vec![0.0; rows * n]);
    let flops = (2 * rows * k * n) as f64;
    let (mut products, mut peaks) = (Vec::new(), Vec::new());
    let mut next = 0;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let (done, result) = kernels.multiply_adds(4000);
        peaks.push(32.0 * done as f64 / start.elapsed().as_secs_f64());
        black_box(result);
        // Long enough for the clock: several products of a small shape.
        let repeats = ((1e7 / flops) as usize).max(1);
        let start = Instant::now();
        for _ in 0..repeats {
            let task = Matmul::new(Rows::contiguous(a, k), matrices[next % matrices.len()].panels());
            kernels.matmul(&task, &mut scratch, RowsMut::new(&mut out, rows, n, n).unwrap());
            next += 1;
        }
        products.push(flops * repeats as f64 / start.elapsed().as_secs_f64());
    }
    products.sort_unstable_by(f64::total_cmp);
    peaks.sort_unstable_by(f64::total_cmp);
    let (peak, best, median) = (peaks[ROUNDS - 1], products[ROUNDS - 1], products[ROUNDS / 2]);
    let bandwidth = best / flops * (k * n * 4) as f64 / 1e9;
    format!("{:.2} ({:.2}) {bandwidth:5.1} GB/s", best / peak, median / peak)
}
