//! Prints what fraction of the multiply-add units' peak the linear layers of an encoder reach, with what follows them.
//!
//! `cargo run --release --example layers [-- ISA]`, one thread: six layers of MiniLM's shapes, one after the other, so that
//! weights come from where they lie in practice; bias everywhere, GELU after the first feed-forward product, a residual
//! after the projections back to the hidden size. The peak is measured in turn with them. Best and median of the rounds.

use std::hint::black_box;
use std::time::Instant;

use kernels::{Activation, Isa, Kernels, Matmul, PackedMatrix, Rows, RowsMut, Scratch};

const ROUNDS: usize = 31;
const LAYERS: usize = 6;
/// `k`, `n`, activation and whether there is a residual.
const SHAPES: [(usize, usize, Activation, bool); 4] = [
    (384, 1152, Activation::Identity, false),
    (384, 384, Activation::Identity, true),
    (384, 1536, Activation::Gelu, false),
    (1536, 384, Activation::Identity, true),
];

fn main() {
    let forced = std::env::args().nth(1);
    for isa in Isa::available() {
        let wanted = forced.as_deref().map_or(isa != Isa::Scalar, |name| name == isa.name());
        let Some(kernels) = Kernels::for_isa(isa).filter(|_| wanted) else { continue };
        let pack = |&(k, n, ..): &(usize, usize, Activation, bool)| {
            let weights: Vec<f32> = (0..k * n).map(|i| (i % 101) as f32 / 101.0 - 0.5).collect();
            PackedMatrix::new(&kernels, &weights, [k, n], [n, 1])
        };
        let weights: Vec<Vec<PackedMatrix>> = (0..LAYERS).map(|_| SHAPES.iter().map(pack).collect()).collect();
        println!("{isa}: fraction of peak, best (median)");
        print!("{:>6}", "rows");
        SHAPES.iter().for_each(|(k, n, ..)| print!("{:>14}", format!("{k}x{n}")));
        println!("{:>14}", "all");
        for rows in [1, 4, 10, 26, 64, 80, 104] {
            println!("{rows:>6}{}", measure(&kernels, &weights, rows));
        }
    }
}

fn measure(kernels: &Kernels, weights: &[Vec<PackedMatrix>], rows: usize) -> String {
    let (bias, x) = (vec![0.1; 1536], vec![0.3; rows * 1536]);
    let (mut out, mut scratch) = (vec![0.0; rows * 1536], Scratch::default());
    let repeats = (160 / rows).max(1);
    let (mut peaks, mut reached) = (Vec::new(), [(); SHAPES.len() + 1].map(|()| Vec::new()));
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let (done, result) = kernels.multiply_adds(20_000);
        peaks.push(32.0 * done as f64 / start.elapsed().as_secs_f64());
        black_box(result);
        let mut seconds = [0.0; SHAPES.len()];
        for layer in (0..repeats).flat_map(|_| weights) {
            for (index, (&(k, n, activation, has_residual), weights)) in SHAPES.iter().zip(layer).enumerate() {
                let task = Matmul {
                    bias: Some(&bias[..n]),
                    activation,
                    residual: has_residual.then(|| Rows::contiguous(&x[..rows * n], n)),
                    ..Matmul::new(Rows::contiguous(&x[..rows * k], k), weights.panels())
                };
                let start = Instant::now();
                kernels.matmul(&task, &mut scratch, RowsMut::new(&mut out, rows, n, n).unwrap());
                seconds[index] += start.elapsed().as_secs_f64();
            }
        }
        let flops = SHAPES.map(|(k, n, ..)| (2 * rows * k * n * LAYERS * repeats) as f64);
        for index in 0..SHAPES.len() {
            reached[index].push(flops[index] / seconds[index]);
        }
        reached[SHAPES.len()].push(flops.iter().sum::<f64>() / seconds.iter().sum::<f64>());
    }
    peaks.sort_unstable_by(f64::total_cmp);
    let peak = peaks[ROUNDS - 1];
    let cell = |rates: &mut Vec<f64>| {
        rates.sort_unstable_by(f64::total_cmp);
        format!("{:>14}", format!("{:.2} ({:.2})", rates[ROUNDS - 1] / peak, rates[ROUNDS / 2] / peak))
    };
    reached.iter_mut().map(cell).collect()
}
