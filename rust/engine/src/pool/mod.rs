//! The threads: started when first needed, asleep when idle, and sound in a forked child.
//!
//! A job is a number of pieces. Its caller works on them, and the pool's own threads help. A [`Pool::session`] is a
//! sequence of jobs of one caller: helpers that attend it look out for the next job instead of sleeping in between, so
//! that a job of 5 us is worth sharing. Any number of callers may have sessions at once, and while callers and helpers
//! together would be more than the pool's threads, the helpers stand back, so that every caller has a thread to itself
//! and none has more. The caller of a job returns when every piece is done.
//!
//! A helper never competes with a caller for a CPU. Linux likes to wake a thread on the CPU of the one that wakes it,
//! always so where each CPU has caches of its own or is halted: 300 times in 300 on two CPUs of an AMD EPYC under
//! Firecracker. There the two would share one CPU until the scheduler's balancing parts them, which takes milliseconds:
//! a text of 10 tokens after a pause of 20 ms took 3.7 ms on two threads and 2.6 ms on one. So callers tell where they
//! are, and a helper that finds itself there moves, or sleeps on.

mod cpus;
mod job;
mod loan;
mod workers;

use std::cell::RefCell;
use std::ops::Deref;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use job::Job;
use workers::Workers;

/// A number of threads, the caller's among them.
#[derive(Debug)]
pub struct Pool {
    threads: usize,
    /// The process that started `workers`; 0 before that. A fork leaves the child this number and no threads.
    owner: AtomicU32,
    workers: Mutex<Option<Arc<Workers>>>,
}

/// A session without large jobs that has lasted this long is worth waking helpers for: 15 us for the caller, and the
/// helpers come after 30 us, or after 4 ms to a CPU that has been idle for long.
const LONG: Duration = Duration::from_micros(100);

/// The session of a thread.
struct Current {
    /// The pool it is of, which cannot move or end before the session.
    pool: *const Pool,
    since: Instant,
    /// The workers and their place for it; `None` within where there are none. From the first job on.
    open: Option<Option<(Arc<Workers>, Option<usize>)>>,
}

thread_local! {
    /// The session that this thread's next job belongs to; none inside a job, whose pieces are callers of their own.
    static CURRENT: RefCell<Option<Current>> = const { RefCell::new(None) };
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

    /// Calls `work`, whose jobs on this pool, from this thread, are a session: helpers stay awake from the first to the
    /// last. Without jobs it costs nothing.
    pub fn session<R>(&self, work: impl FnOnce() -> R) -> R {
        if self.threads == 1 {
            return work();
        }
        let own = Current { pool: self, since: Instant::now(), open: None };
        // A session in a session of this pool is part of it; one of another pool is put aside.
        let before = CURRENT.with_borrow_mut(|current| match current {
            Some(current) if current.pool == own.pool => None,
            current => Some(current.replace(own)),
        });
        let _end = before.map(End);
        work()
    }

    /// Whether helpers are there for the next job of this thread's session, so that a small one is worth sharing.
    ///
    /// Helpers that are awake come at once; those that sleep are called when the session has shown that it is long.
    pub fn is_attended(&self) -> bool {
        CURRENT.with_borrow_mut(|current| {
            let Some(current) = current.as_mut().filter(|current| std::ptr::eq(current.pool, self)) else {
                return false;
            };
            let is_long = || current.since.elapsed() >= LONG;
            if current.open.is_none() && (self.is_awake() || is_long()) {
                current.open = Some(self.enter());
            }
            let Some(Some((workers, Some(place)))) = &current.open else { return false };
            let shared = &workers.shared;
            shared.is_attended(*place) || {
                if shared.are_some_asleep() && is_long() {
                    shared.call_some();
                }
                false
            }
        })
    }

    /// Whether there are helpers that do not sleep.
    fn is_awake(&self) -> bool {
        self.owner.load(Ordering::Relaxed) == std::process::id()
            && lock(&self.workers).as_ref().is_some_and(|workers| workers.shared.are_some_awake())
    }

    /// The workers and a place for a session, started if need be.
    fn enter(&self) -> Option<(Arc<Workers>, Option<usize>)> {
        let workers = self.workers()?;
        let place = workers.shared.open();
        Some((workers, place))
    }

    /// Calls `work` once for each piece, on any thread and in any order, and returns when all are done.
    ///
    /// A panic in a piece is carried to the caller, once every thread has stopped working on the job.
    pub fn for_each<T: Send>(&self, pieces: Vec<T>, work: impl Fn(T) + Sync) {
        if self.threads == 1 || pieces.len() < 2 {
            pieces.into_iter().for_each(work);
            return;
        }
        let count = pieces.len();
        let pieces = Mutex::new(pieces.into_iter());
        self.run(count, |_| {
            let piece = lock(&pieces).next();
            work(piece.expect("as many as are taken"));
        });
    }

    /// Calls `work` once with each number below `count`, on any thread and in any order, and returns when all are done.
    ///
    /// A panic in a piece is carried to the caller, once every thread has stopped working on the job.
    pub fn run(&self, count: usize, work: impl Fn(usize) + Sync) {
        if self.threads == 1 || count < 2 {
            return (0..count).for_each(work);
        }
        self.session(|| {
            let mut own = Inside(CURRENT.take());
            let current = own.0.as_mut().expect("the session that was opened just now");
            let open = current.open.get_or_insert_with(|| self.enter());
            let job = Job::new(count, &work);
            match open {
                Some((workers, Some(place))) => workers.shared.run(*place, &job),
                _ => _ = job.work(|| false),
            }
            drop(own);
            if let Some(panic) = job.panic() {
                resume_unwind(panic);
            }
        });
    }

    /// The workers, started if need be; those that a fork has left behind are dropped.
    fn workers(&self) -> Option<Arc<Workers>> {
        let process = std::process::id();
        let mut workers = if self.owner.load(Ordering::Relaxed) == process {
            lock(&self.workers)
        } else {
            match self.workers.try_lock() {
                Ok(workers) => workers,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                // Being started by another caller; or so at the moment of the fork, then for good.
                Err(TryLockError::WouldBlock) => return None,
            }
        };
        if self.owner.swap(process, Ordering::Relaxed) != process {
            // The threads are the parent's. Joining them would wait for ever, so they are forgotten.
            std::mem::forget(workers.take());
        }
        Some(Arc::clone(workers.get_or_insert_with(|| Arc::new(Workers::start(self.threads)))))
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if self.owner.load(Ordering::Relaxed) != std::process::id() {
            // In a forked child: as in `workers`.
            std::mem::forget(lock_if_free(&self.workers).and_then(|mut workers| workers.take()));
        }
    }
}

