//! A job on its caller's stack, lent to other threads for as long as the caller waits.
//!
//! The only unsafe code of the engine. Its argument needs nothing from the other files: whatever these do, a borrower
//! sees a job only between the start and the end of [`Loan::lend`].

#![allow(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use std::thread::Thread;
use std::time::Duration;

use super::job::Job;
use super::{Padded, lock, watch};

/// How long a lender looks out for its last borrowers before it sleeps. Who wakes it may get it onto the own CPU.
const PATIENCE: Duration = Duration::from_millis(1);

/// What [`Loan::word`] counts: borrowers inside the job, ...
const BORROWER: u64 = 1;
const BORROWERS: u64 = (1 << 16) - 1;
/// ... whether more may come in, whether the lender sleeps until the last has left, ...
const LENT: u64 = 1 << 16;
const AWAITED: u64 = 1 << 17;
/// ... and in the rest of it the loans so far.
const LOAN: u64 = 1 << 18;

/// Hands one job after another to borrowers.
#[derive(Debug, Default)]
pub(super) struct Loan {
    /// Apart from the rest: borrowers without work look at nothing else.
    word: Padded<AtomicU64>,
    /// Null between loans.
    job: AtomicPtr<Job<'static>>,
    /// Whom the last borrower wakes.
    lender: Mutex<Option<Thread>>,
}

impl Loan {
    /// Calls `own` while others may borrow `job`, and returns when none of them has it any more.
    ///
    /// `false` if another thread is lending here: then `own` has not been called.
    pub(super) fn lend(&self, job: &Job<'_>, own: impl FnOnce()) -> bool {
        let lent = ptr::from_ref(job).cast_mut().cast::<Job<'static>>();
        // Acquire: the end of the loan before, of whichever thread, happened before this one.
        if self.job.compare_exchange(ptr::null_mut(), lent, Ordering::Acquire, Ordering::Relaxed).is_err() {
            return false;
        }
        // Release: who finds the word so finds the job in `self.job`, and all that the caller wrote before.
        self.word.fetch_add(LOAN | LENT, Ordering::Release);
        let result = catch_unwind(AssertUnwindSafe(own));
        // Acquire, here and in `wait`: what borrowers did before they left happened before the caller goes on.
        if self.word.fetch_and(!LENT, Ordering::AcqRel) & BORROWERS > 0 {
            self.wait();
        }
        self.job.store(ptr::null_mut(), Ordering::Release);
        if let Err(panic) = result {
            resume_unwind(panic);
        }
        true
    }

    /// Returns when nobody is inside the job. No one comes in meanwhile: it is not lent any more.
    fn wait(&self) {
        let is_left = || self.word.load(Ordering::Acquire) & BORROWERS == 0;
        if watch(PATIENCE, is_left) {
            return;
        }
        loop {
            *lock(&self.lender) = Some(std::thread::current());
            // A borrower who leaves after this sees the bit, and then the lender; one who left before is not counted.
            if self.word.fetch_or(AWAITED, Ordering::AcqRel) & BORROWERS == 0 {
                break;
            }
            std::thread::park();
        }
        self.word.fetch_and(!AWAITED, Ordering::Relaxed);
        *lock(&self.lender) = None;
    }

    /// Calls `work` with the job on loan, unless there is none or it is the one that `seen` tells; it then tells this one.
    pub(super) fn borrow<R>(&self, seen: &mut u64, work: impl FnOnce(&Job<'_>) -> R) -> Option<R> {
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            if word & LENT == 0 || word / LOAN == *seen {
                return None;
            }
            // Only ever counted in while the job is lent, in one step with finding it so.
            match self.word.compare_exchange_weak(word, word + BORROWER, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => break,
                Err(other) => word = other,
            }
        }
        *seen = word / LOAN;
        let _leave = Leave(self);
        // SAFETY: the exchange found LENT and counted this borrower in at once. The lender clears LENT before it looks at
        // the count, returns or unwinds from `lend` only after it has found no borrower, and until then neither drops
        // the job nor changes `self.job`; `_leave` counts this one out after the last use, also if `work` unwinds.
        // `self.job` was written before LENT was set, which the exchange read (acquire), so it is the job of this loan.
        // The lifetime that was cast away cannot be used: `work` must take a job of any lifetime. `Job` is `Sync`.
        let job = unsafe { &*self.job.load(Ordering::Relaxed) };
        Some(work(job))
    }
}

/// Counts a borrower out.
struct Leave<'a>(&'a Loan);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        let before = self.0.word.fetch_sub(BORROWER, Ordering::AcqRel);
        if before & BORROWERS == BORROWER && before & AWAITED != 0 {
            // It may be the lender of a later loan by now; a thread that is woken for nothing looks again.
            if let Some(lender) = &*lock(&self.0.lender) {
                lender.unpark();
            }
        }
    }
}

/// What is lent may be used by several threads at once.
const _: () = {
    const fn is_sync<T: Sync>() {}
    is_sync::<Job<'_>>();
};
