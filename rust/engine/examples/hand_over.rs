//! Prints what sharing a small job costs: two pieces on two threads, after pauses of several lengths.
//!
//! `cargo run --release --example hand_over`. The pieces take 10 us each, as half of a linear layer of a short text
//! does; "alone" is one thread doing both. Medians and fifth percentiles of 2,000 jobs of each kind in turn.

mod common;

use std::time::{Duration, Instant};

use common::{busy, calibrate, micros, wait};
use engine::Pool;

const JOBS: usize = 2000;

fn main() {
    let rounds = 10 * calibrate();
    let (alone, pair) = (Pool::new(1), Pool::new(2));
    println!("{:>12} {:>22} {:>22} {:>22}", "pause", "empty pieces", "10 us pieces", "alone");
    for pause in [0, 5, 20, 100, 5000] {
        let mut times = [const { Vec::new() }; 3];
        for _ in 0..JOBS.min(1_000_000 / (pause + 1)) {
            for (times, (pool, rounds)) in times.iter_mut().zip([(&pair, 0), (&pair, rounds), (&alone, rounds)]) {
                wait(Duration::from_micros(pause as u64));
                let start = Instant::now();
                pool.run(2, |_| busy(rounds));
                times.push(start.elapsed());
            }
        }
        print!("{pause:>9} us");
        for mut times in times {
            times.sort_unstable();
            print!("{:>12.1} ({:>4.1}) us", micros(times[times.len() / 2]), micros(times[times.len() / 20]));
        }
        println!();
    }
}