/// Puts the session back that a job was taken out of.
struct Inside(Option<Current>);

impl Drop for Inside {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

/// Ends a session, and puts that of another pool back.
struct End(Option<Current>);

impl Drop for End {
    fn drop(&mut self) {
        if let Some(Current { open: Some(Some((workers, place))), .. }) = CURRENT.replace(self.0.take()) {
            workers.shared.close(place);
        }
    }
}

/// What a new thread calls to leave the CPU of the thread that has called this; see above for who else would part them.
pub(crate) fn part_from() -> impl FnOnce() + Send {
    let caller = cpus::here();
    move || {
        if cpus::here() == caller {
            cpus::move_away([caller].into_iter());
        }
    }
}

/// A value with its own cache lines: two of 64 bytes, because some CPUs fetch them in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Padded<T>(T);

impl<T> Deref for Padded<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// A look out shorter than this keeps its CPU; a longer one offers it to other threads that are ready, from then on.
const KEEPING: Duration = Duration::from_micros(50);

/// Looks until `done` says so or the patience is over; what it said last.
fn watch(patience: Duration, done: impl Fn() -> bool) -> bool {
    let start = Instant::now();
    loop {
        // A clock is read in 20 ns or so: not at every look.
        for _ in 0..32 {
            if done() {
                return true;
            }
            std::hint::spin_loop();
        }
        let time = start.elapsed();
        if time > patience {
            return done();
        }
        if time > KEEPING {
            std::thread::yield_now();
        }
    }
}

/// Locks; a panic elsewhere leaves nothing half-done behind these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Looks at a lock that others have for less than a microsecond, before doing without it.
const LOOKS: usize = 100;

/// Locks what others have for a moment only, or `None`: what a thread has locked when another one forks the process stays
/// locked in the child for good.
pub(crate) fn lock_soon<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    let look = |_| {
        let found = lock_if_free(mutex);
        if found.is_none() {
            std::hint::spin_loop();
        }
        found
    };
    (0..LOOKS).find_map(look)
}

/// Locks what nobody else has locked.
fn lock_if_free<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

#[cfg(test)]
mod tests;
