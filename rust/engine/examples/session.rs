//! Prints what a run of many small steps takes on one thread and on two, after pauses of several lengths.
//!
//! `cargo run --release --example session`. A run is 60 steps, each cut into 6 pieces, as large layers of a sentence encoder
//! are: pieces of 3 us have the work of 10 tokens, of 40 us that of 128. Medians of the runs, two pools in turn.

mod common;

use std::time::{Duration, Instant};

use common::{busy, calibrate, micros, wait};
use engine::Pool;

const STEPS: usize = 60;
const PIECES: usize = 6;

fn main() {
    let per_us = calibrate();
    let pools = [Pool::new(1), Pool::new(2)];
    println!("{:>10} {:>10} {:>12} {:>12} {:>8}", "pause", "piece", "1 thread", "2 threads", "gain");
    for piece in [3, 10, 40] {
        for pause in [0, 200, 1000, 20_000] {
            let mut times = [const { Vec::new() }; 2];
            for _ in 0..(1_500_000 / (pause + STEPS * PIECES * piece)).max(15) {
                for (times, pool) in times.iter_mut().zip(&pools) {
                    wait(Duration::from_micros(pause as u64));
                    let start = Instant::now();
                    pool.session(|| {
                        for _ in 0..STEPS {
                            pool.run(PIECES, |_| busy(per_us * piece));
                        }
                    });
                    times.push(start.elapsed());
                }
            }
            let [alone, shared] = times.map(|mut times| {
                times.sort_unstable();
                micros(times[times.len() / 2])
            });
            println!("{pause:>7} us {piece:>7} us {alone:>9.0} us {shared:>9.0} us {:>8.2}", alone / shared);
        }
    }
}
