//! Packing of weights while the caller plans on: what a plan is made of lies ready when it runs first, and nobody has waited.
//!
//! all-MiniLM-L6-v2 has 42 MB of weights in layers, which one thread packs in 10 ms; planning what runs them takes as long.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use kernels::{Kernels, PackedMatrix, Piece};

use crate::Engine;
use crate::plan::Owner;
use crate::pool::part_from;

/// Bytes that wait to be packed for each thread that packs them: 10 ms for one.
const BYTES_EACH: usize = 32 << 20;

/// Some columns of a matrix of constants.
#[derive(Clone)]
pub(crate) struct Columns {
    /// Keeps the elements.
    pub(crate) owner: Owner,
    /// How many there are.
    pub(crate) n: usize,
    /// Of rows and of columns, in elements.
    pub(crate) strides: [usize; 2],
}

/// A matrix that is being packed, or is packed already.
pub struct Packing {
    kernels: Kernels,
    shape: [usize; 2],
    matrix: OnceLock<PackedMatrix>,
    /// The memory of it, until somebody packs into it.
    blank: Mutex<Option<PackedMatrix>>,
    /// What it is made of, side by side, for as long as `kept` is there: a forked child reads it without a lock.
    columns: Weak<[Columns]>,
    /// Dropped once it is made.
    kept: Mutex<Option<Arc<[Columns]>>>,
    /// The process whose threads pack it. A child that was forked meanwhile has no such threads, and perhaps a `matrix` that is
    /// being made and locks that are locked, for ever: it makes a matrix of its own.
    process: u32,
    of_child: OnceLock<PackedMatrix>,
}

impl Packing {
    fn new(kernels: Kernels, rows: usize, columns: Arc<[Columns]>) -> Self {
        let shape = [rows, columns.iter().map(|columns| columns.n).sum()];
        Self {
            kernels,
            shape,
            matrix: OnceLock::new(),
            blank: Mutex::new(Some(PackedMatrix::blank(&kernels, shape))),
            columns: Arc::downgrade(&columns),
            kept: Mutex::new(Some(columns)),
            process: process::id(),
            of_child: OnceLock::new(),
        }
    }

    /// One that somebody has packed before.
    fn made(kernels: Kernels, shape: [usize; 2], matrix: PackedMatrix) -> Self {
        Self {
            kernels,
            shape,
            matrix: OnceLock::from(matrix),
            blank: Mutex::default(),
            columns: Weak::<[Columns; 0]>::new(),
            kept: Mutex::default(),
            process: process::id(),
            of_child: OnceLock::new(),
        }
    }

    /// Rows and columns.
    pub(crate) fn shape(&self) -> [usize; 2] {
        self.shape
    }

    /// Whether nobody has to pack it any more.
    pub(crate) fn is_done(&self) -> bool {
        self.matrix.get().or(self.of_child.get()).is_some()
    }

    /// The matrix; packed now, if no thread has begun with it.
    pub fn matrix(&self) -> &PackedMatrix {
        if let Some(matrix) = self.matrix.get() {
            return matrix;
        }
        if process::id() != self.process {
            return self.of_child.get_or_init(|| self.pack(None));
        }
        let matrix = self.matrix.get_or_init(|| self.pack(lock(&self.blank).take()));
        drop(lock(&self.kept).take());
        matrix
    }

    fn pack(&self, blank: Option<PackedMatrix>) -> PackedMatrix {
        let blank = blank.unwrap_or_else(|| PackedMatrix::blank(&self.kernels, self.shape));
        let columns = self.columns.upgrade().expect("kept until the matrix is made");
        let mut start = 0;
        let pieces: Vec<Piece<'_>> = (columns.iter())
            .map(|Columns { owner, n, strides }| {
                let data = bytemuck::cast_slice((**owner).as_ref());
                let piece = Piece { data, start, n: *n, strides: *strides };
                start += n;
                piece
            })
            .collect();
        blank.filled(&self.kernels, &pieces)
    }
}

