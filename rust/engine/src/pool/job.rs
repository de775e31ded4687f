//! Pieces, who takes which, and what is done with them.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::lock;

/// A number of pieces. They are taken in order, each by whoever is free.
pub(super) struct Job<'a> {
    count: usize,
    next: AtomicUsize,
    work: &'a (dyn Fn(usize) + Sync),
    /// The first panic of a helper.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

impl<'a> Job<'a> {
    pub(super) fn new(count: usize, work: &'a (dyn Fn(usize) + Sync)) -> Self {
        Self { count, next: AtomicUsize::new(0), work, panic: Mutex::new(None) }
    }

    /// Pieces that nobody has had.
    pub(super) fn rest(&self) -> usize {
        self.count.saturating_sub(self.next.load(Ordering::Relaxed))
    }

    /// Works on pieces until there are none left (`false`), or until `leave` says so (`true`).
    pub(super) fn work(&self, leave: impl Fn() -> bool) -> bool {
        loop {
            let piece = self.next.fetch_add(1, Ordering::Relaxed);
            if piece >= self.count {
                return false;
            }
            (self.work)(piece);
            if leave() {
                return true;
            }
        }
    }

    /// The same for a helper, whose panic is kept for the caller.
    pub(super) fn help(&self, leave: impl Fn() -> bool) -> bool {
        catch_unwind(AssertUnwindSafe(|| self.work(leave))).unwrap_or_else(|panic| {
            lock(&self.panic).get_or_insert(panic);
            false
        })
    }

    /// What has panicked in a helper.
    pub(super) fn panic(self) -> Option<Box<dyn Any + Send>> {
        self.panic.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
