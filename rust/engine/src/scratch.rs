//! Working memory of a thread, kept between operators.

use std::cell::RefCell;

use kernels::{Line, Pixel, Scratch};

/// What a thread keeps: the kernels' own memory, and room for one side of a product that is packed for one use.
#[derive(Debug, Default)]
pub(crate) struct ThreadScratch {
    pub(crate) kernels: Scratch,
    pub(crate) packed: Vec<Line>,
    /// What windows see.
    pub(crate) pixels: Vec<Pixel>,
}

/// Runs `work` with the calling thread's scratch.
pub(crate) fn with<R>(work: impl FnOnce(&mut ThreadScratch) -> R) -> R {
    thread_local! {
        static SCRATCH: RefCell<ThreadScratch> = RefCell::default();
    }
    SCRATCH.with_borrow_mut(work)
}