/// What waits to be packed, and the threads that do it. These end when nothing is left.
#[derive(Default)]
pub(crate) struct Packers {
    queue: Mutex<Queue>,
    /// What waits in it: whoever runs a plan looks at this first.
    waiting: AtomicUsize,
    /// The process that has used `queue`; 0 before that.
    process: AtomicU32,
    /// Whether a thread could not be started.
    are_refused: AtomicBool,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Arc<Packing>>,
    bytes: usize,
    threads: usize,
}

impl Engine {
    /// Packs a constant right-hand side of `rows` rows for [`Engine::linear`]: beside the caller, where there are threads
    /// for it, and before this returns where there are none. Not at all where the engine's file has it.
    pub(crate) fn pack_later(&self, rows: usize, columns: Vec<Columns>) -> Arc<Packing> {
        let Some(file) = &self.packed_file else { return self.pack_now_or_later(rows, columns) };
        let source = file.source(rows, &columns);
        let found = source.as_ref().and_then(|source| file.matrix(&self.kernels, source));
        let is_from_file = found.is_some();
        let packing = match found {
            Some(matrix) => {
                let n = columns.iter().map(|columns| columns.n).sum();
                Arc::new(Packing::made(self.kernels, [rows, n], matrix))
            }
            None => self.pack_now_or_later(rows, columns),
        };
        file.note(source, &packing, is_from_file);
        packing
    }

    fn pack_now_or_later(&self, rows: usize, columns: Vec<Columns>) -> Arc<Packing> {
        let packing = Arc::new(Packing::new(self.kernels, rows, columns.into()));
        if !self.packers.take(&packing, self.threads() - 1) {
            packing.matrix();
        }
        packing
    }
}

impl Packers {
    /// Puts a matrix behind those that wait, for at most `most` threads; `false` where there are none.
    fn take(self: &Arc<Self>, packing: &Arc<Packing>, most: usize) -> bool {
        // In a forked child the lock may be locked for good, and the threads are the parent's.
        if most == 0 || self.are_refused.load(Ordering::Relaxed) || !self.is_own() {
            return false;
        }
        let mut queue = lock(&self.queue);
        queue.waiting.push_back(Arc::clone(packing));
        self.waiting.fetch_add(1, Ordering::Relaxed);
        queue.bytes += bytes(packing);
        if queue.threads < most.min(queue.bytes.div_ceil(BYTES_EACH)) {
            queue.threads += 1;
            let (packers, caller) = (Arc::clone(self), part_from());
            let thread = std::thread::Builder::new().name("webnn-kernels-pack".into());
            let spawned = thread.spawn(move || {
                caller();
                packers.work();
            });
            if spawned.is_err() {
                // What waits is packed by those who are there, or when it is needed.
                queue.threads -= 1;
                self.are_refused.store(true, Ordering::Relaxed);
            }
        }
        true
    }

    /// Whether it is this process that uses the queue, as the first one that asks does.
    fn is_own(&self) -> bool {
        let own = process::id();
        let user = self.process.compare_exchange(0, own, Ordering::Relaxed, Ordering::Relaxed);
        user.is_ok() || user == Err(own)
    }

    /// Packs what waits, until nothing does.
    fn work(&self) {
        while let Some(packing) = self.next() {
            // Unless its plan is gone already.
            if Arc::strong_count(&packing) > 1 {
                // Where there is no memory for it: whoever needs it tries again, and says so.
                let _ = catch_unwind(AssertUnwindSafe(|| _ = packing.matrix()));
            }
        }
    }

    fn next(&self) -> Option<Arc<Packing>> {
        let mut queue = lock(&self.queue);
        let found = queue.waiting.pop_front();
        match &found {
            Some(packing) => self.count_out(&mut queue, packing),
            None => queue.threads -= 1,
        }
        found
    }

    fn count_out(&self, queue: &mut Queue, packing: &Packing) {
        queue.bytes -= bytes(packing);
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }

