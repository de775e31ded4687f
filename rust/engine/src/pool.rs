//! The threads: started when first needed, asleep when idle, and sound in a forked child.
//!
//! A job is a number of pieces. Its caller works on them, and the pool's own threads help: any number of callers may
//! have jobs at once, and while callers and helpers together would be more than the pool's threads, the helpers stand
//! back, so that every caller has a thread to itself and none has more. The caller returns when every piece is done.
//!
//! A helper that runs out of work waits a moment for more before it sleeps: the pieces of a short text take 20 us, and
//! waking a thread takes about as long.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How the pieces of a job are handed out. Which thread does a piece never changes what it computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// In order, each to whoever is free: for pieces of different sizes, the largest first.
    Dynamic,
    /// A thread begins with its own share, the same pieces at every call with as many, which it may still have in its
    /// cache; then it helps the others with theirs.
    Static,
}

/// A number of threads, the caller's among them.
#[derive(Debug)]
pub struct Pool {
    threads: usize,
    /// The process that started `workers`; 0 before that. A fork leaves the child this number and no threads.
    owner: AtomicU32,
    workers: Mutex<Option<Arc<Workers>>>,
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
        let pieces: Vec<Mutex<Option<T>>> = pieces.into_iter().map(|piece| Mutex::new(Some(piece))).collect();
        self.run(pieces.len(), Split::Dynamic, |index| {
            work(lock(&pieces[index]).take().expect("each index is taken once"));
        });
    }

    /// Calls `work` once with each number below `count`, on any thread and in any order, and returns when all are done.
    ///
    /// A panic in a piece is carried to the caller, once every thread has stopped working on the job.
    pub fn run(&self, count: usize, split: Split, work: impl Fn(usize) + Sync) {
        let workers = if self.threads == 1 || count < 2 { None } else { self.workers() };
        match workers {
            None => (0..count).for_each(work),
            Some(workers) => {
                if let Err(panic) = workers.run(&Job::new(count, split, self.threads, &work)) {
                    resume_unwind(panic);
                }
            }
        }
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

/// Pieces, who takes which, and what is done with them.
struct Job<'a> {
    count: usize,
    /// For each share the next piece in it, relative to its start; one share for all if the split is dynamic.
    shares: Vec<AtomicUsize>,
    work: &'a (dyn Fn(usize) + Sync),
}

impl<'a> Job<'a> {
    fn new(count: usize, split: Split, threads: usize, work: &'a (dyn Fn(usize) + Sync)) -> Self {
        let shares = if split == Split::Static { threads } else { 1 };
        Self { count, shares: (0..shares).map(|_| AtomicUsize::new(0)).collect(), work }
    }

    /// A piece that nobody has had, for the thread of this number; `None` when there are no more.
    fn take(&self, thread: usize) -> Option<usize> {
        let shares = self.shares.len();
        (0..shares).map(|distance| (thread + distance) % shares).find_map(|share| {
            let (start, end) = (self.count * share / shares, self.count * (share + 1) / shares);
            // Not only an addition: the counter must not run away from a job that is asked for pieces for long.
            let next = &self.shares[share];
            let free = start + next.load(Ordering::Relaxed) < end;
            let taken = if free { start + next.fetch_add(1, Ordering::Relaxed) } else { end };
            (taken < end).then_some(taken)
        })
    }

    /// Works on pieces until there are none left (`false`), or until `leave` says so (`true`).
    fn work(&self, thread: usize, leave: impl Fn() -> bool) -> bool {
        while let Some(piece) = self.take(thread) {
            (self.work)(piece);
            if leave() {
                return true;
            }
        }
        false
    }
}

/// Pretends that a job lives for ever, so that threads which outlive it can be handed a reference.
#[allow(unsafe_code)]
fn outlive<'a>(job: &'a Job<'a>) -> &'static Job<'static> {
    // SAFETY: only lifetimes change. `Workers::run`, the one caller, takes the job back out of the shared state and
    // waits until no worker is inside it before it returns or unwinds, so nobody uses the reference after 'a.
    unsafe { std::mem::transmute::<&'a Job<'a>, &'static Job<'static>>(job) }
}

/// Jobs that can be open at once; a caller that finds no room does its job alone.
const PLACES: usize = 16;

