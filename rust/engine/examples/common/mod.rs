//! What the examples that time the pool share: work of a known length, and pauses.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// Short pauses are computed through, as the serial part of a layer or a tokenizer does, long ones slept through.
pub(super) fn wait(pause: Duration) {
    if pause >= Duration::from_millis(5) {
        return std::thread::sleep(pause);
    }
    let start = Instant::now();
    while start.elapsed() < pause {
        std::hint::spin_loop();
    }
}

/// Work that no compiler shortens.
pub(super) fn busy(rounds: usize) {
    let mut x = 1.0_f32;
    for _ in 0..rounds {
        x = black_box(x.mul_add(0.5, 1.0));
    }
}

/// Rounds of [`busy`] in a microsecond.
pub(super) fn calibrate() -> usize {
    let rounds = 100_000;
    let best = (0..20).map(|_| {
        let start = Instant::now();
        busy(rounds);
        start.elapsed()
    });
    (rounds as f64 / micros(best.min().expect("twenty times"))) as usize
}

pub(super) fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
