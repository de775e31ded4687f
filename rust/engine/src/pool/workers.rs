//! The threads of a pool: which session each attends, and when it sleeps.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, Instant};

use super::job::Job;
use super::loan::Loan;
use super::{Padded, cpus, lock, watch};

/// Sessions that can be open at once; a caller that finds no room does its jobs alone.
pub(super) const PLACES: usize = 16;

/// A helper that is in no session waits for the next one as long as the last one took, within these bounds.
const PATIENCE: [Duration; 2] = [Duration::from_micros(50), Duration::from_millis(1)];

/// A helper leaves a session that has no job for so long, and sleeps until it is called to the next one.
const SERIAL: Duration = Duration::from_millis(1);

/// A helper that has found no CPU for itself is not called for that long.
const REST: Duration = Duration::from_millis(10);

/// Helpers that one thread wakes for a job, at 15 us each; those wake the next.
const CALLS: usize = 2;

/// Moves of a helper in one session, before it leaves the CPUs to others.
const MOVES: usize = 4;

/// Started threads, and what they wait for.
#[derive(Debug)]
pub(super) struct Workers {
    pub(super) shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
pub(super) struct Shared {
    /// Threads of the pool, callers among them.
    threads: usize,
    /// Sessions opened so far, and closed ones that have left room: what a helper looks at while it has patience.
    posted: Padded<AtomicUsize>,
    /// Callers with an open session.
    callers: AtomicUsize,
    /// Helpers in a session.
    helping: AtomicUsize,
    /// Helpers that sleep: the length of [`State::sleepers`].
    asleep: AtomicUsize,
    /// The CPUs of helpers in a session, by their number.
    cpus: Vec<AtomicUsize>,
    places: [Place; PLACES],
    state: Mutex<State>,
}

/// One session at a time, and its jobs. What changes with each job is apart from what changes with each session.
#[derive(Debug, Default)]
struct Place {
    loan: Loan,
    session: Padded<Session>,
}

#[derive(Debug, Default)]
struct Session {
    /// Odd while it is open; another number for each.
    number: AtomicUsize,
    /// Where its caller was last seen.
    cpu: AtomicUsize,
    /// Helpers in it.
    attending: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    /// Places that have a session.
    open: [bool; PLACES],
    /// Helpers started.
    started: usize,
    sleepers: Vec<Sleeper>,
    /// When the last session ended, and whether the one after it followed within the longest [`PATIENCE`].
    closed: Option<Instant>,
    follows: bool,
    stopping: bool,
}

#[derive(Debug)]
struct Sleeper {
    number: usize,
    thread: Thread,
    /// Not to be called before this.
    rests: Option<Instant>,
}

/// How a helper left a session.
#[derive(Clone, Copy, PartialEq)]
enum Left {
    /// It was over, after this time.
    Over(Duration),
    /// It had nothing to do for long.
    Idle,
    /// There are as many callers and helpers as threads.
    Crowded,
    /// There is no CPU for it.
    NoCpu,
}

impl Workers {
    pub(super) fn start(threads: usize) -> Self {
        let cpus = (0..threads).map(|_| AtomicUsize::new(cpus::UNKNOWN)).collect();
        let shared = Arc::new(Shared { threads, cpus, ..Shared::default() });
        let threads: Vec<_> = (1..threads)
            .map_while(|number| {
                let thread = std::thread::Builder::new().name(format!("webnn-kernels-{number}"));
                // Counted first: one that sleeps already must not be more than are started.
                lock(&shared.state).started += 1;
                let spawned = thread.spawn({
                    let shared = Arc::clone(&shared);
                    move || shared.help(number)
                });
                // A system that gives no more threads leaves the job to fewer; the caller can always do all of it.
                if spawned.is_err() {
                    lock(&shared.state).started -= 1;
                }
                spawned.ok()
            })
            .collect();
        Self { shared, threads }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        let mut state = lock(&self.shared.state);
        state.stopping = true;
        state.sleepers.drain(..).for_each(|sleeper| sleeper.thread.unpark());
        drop(state);
        self.shared.posted.fetch_add(1, Ordering::Release);
        for thread in self.threads.drain(..) {
            // Helpers catch the panics of jobs, so there is none to carry on.
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// Begins a session, if there is a place for it.
    pub(super) fn open(&self) -> Option<usize> {
        let mut state = lock(&self.state);
        self.callers.fetch_add(1, Ordering::Relaxed);
        state.follows = state.closed.is_some_and(|closed| closed.elapsed() <= PATIENCE[1]);
        let place = state.open.iter().position(|open| !open)?;
        state.open[place] = true;
        self.places[place].session.cpu.store(cpus::here(), Ordering::Relaxed);
        self.places[place].session.number.fetch_add(1, Ordering::Release);
        self.posted.fetch_add(1, Ordering::Release);
        Some(place)
    }

    /// Ends a session. Helpers see it, and nobody waits for them: none is in a job.
    pub(super) fn close(&self, place: Option<usize>) {
        let mut state = lock(&self.state);
        self.callers.fetch_sub(1, Ordering::Relaxed);
        state.closed = Some(Instant::now());
        let Some(place) = place else { return };
        state.open[place] = false;
        self.places[place].session.number.fetch_add(1, Ordering::Release);
        // With one caller less there may be room for a helper that stood back.
        if state.open.contains(&true) {
            self.posted.fetch_add(1, Ordering::Release);
            self.call(state, 1);
        }
    }

    /// Whether helpers are in a session.
    pub(super) fn is_attended(&self, place: usize) -> bool {
        self.places[place].session.attending.load(Ordering::Relaxed) > 0
    }

    pub(super) fn are_some_asleep(&self) -> bool {
        self.asleep.load(Ordering::Relaxed) > 0
    }

    pub(super) fn are_some_awake(&self) -> bool {
        self.asleep.load(Ordering::Relaxed) + 1 < self.threads
    }

    /// Wakes some helpers.
    pub(super) fn call_some(&self) {
        self.call(lock(&self.state), CALLS);
    }

    /// Wakes some helpers if a job has more pieces than there are threads in its session.
    fn call_to(&self, job: &Job<'_>, session: &Session) {
        let awake = session.attending.load(Ordering::Relaxed) + 1;
        if self.are_some_asleep() && job.rest() > awake {
            self.call(lock(&self.state), CALLS.min(job.rest() - awake));
        }
    }

    /// Does all of `job`, on the calling thread and on the helpers that are there or come in time.
    pub(super) fn run(&self, place: usize, job: &Job<'_>) {
        let Place { loan, session } = &self.places[place];
        let cpu = cpus::here();
        if session.cpu.load(Ordering::Relaxed) != cpu {
            session.cpu.store(cpu, Ordering::Relaxed);
        }
        self.call_to(job, session);
        // Two callers never have one place, so that the loan is free.
        let is_lent = loan.lend(job, || {
            job.work(|| false);
        });
        if !is_lent {
            job.work(|| false);
        }
    }

    /// Wakes up to `wanted` sleeping helpers, if there is room for them beside those who are awake.
    fn call(&self, mut state: MutexGuard<'_, State>, wanted: usize) {
        let busy = self.callers.load(Ordering::Relaxed) + state.started - state.sleepers.len();
        let calls = wanted.min(self.threads.saturating_sub(busy));
        let mut called = Vec::new();
        while called.len() < calls {
            let rested = |sleeper: &Sleeper| sleeper.rests.is_none_or(|until| until <= Instant::now());
            let Some(found) = state.sleepers.iter().rposition(rested) else { break };
            called.push(state.sleepers.swap_remove(found).thread);
        }
        self.asleep.store(state.sleepers.len(), Ordering::Relaxed);
        // A helper that wakes on this CPU would only wait for the lock.
        drop(state);
        called.iter().for_each(Thread::unpark);
    }

    /// The life of a helper.
    fn help(&self, number: usize) {
        let mut patience = Duration::ZERO;
        let mut rests = None;
        loop {
            // Before the search: what is posted after it is news.
            let seen = self.posted.load(Ordering::Acquire);
            let state = lock(&self.state);
            if state.stopping {
                return;
            }
            if rests.is_none()
                && let Some(place) = self.choose(&state)
            {
                // Under the lock, so that the session is open and this its number.
                let session = self.places[place].session.number.load(Ordering::Relaxed);
                drop(state);
                match self.attend(number, &self.places[place], session) {
                    Left::Over(time) => patience = time.clamp(PATIENCE[0], PATIENCE[1]),
                    Left::Crowded => patience = Duration::ZERO,
                    Left::Idle => rests = Some(Instant::now()),
                    Left::NoCpu => rests = Some(Instant::now() + REST),
                }
                self.cpus[number].store(cpus::UNKNOWN, Ordering::Relaxed);
                continue;
            }
            drop(state);
            patience = self.wait(number, seen, patience, rests.take());
        }
    }

    /// The place of a session that a helper may attend, who is counted in: one with the fewest helpers.
    fn choose(&self, state: &State) -> Option<usize> {
        if self.callers.load(Ordering::Relaxed) + self.helping.load(Ordering::Relaxed) >= self.threads {
            return None;
        }
        let attending = |place: &usize| self.places[*place].session.attending.load(Ordering::Relaxed);
        let place = (0..PLACES).filter(|place| state.open[*place]).min_by_key(attending)?;
        self.helping.fetch_add(1, Ordering::Relaxed);
        self.places[place].session.attending.fetch_add(1, Ordering::Relaxed);
        Some(place)
    }

    /// Works on the jobs of a session until it is over.
    fn attend(&self, number: usize, place: &Place, session: usize) -> Left {
        let (start, mut moves, mut loan) = (Instant::now(), 0, 0);
        let (mut idle_since, mut looks) = (start, 0_u32);
        let left = loop {
            // Clock and CPU are read in 20 ns each: not at every look.
            if looks.is_multiple_of(32) {
                if !self.has_cpu(number, place, &mut moves) {
                    break Left::NoCpu;
                }
                if idle_since.elapsed() > SERIAL {
                    break Left::Idle;
                }
            }
            looks = looks.wrapping_add(1);
            let help = |job: &Job<'_>| {
                self.call_to(job, &place.session);
                job.help(|| self.is_crowded(place))
            };
            match place.loan.borrow(&mut loan, help) {
                Some(true) => break Left::Crowded,
                Some(false) => (idle_since, looks) = (Instant::now(), 0),
                None if place.session.number.load(Ordering::Acquire) != session => break Left::Over(start.elapsed()),
                None if self.is_crowded(place) => break Left::Crowded,
                None => std::hint::spin_loop(),
            }
        };
        place.session.attending.fetch_sub(1, Ordering::Relaxed);
        self.helping.fetch_sub(1, Ordering::Relaxed);
        left
    }

    /// Whether a helper in this session should leave it: for a caller without a thread, or without as many helpers.
    fn is_crowded(&self, place: &Place) -> bool {
        let callers = self.callers.load(Ordering::Relaxed);
        if callers < 2 {
            return false;
        }
        // Helpers who find this at once all leave; those for whom there is room come back.
        if callers + self.helping.load(Ordering::Relaxed) > self.threads {
            return true;
        }
        let fair = self.threads.saturating_sub(callers).div_ceil(callers.min(PLACES));
        place.session.attending.load(Ordering::Relaxed) > fair
    }

    /// Whether a helper is on a CPU that no caller and no other helper is on; it moves to one if need be.
    fn has_cpu(&self, number: usize, place: &Place, moves: &mut usize) -> bool {
        loop {
            let (here, own) = (cpus::here(), &self.cpus[number]);
            let is_free = here != place.session.cpu.load(Ordering::Relaxed);
            if here == cpus::UNKNOWN || is_free && here == own.load(Ordering::Relaxed) {
                return true;
            }
            own.store(here, Ordering::Relaxed);
            if is_free && !self.busy(number).any(|cpu| cpu == here) {
                return true;
            }
            *moves += 1;
            if *moves > MOVES || !cpus::move_away(self.busy(number)) {
                return false;
            }
        }
    }

    /// The CPUs of callers and of other helpers.
    fn busy(&self, number: usize) -> impl Iterator<Item = usize> {
        let open = self.places.iter().filter(|place| !place.session.number.load(Ordering::Relaxed).is_multiple_of(2));
        let callers = open.map(|place| place.session.cpu.load(Ordering::Relaxed));
        let others = self.cpus.iter().enumerate().filter(move |(other, _)| *other != number);
        callers.chain(others.map(|(_, cpu)| cpu.load(Ordering::Relaxed)))
    }

    /// Waits until something is posted, and asleep after a while until it is called. How long to wait after that.
    ///
    /// Who is called to a session that is over when it comes expects the next one only where one has just followed
    /// another: sessions of 0.7 ms one after the other, shorter than a helper sometimes takes to wake, would never have one
    /// otherwise, and took 1.2 ms with all the waking; sessions far apart are not worth a wait.
    fn wait(&self, number: usize, seen: usize, patience: Duration, rests: Option<Instant>) -> Duration {
        let news = || self.posted.load(Ordering::Acquire) != seen;
        if !patience.is_zero() && watch(patience, news) {
            return Duration::ZERO;
        }
        let mut state = lock(&self.state);
        if state.stopping || rests.is_none() && news() {
            return Duration::ZERO;
        }
        state.sleepers.push(Sleeper { number, thread: std::thread::current(), rests });
        self.asleep.store(state.sleepers.len(), Ordering::Relaxed);
        while state.sleepers.iter().any(|sleeper| sleeper.number == number) {
            drop(state);
            std::thread::park();
            state = lock(&self.state);
        }
        if state.follows { PATIENCE[1] } else { Duration::ZERO }
    }
}