/// How long a helper without work looks out for more before it sleeps, and a caller for its last helpers.
///
/// Two pieces of 10 us, 20 us after the job before, on two cores of an AMD EPYC (25/17) that others were busy on, medians
/// of 2,000 (`examples/hand_over.rs`): 25 us without patience, 35 us with 10 us of it, because the caller pays 5 to 15 us
/// for the waking; 20.3 us with 50 us, 23 us with 200 us. One thread alone takes 20.0 us. At quiet moments (fifth
/// percentile) 50 us of patience give 10.4 us: sharing costs 0.4 us.
const PATIENCE: Duration = Duration::from_micros(50);

/// Started threads, and what they wait for.
#[derive(Debug)]
struct Workers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Threads of the pool, callers among them.
    threads: usize,
    /// Jobs posted so far: what a helper looks at while it has patience.
    posted: AtomicU32,
    /// Callers with an open job.
    callers: AtomicUsize,
    /// Helpers inside a job.
    helping: AtomicUsize,
    places: [Place; PLACES],
    state: Mutex<State>,
    wake: Condvar,
    finished: Condvar,
}

/// Who is inside the job that has this place. Outlives the job: the last helper to leave still looks at it.
#[derive(Debug, Default)]
struct Place {
    helpers: AtomicUsize,
    caller_sleeps: AtomicBool,
    /// The first panic of a helper.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

#[derive(Default)]
struct State {
    /// The open jobs, by place.
    jobs: [Option<&'static Job<'static>>; PLACES],
    /// Places of jobs that are open or about to be left by their helpers.
    taken: [bool; PLACES],
    /// Where the search for a job begins: each one gets a helper before one gets two.
    turn: usize,
    sleepers: usize,
    stopping: bool,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("taken", &self.taken).field("sleepers", &self.sleepers).finish_non_exhaustive()
    }
}

impl Workers {
    fn start(threads: usize) -> Self {
        let shared = Arc::new(Shared { threads, ..Shared::default() });
        let threads = (1..threads)
            .map_while(|number| {
                let shared = Arc::clone(&shared);
                let thread = std::thread::Builder::new().name(format!("webnn-kernels-{number}"));
                // A system that gives no more threads leaves the job to fewer; the caller can always do all of it.
                thread.spawn(move || shared.help(number)).ok()
            })
            .collect();
        Self { shared, threads }
    }

    /// Does all of `job` on the calling thread and on the helpers that come in time.
    fn run(&self, job: &Job<'_>) -> Result<(), Box<dyn Any + Send>> {
        let shared = &*self.shared;
        shared.callers.fetch_add(1, Ordering::Relaxed);
        let place = shared.open(job);
        let own = catch_unwind(AssertUnwindSafe(|| job.work(0, || false)));
        if let Some(place) = place {
            shared.close(place);
        }
        shared.callers.fetch_sub(1, Ordering::Relaxed);
        match place.and_then(|place| shared.release(place)) {
            Some(panic) => Err(panic),
            None => own.map(drop),
        }
    }
}

impl Shared {
    /// Offers a job to the helpers, if there is a place for it.
    fn open(&self, job: &Job<'_>) -> Option<usize> {
        let mut state = lock(&self.state);
        let place = state.taken.iter().position(|taken| !taken)?;
        state.taken[place] = true;
        state.jobs[place] = Some(outlive(job));
        let room = self.threads.saturating_sub(self.callers.load(Ordering::Relaxed));
        let calls = state.sleepers.min(job.count - 1).min(room);
        self.posted.fetch_add(1, Ordering::Release);
        drop(state);
        for _ in 0..calls {
            self.wake.notify_one();
        }
        Some(place)
    }

