//! What the arithmetic units can do, for benchmarks to compare with.

use super::reduction::total;
use super::{Simd, Vector};

#[inline(always)]
pub(in crate::arch) fn multiply_adds<S: Simd>(s: S, rounds: usize) -> (usize, f32) {
    if S::TILE_VECTORS == 2 { chains::<S, 12>(s, rounds) } else { chains::<S, 6>(s, rounds) }
}

/// Chains of multiply-adds that do not wait for one another: as many as hide their latency and fit into registers.
#[inline(always)]
fn chains<S: Simd, const CHAINS: usize>(s: S, rounds: usize) -> (usize, f32) {
    let factor = s.splat(0.5);
    let mut sums = [factor; CHAINS];
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = sum.mul_add(factor, factor);
        }
    }
    let mut all = sums[0];
    for sum in &sums[1..] {
        all = all + *sum;
    }
    (rounds * CHAINS, total(all))
}
