//! Prints the time of an encoder's linear layers whose weights are kept in few bits, beside that with floats.
//!
//! `cargo run --release --example stored [-- ISA]`, one thread: six layers of MiniLM's shapes, one after the other, so that
//! weights come from where they lie in practice. All kinds take turns; medians of the rounds, and the ratio to floats.

use std::time::Instant;

use kernels::{
    Activation, Isa, Kernels, Matmul, PackedMatrix, Rows, RowsMut, Scratch, Steps, StoredKernels, StoredMatmul,
    StoredMatrix, Weights,
};

const ROUNDS: usize = 15;
const LAYERS: usize = 6;
/// `k`, `n`, activation and whether there is a residual.
const SHAPES: [(usize, usize, Activation, bool); 4] = [
    (384, 1152, Activation::Identity, false),
    (384, 384, Activation::Identity, true),
    (384, 1536, Activation::Gelu, false),
    (1536, 384, Activation::Identity, true),
];

enum Kind {
    Floats(PackedMatrix),
    Stored(StoredMatrix),
}

fn main() {
    let forced = std::env::args().nth(1);
    for isa in Isa::available() {
        let wanted = forced.as_deref().map_or(isa != Isa::Scalar, |name| name == isa.name());
        let Some(kernels) = Kernels::for_isa(isa).filter(|_| wanted) else { continue };
        // 2^-4 to 2^-3 and back, in float16.
        let halves: Vec<u16> = (0..1536 * 1536).map(|i| 0x2C00 + (i % 1009) as u16).collect();
        let (bytes, four): (Vec<i8>, Vec<i8>) = halves.iter().map(|x| (*x as i8, *x as i8 >> 4)).unzip();
        let floats: Vec<f32> = halves.iter().map(|bits| kernels::float16::widen(*bits)).collect();
        let (scales, zeros) = (vec![0.01; 1536 * 48], vec![3.0; 1536 * 48]);
        let stored = |weights: Weights<'_>, k: usize, n: usize, block: Option<usize>| {
            let steps = block.map(|block| {
                let count = k / block * n;
                Steps { scales: &scales[..count], zeros: Some(&zeros[..count]), block }
            });
            Kind::Stored(StoredMatrix::new(&kernels, weights, [k, n], [n, 1], steps))
        };
        let names = ["float32", "float16", "int8", "int4"];
        let kinds: [Vec<Kind>; 4] = std::array::from_fn(|kind| {
            let all = (0..LAYERS).flat_map(|_| SHAPES).map(|(k, n, ..)| match kind {
                0 => Kind::Floats(PackedMatrix::new(&kernels, &floats[..k * n], [k, n], [n, 1])),
                1 => stored(Weights::Float16(&halves[..k * n]), k, n, None),
                2 => stored(Weights::Int8(&bytes[..k * n]), k, n, Some(k)),
                _ => stored(Weights::Int4(&four[..k * n]), k, n, Some(32)),
            });
            all.collect()
        });
        println!("{isa}: us, and how many times as fast as floats");
        println!("{:>6}{:>18}{:>18}{:>18}{:>18}", "rows", names[0], names[1], names[2], names[3]);
        for rows in [1, 2, 4, 6, 10, 13, 16, 30, 104] {
            println!("{rows:>6}{}", measure(&kernels, &kinds, rows));
        }
    }
}

fn measure(kernels: &Kernels, kinds: &[Vec<Kind>; 4], rows: usize) -> String {
    let (bias, x) = (vec![0.1; 1536], vec![0.3; rows * 1536]);
    let (mut out, mut scratch) = (vec![0.0; rows * 1536], Scratch::default());
    let stored = StoredKernels::of(kernels);
    let repeats = (12 / rows).max(1);
    let mut times = [(); 4].map(|()| Vec::new());
    for _ in 0..ROUNDS {
        for (all, times) in kinds.iter().zip(&mut times) {
            let start = Instant::now();
            for _ in 0..repeats {
                for (weights, &(k, n, activation, has_residual)) in all.iter().zip(SHAPES.iter().cycle()) {
                    let residual = has_residual.then(|| Rows::contiguous(&x[..rows * n], n));
                    let a = Rows::contiguous(&x[..rows * k], k);
                    let task = |b| Matmul { bias: Some(&bias[..n]), activation, residual, ..Matmul::new(a, b) };
                    let out = RowsMut::new(&mut out, rows, n, n).unwrap();
                    match weights {
                        Kind::Floats(weights) => kernels.matmul(&task(weights.panels()), &mut scratch, out),
                        Kind::Stored(weights) => {
                            let all = weights.range(0, weights.count());
                            stored.matmul(&StoredMatmul::new(task, all), &mut scratch, out);
                        }
                    }
                }
            }
            times.push(start.elapsed().as_secs_f64() / repeats as f64);
        }
    }
    let medians = times.map(|mut times| {
        times.sort_unstable_by(f64::total_cmp);
        times[ROUNDS / 2]
    });
    medians.map(|time| format!("{:>18}", format!("{:.0} ({:.2})", time * 1e6, medians[0] / time))).concat()
}
