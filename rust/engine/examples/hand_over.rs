//! Prints what sharing a small job costs: two pieces on two threads, after pauses of several lengths.
//!
//! `cargo run --release --example hand_over`. The pieces take 10 us each, as half of a linear layer of a short text
//! does; "alone" is one thread doing both. Medians and fifth percentiles of 2,000 jobs of each kind in turn.

use std::hint::black_box;
use std::time::{Duration, Instant};

use engine::Pool;

const JOBS: usize = 2000;

fn main() {
    let rounds = calibrate();
    let (alone, pair) = (Pool::new(1), Pool::new(2));
    println!("{:>12} {:>22} {:>22} {:>22}", "pause", "empty pieces", "10 us pieces", "alone");
    for pause in [0, 5, 20, 100, 1000] {
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

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// Short pauses are computed through, as by the serial part of a layer, long ones slept through.
fn wait(pause: Duration) {
    if pause >= Duration::from_millis(1) {
        return std::thread::sleep(pause);
    }
    let start = Instant::now();
    while start.elapsed() < pause {
        std::hint::spin_loop();
    }
}

fn busy(rounds: usize) {
    let mut x = 1.0_f32;
    for _ in 0..rounds {
        x = black_box(x.mul_add(0.5, 1.0));
    }
}

/// Rounds of [`busy`] that take 10 us.
fn calibrate() -> usize {
    let rounds = 100_000;
    let best = (0..20).map(|_| {
        let start = Instant::now();
        busy(rounds);
        start.elapsed()
    });
    (rounds as f64 * 10.0 / micros(best.min().expect("twenty times"))) as usize
}
