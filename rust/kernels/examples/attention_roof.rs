//! Prints what attention of texts of many lengths reaches of the multiply-add units' peak.
//!
//! `cargo run --release --example attention_roof [-- ISA]`, one thread; twelve heads of 32, read where a projection to
//! `[tokens, 3 * 384]` leaves them. What counts is the two products; the softmax between them is what keeps them from the
//! peak. Best and median of the rounds, the peak measured in turn with each.

use std::hint::black_box;
use std::time::Instant;

use kernels::{Attention, Isa, Kernels, Mask, Rows, RowsMut, Scratch};

const ROUNDS: usize = 41;
const HEADS: usize = 12;
const DEPTH: usize = 32;

fn main() {
    let forced = std::env::args().nth(1);
    for isa in Isa::available() {
        let wanted = forced.as_deref().map_or(isa != Isa::Scalar, |name| name == isa.name());
        let Some(kernels) = Kernels::for_isa(isa).filter(|_| wanted) else { continue };
        println!("{isa}: fraction of peak best (median)");
        for tokens in [10, 16, 32, 40, 64, 100, 128, 256, 512] {
            let [floats, rounded] = [false, true].map(|bfloat16| measure(&kernels, tokens, bfloat16));
            println!("  {tokens:>3} tokens {floats}, bfloat16 {rounded}");
        }
    }
}

fn measure(kernels: &Kernels, tokens: usize, bfloat16: bool) -> String {
    let cols = HEADS * DEPTH;
    let projected: Vec<f32> = (0..tokens * 3 * cols).map(|i| (i as f32 * 0.37).sin()).collect();
    let mut out = vec![0.0; tokens * cols];
    let mut scratch = Scratch::default();
    let operations = (HEADS * tokens * tokens * DEPTH * 4) as f64;
    let (mut rates, mut peaks) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let (done, result) = kernels.multiply_adds(4000);
        peaks.push(2.0 * 16.0 * done as f64 / start.elapsed().as_secs_f64());
        black_box(result);
        let repeats = ((2e7 / operations) as usize).max(1);
        let start = Instant::now();
        for _ in 0..repeats {
            for head in 0..HEADS {
                let part = |index: usize| {
                    let from = &projected[index * cols + head * DEPTH..];
                    Rows::new(from, tokens, DEPTH, 3 * cols).unwrap()
                };
                let task = Attention {
                    q: part(0),
                    k: part(1),
                    v: part(2),
                    scale: 0.2,
                    bias: None,
                    mask: Mask::None,
                    undefined_is_zero: false,
                    bfloat16,
                };
                let out = RowsMut::new(&mut out[head * DEPTH..], tokens, DEPTH, cols).unwrap();
                kernels.attention(&task, &mut scratch, out);
            }
        }
        rates.push(operations * repeats as f64 / start.elapsed().as_secs_f64());
    }
    for numbers in [&mut rates, &mut peaks] {
        numbers.sort_unstable_by(f64::total_cmp);
    }
    let (peak, best, median) = (peaks[ROUNDS - 1], rates[ROUNDS - 1], rates[ROUNDS / 2]);
    format!("{:.2} ({:.2})", best / peak, median / peak)
}