    /// Takes a job back, and returns when nobody is inside it any more.
    fn close(&self, place: usize) {
        lock(&self.state).jobs[place] = None;
        let Place { helpers, caller_sleeps, .. } = &self.places[place];
        if watch(|| helpers.load(Ordering::Acquire) == 0) {
            return;
        }
        let mut state = lock(&self.state);
        caller_sleeps.store(true, Ordering::SeqCst);
        while helpers.load(Ordering::SeqCst) > 0 {
            state = self.finished.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        caller_sleeps.store(false, Ordering::SeqCst);
    }

    /// Gives a place back, calls a helper to a job of another caller, and returns what has panicked.
    fn release(&self, place: usize) -> Option<Box<dyn Any + Send>> {
        let panic = lock(&self.places[place].panic).take();
        let mut state = lock(&self.state);
        state.taken[place] = false;
        // With one caller less there may be room for a helper that stood back.
        if state.jobs.iter().any(Option::is_some) {
            self.posted.fetch_add(1, Ordering::Release);
            self.wake.notify_one();
        }
        panic
    }

    /// Counts a helper out if callers and helpers are more than the threads of the pool.
    fn step_back(&self) -> bool {
        let leave = |helping| {
            let crowded = self.callers.load(Ordering::Relaxed) + helping > self.threads;
            crowded.then(|| helping - 1)
        };
        self.helping.fetch_update(Ordering::Relaxed, Ordering::Relaxed, leave).is_ok()
    }

    /// The life of a helper.
    fn help(&self, number: usize) {
        let mut state = lock(&self.state);
        while !state.stopping {
            let Some(place) = self.choose(&mut state) else {
                state = self.wait(state);
                continue;
            };
            let job = state.jobs[place].expect("a chosen place has a job");
            let Place { helpers, caller_sleeps, panic } = &self.places[place];
            // Under the lock, so that the caller cannot have taken the job back.
            helpers.fetch_add(1, Ordering::Relaxed);
            drop(state);
            let result = catch_unwind(AssertUnwindSafe(|| job.work(number, || self.step_back())));
            let stepped_back = match result {
                Ok(stepped_back) => stepped_back,
                Err(reason) => {
                    lock(panic).get_or_insert(reason);
                    false
                }
            };
            state = lock(&self.state);
            if !stepped_back {
                self.helping.fetch_sub(1, Ordering::Relaxed);
                // Nothing left to take, or a piece that failed: no other helper needs to look at this job.
                state.jobs[place] = None;
            }
            if helpers.fetch_sub(1, Ordering::SeqCst) == 1 && caller_sleeps.load(Ordering::SeqCst) {
                self.finished.notify_all();
            }
        }
    }

    /// The place of a job that a helper may work on, who is counted in. Called under the lock that `state` is behind.
    fn choose(&self, state: &mut State) -> Option<usize> {
        if self.callers.load(Ordering::Relaxed) + self.helping.load(Ordering::Relaxed) >= self.threads {
            return None;
        }
        let place = (0..PLACES).map(|step| (state.turn + step) % PLACES).find(|place| state.jobs[*place].is_some())?;
        state.turn = place + 1;
        self.helping.fetch_add(1, Ordering::Relaxed);
        Some(place)
    }

    /// Waits for another job to be posted, or for the end.
    fn wait<'a>(&'a self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let seen = self.posted.load(Ordering::Acquire);
        drop(state);
        let news = || self.posted.load(Ordering::Acquire) != seen;
        if watch(news) {
            return lock(&self.state);
        }
        let mut state = lock(&self.state);
        state.sleepers += 1;
        while !news() && !state.stopping {
            state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.sleepers -= 1;
        state
    }
}

/// Looks until `done` says so or the patience is over; what it said last.
fn watch(done: impl Fn() -> bool) -> bool {
    let start = Instant::now();
    loop {
        // A clock is read in 20 ns or so: not at every look.
        for _ in 0..32 {
            if done() {
                return true;
            }
            std::hint::spin_loop();
        }
        if start.elapsed() > PATIENCE {
            return done();
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        lock(&self.shared.state).stopping = true;
        self.shared.posted.fetch_add(1, Ordering::Release);
        self.shared.wake.notify_all();
        for thread in self.threads.drain(..) {
            // Helpers catch the panics of jobs, so there is none to carry on.
            let _ = thread.join();
        }
    }
}

/// Locks; a panic elsewhere leaves nothing half-done behind these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::{PLACES, Pool, Split};

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
    fn shares_are_done_once_with_any_number_of_pieces() {
        let pool = Pool::new(3);
        for count in 0..20 {
            for split in [Split::Dynamic, Split::Static] {
                let done: Vec<AtomicUsize> = (0..count).map(|_| AtomicUsize::new(0)).collect();
                pool.run(count, split, |piece| {
                    done[piece].fetch_add(1, Ordering::Relaxed);
                });
                assert!(done.iter().all(|times| times.load(Ordering::Relaxed) == 1), "{count} pieces, {split:?}");
            }
        }
    }

    #[test]
    fn more_callers_than_places_and_threads_all_finish() {
        let pool = Pool::new(3);
        let done = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for caller in 0..2 * PLACES {
                let (pool, done) = (&pool, &done);
                scope.spawn(move || {
                    for _ in 0..50 {
                        pool.run(7, if caller % 2 == 0 { Split::Static } else { Split::Dynamic }, |_| {
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
}