    /// Packs what waits as well, from its end: who is about to run a plan would only wait for it. The first text of
    /// all-MiniLM-L6-v2 after a start takes 10 ms so, not 20 (two threads of an Intel Xeon with AMX).
    pub(crate) fn help(&self) {
        while self.waiting.load(Ordering::Relaxed) > 0 && self.is_own() {
            let mut queue = lock(&self.queue);
            let Some(packing) = queue.waiting.pop_back() else { return };
            self.count_out(&mut queue, &packing);
            drop(queue);
            if Arc::strong_count(&packing) > 1 {
                packing.matrix();
            }
        }
    }
}

impl std::fmt::Debug for Packers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Packers").finish_non_exhaustive()
    }
}

fn bytes(packing: &Packing) -> usize {
    packing.shape.iter().product::<usize>() * size_of::<f32>()
}

/// Locks; what is behind these locks is changed in one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Columns, Packing};
    use crate::{Engine, Kernels};

    struct Floats(Vec<f32>);

    impl AsRef<[u8]> for Floats {
        fn as_ref(&self) -> &[u8] {
            bytemuck::cast_slice(&self.0)
        }
    }

    fn columns(k: usize, n: usize, seed: usize) -> Columns {
        let data = (0..k * n).map(|index| (index * 7 + seed) as f32).collect();
        Columns { owner: Arc::new(Floats(data)), n, strides: [n, 1] }
    }

    fn lines(packing: &Packing) -> Vec<f32> {
        let panels = packing.matrix().panels();
        (0..panels.count()).flat_map(|index| panels.panel(index)).flat_map(|line| line.0).collect()
    }

    #[test]
    fn a_matrix_is_the_same_whoever_packs_it() {
        let kernels = Kernels::chosen().unwrap();
        let (k, widths) = (33, [40, 1, 70]);
        let given = |seed| widths.iter().map(|n| columns(k, *n, seed)).collect::<Vec<_>>();
        let at_once = |seed| lines(&Engine::new(kernels, 1).pack_later(k, given(seed)));
        for threads in [2, 3] {
            let engine = Engine::new(kernels, threads);
            let all: Vec<_> = (0..200).map(|seed| engine.pack_later(k, given(seed))).collect();
            for (seed, packing) in all.iter().enumerate() {
                assert_eq!(packing.shape(), [k, 111]);
                assert_eq!(lines(packing), at_once(seed), "{threads} threads, matrix {seed}");
                assert!(packing.is_done());
            }
        }
    }

    #[test]
    fn whoever_runs_a_plan_packs_what_still_waits() {
        let engine = Engine::new(Kernels::chosen().unwrap(), 2);
        let all: Vec<_> = (0..200).map(|seed| engine.pack_later(70, vec![columns(70, 300, seed)])).collect();
        engine.packers.help();
        // All but the one that the other thread has in its hands.
        assert!(all.iter().filter(|packing| !packing.is_done()).count() < 2);
        assert_eq!(engine.packers.waiting.load(super::Ordering::Relaxed), 0);
        all.iter().for_each(|packing| _ = packing.matrix());
    }

    #[test]
    fn who_has_no_other_thread_packs_at_once_and_the_constants_are_let_go() {
        let engine = Engine::new(Kernels::chosen().unwrap(), 1);
        let given = columns(5, 7, 1);
        let owner = Arc::clone(&given.owner);
        let packing = engine.pack_later(5, vec![given]);
        assert!(packing.is_done());
        assert_eq!(Arc::strong_count(&owner), 1);
    }

    #[test]
    fn a_child_of_a_process_that_was_packing_packs_for_itself() {
        let kernels = Kernels::chosen().unwrap();
        // As after a fork: another process's, whose thread has locked what it was about to take.
        let mut packing = Packing::new(kernels, 5, vec![columns(5, 7, 1)].into());
        packing.process += 1;
        let _for_good = (packing.blank.lock(), packing.kept.lock());
        let own = Packing::new(kernels, 5, vec![columns(5, 7, 1)].into());
        assert_eq!(lines(&packing), lines(&own));
        assert!(packing.is_done() && packing.matrix.get().is_none());
    }
}
