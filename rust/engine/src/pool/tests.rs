//! What the pool promises.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Pool;
use super::workers::PLACES;

#[test]
fn every_piece_is_done_once() {
    for threads in [1, 2, 5] {
        let pool = Pool::new(threads);
        for count in [0, 1, 2, 100] {
            let mut results = vec![0; count];
            pool.for_each(results.iter_mut().enumerate().collect(), |(index, result)| *result += index + 1);
            assert!(results.iter().enumerate().all(|(index, result)| *result == index + 1), "{threads} {count}");
        }
    }
}

#[test]
fn a_panic_reaches_the_caller_and_the_pool_goes_on() {
    let pool = Pool::new(3);
    let attempt = || pool.for_each((0..50).collect(), |piece| assert_ne!(piece, 20, "piece 20"));
    assert!(catch_unwind(AssertUnwindSafe(attempt)).is_err());
    let sum = AtomicUsize::new(0);
    pool.for_each((0..50).collect(), |piece| {
        sum.fetch_add(piece, Ordering::Relaxed);
    });
    assert_eq!(sum.into_inner(), 49 * 50 / 2);
}

#[test]
fn callers_from_several_threads_do_not_wait_for_one_another() {
    let pool = Pool::new(2);
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for caller in 0..4 {
            let (pool, done) = (&pool, &done);
            scope.spawn(move || {
                pool.for_each((0..20).collect(), |piece: usize| done.lock().unwrap().push((caller, piece)));
            });
        }
    });
    let mut done = done.into_inner().unwrap();
    done.sort_unstable();
    assert_eq!(done, (0..4).flat_map(|caller| (0..20).map(move |piece| (caller, piece))).collect::<Vec<_>>());
}

#[test]
fn every_number_is_done_once() {
    let pool = Pool::new(3);
    for count in 0..20 {
        let done: Vec<AtomicUsize> = (0..count).map(|_| AtomicUsize::new(0)).collect();
        pool.run(count, |piece| {
            done[piece].fetch_add(1, Ordering::Relaxed);
        });
        assert!(done.iter().all(|times| times.load(Ordering::Relaxed) == 1), "{count} pieces");
    }
}

#[test]
fn more_callers_than_places_and_threads_all_finish() {
    let pool = Pool::new(3);
    let done = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 * PLACES {
            let (pool, done) = (&pool, &done);
            scope.spawn(move || {
                for _ in 0..50 {
                    pool.run(7, |_| {
                        done.fetch_add(1, Ordering::Relaxed);
                    });
                }
            });
        }
    });
    assert_eq!(done.into_inner(), 2 * PLACES * 50 * 7);
}

#[test]
fn a_job_may_use_the_pool_it_runs_on() {
    let pool = Pool::new(2);
    let count = AtomicUsize::new(0);
    pool.for_each((0..4).collect::<Vec<_>>(), |_| {
        pool.for_each((0..4).collect::<Vec<_>>(), |_| {
            count.fetch_add(1, Ordering::Relaxed);
        });
    });
    assert_eq!(count.into_inner(), 16);
}

#[test]
fn the_jobs_of_a_session_follow_one_another() {
    for threads in [2, 3, 5] {
        let pool = Pool::new(threads);
        let mut numbers = vec![0_usize; 40];
        for session in 0..200 {
            pool.session(|| {
                for job in 0..20 {
                    // Each job reads what the job before has written, on whichever thread.
                    let before = numbers.clone();
                    pool.for_each(numbers.iter_mut().enumerate().collect(), |(index, number)| {
                        *number = before[(index + 1) % before.len()] + 1;
                    });
                    let want = session * 20 + job + 1;
                    assert!(numbers.iter().all(|number| *number == want), "{threads} threads, job {job}");
                }
            });
        }
    }
}

#[test]
fn sessions_of_several_callers_and_pools_do_not_mix() {
    let pools = [Pool::new(3), Pool::new(2)];
    std::thread::scope(|scope| {
        for caller in 0..6 {
            let pools = &pools;
            scope.spawn(move || {
                for round in 0..100 {
                    let sum = AtomicUsize::new(0);
                    let add = |piece: usize| {
                        sum.fetch_add(piece + caller + round, Ordering::Relaxed);
                    };
                    let (first, second) = (&pools[caller % 2], &pools[(caller + 1) % 2]);
                    first.session(|| {
                        first.run(9, add);
                        // A session within one of the same pool is part of it; that of another pool is its own.
                        first.session(|| first.run(9, add));
                        second.session(|| second.run(9, add));
                        second.run(9, add);
                        first.run(9, add);
                    });
                    assert_eq!(sum.into_inner(), 5 * (36 + 9 * (caller + round)));
                }
            });
        }
    });
}

#[test]
fn a_session_outlives_a_panic_in_one_of_its_jobs() {
    let pool = Pool::new(3);
    pool.session(|| {
        for bad in 0..50 {
            let attempt = || pool.run(50, |piece| assert_ne!(piece, bad, "piece {bad}"));
            assert!(catch_unwind(AssertUnwindSafe(attempt)).is_err());
            let done = AtomicUsize::new(0);
            pool.run(50, |_| _ = done.fetch_add(1, Ordering::Relaxed));
            assert_eq!(done.into_inner(), 50);
        }
    });
    assert!(catch_unwind(AssertUnwindSafe(|| pool.session(|| pool.run(2, |_| panic!("both"))))).is_err());
    pool.run(5, |_| ());
}

#[test]
fn a_piece_that_takes_long_is_waited_for() {
    let pool = Pool::new(2);
    let done = AtomicUsize::new(0);
    pool.session(|| {
        for _ in 0..5 {
            pool.run(2, |_| {
                // Longer than a caller looks out before it sleeps.
                std::thread::sleep(std::time::Duration::from_millis(2));
                done.fetch_add(1, Ordering::Relaxed);
            });
        }
    });
    assert_eq!(done.into_inner(), 10);
}

#[test]
fn a_pool_ends_at_any_moment() {
    for round in 0..100 {
        let pool = Pool::new(4);
        for _ in 0..round % 5 {
            pool.run(8, |_| ());
        }
        std::thread::sleep(std::time::Duration::from_micros(round * 13 % 1500));
    }
}
