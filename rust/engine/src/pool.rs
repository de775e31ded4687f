//! The threads: started when first needed, asleep when idle, and sound in a forked child.
//!
//! One job runs at a time: a list of pieces that the threads take from a shared counter. The caller works too, and
//! returns when every piece is done. A second caller, from another thread, finds the pool taken and does its own job
//! alone, which is as much work and no waiting.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::JoinHandle;

/// A number of threads, the caller's among them.
#[derive(Debug)]
pub struct Pool {
    threads: usize,
    /// The process that started `workers`; 0 before that. A fork leaves the child this number and no threads.
    owner: AtomicU32,
    workers: Mutex<Option<Workers>>,
}

impl Pool {
    /// A pool that will start `threads - 1` threads of its own at its first job.
    pub fn new(threads: usize) -> Self {
        Self { threads: threads.max(1), owner: AtomicU32::new(0), workers: Mutex::new(None) }
    }

    /// Threads that share a job, the caller's among them.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Calls `work` once for each piece, on any thread and in any order, and returns when all are done.
    ///
    /// A panic in a piece is carried to the caller, once every thread has stopped working on the job.
    pub fn for_each<T: Send>(&self, pieces: Vec<T>, work: impl Fn(T) + Sync) {
        if self.threads == 1 || pieces.len() < 2 {
            pieces.into_iter().for_each(work);
            return;
        }
        let Some(mut workers) = self.workers() else {
            pieces.into_iter().for_each(work);
            return;
        };
        let pieces: Vec<Mutex<Option<T>>> = pieces.into_iter().map(|piece| Mutex::new(Some(piece))).collect();
        let next = AtomicUsize::new(0);
        let job = || {
            while let Some(piece) = pieces.get(next.fetch_add(1, Ordering::Relaxed)) {
                let piece = lock(piece).take().expect("each index is taken once");
                work(piece);
            }
        };
        let started = workers.get_or_insert_with(|| Workers::start(self.threads - 1));
        // The caller works too, and no more helpers are called than there are pieces for.
        if let Err(panic) = started.run(&job, pieces.len() - 1) {
            drop(workers);
            resume_unwind(panic);
        }
    }

    /// The workers if they are free, after dropping those that a fork has left behind.
    fn workers(&self) -> Option<MutexGuard<'_, Option<Workers>>> {
        let mut workers = match self.workers.try_lock() {
            Ok(workers) => workers,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // In use by another caller, or was so when this process was forked: then for good.
            Err(TryLockError::WouldBlock) => return None,
        };
        let process = std::process::id();
        if self.owner.swap(process, Ordering::Relaxed) != process {
            // The threads are the parent's. Joining them would wait for ever, so they are forgotten.
            std::mem::forget(workers.take());
        }
        Some(workers)
    }
}

/// Started threads, and what they wait for.
#[derive(Debug)]
struct Workers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    posted: Condvar,
    finished: Condvar,
}

#[derive(Default)]
struct State {
    /// The current job, and how many more workers may take it up.
    job: Option<(Job, usize)>,
    /// Workers inside the job.
    working: usize,
    /// The first panic of a worker inside the job.
    panic: Option<Box<dyn Any + Send>>,
    stopping: bool,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("working", &self.working)
            .field("stopping", &self.stopping)
            .finish_non_exhaustive()
    }
}

type Job = &'static (dyn Fn() + Sync);

/// Pretends that a job lives for ever, so that threads which outlive it can be handed a reference.
#[allow(unsafe_code)]
fn outlive<'a>(job: &'a (dyn Fn() + Sync + 'a)) -> Job {
    // SAFETY: only the lifetime changes. `Workers::run`, the one caller, takes the job back out of the shared state
    // and waits until no worker is inside it before it returns or unwinds, so nobody uses the reference after 'a.
    unsafe { std::mem::transmute::<&'a (dyn Fn() + Sync + 'a), Job>(job) }
}

impl Workers {
    fn start(count: usize) -> Self {
        let shared = Arc::new(Shared::default());
        let threads = (0..count)
            .map_while(|number| {
                let shared = Arc::clone(&shared);
                let thread = std::thread::Builder::new().name(format!("webnn-kernels-{}", number + 1));
                // A system that gives no more threads leaves the job to fewer; the caller can always do all of it.
                thread.spawn(move || shared.work()).ok()
            })
            .collect();
        Self { shared, threads }
    }

    /// Runs `job` on the calling thread and on the workers that come in time, `helpers` of them at most.
    fn run(&self, job: &(dyn Fn() + Sync), helpers: usize) -> Result<(), Box<dyn Any + Send>> {
        let helpers = helpers.min(self.threads.len());
        lock(&self.shared.state).job = (helpers > 0).then(|| (outlive(job), helpers));
        for _ in 0..helpers {
            self.shared.posted.notify_one();
        }
        let own = catch_unwind(AssertUnwindSafe(job));
        let mut state = lock(&self.shared.state);
        state.job = None;
        while state.working > 0 {
            state = self.shared.finished.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        match state.panic.take() {
            Some(panic) => Err(panic),
            None => own,
        }
    }
}

impl Shared {
    /// The life of a worker.
    fn work(&self) {
        let mut state = lock(&self.state);
        while !state.stopping {
            let Some((job, places)) = state.job else {
                state = self.posted.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            state.job = (places > 1).then_some((job, places - 1));
            state.working += 1;
            drop(state);
            let result = catch_unwind(AssertUnwindSafe(job));
            state = lock(&self.state);
            state.working -= 1;
            if let Err(panic) = result {
                state.panic.get_or_insert(panic);
            }
            if state.working == 0 {
                self.finished.notify_all();
            }
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        lock(&self.shared.state).stopping = true;
        self.shared.posted.notify_all();
        for thread in self.threads.drain(..) {
            // Workers catch the panics of jobs, so there is none to carry on.
            let _ = thread.join();
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // In a forked child the threads are the parent's, and `workers` forgets them.
        drop(self.workers());
    }
}

/// Locks; a panic elsewhere leaves nothing half-done behind these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::Pool;

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
}
