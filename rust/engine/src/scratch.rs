//! Working memory of a thread, kept between operators.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};

use kernels::{Line, Pixel, Scratch};

/// What a thread keeps: the kernels' own memory, and room for one side of a product that is packed for one use.
#[derive(Debug, Default)]
pub(crate) struct ThreadScratch {
    pub(crate) kernels: Scratch,
    pub(crate) packed: Vec<Line>,
    /// A bias that is made for some queries of one head.
    pub(crate) bias: Vec<f32>,
    /// What windows see.
    pub(crate) pixels: Vec<Pixel>,
    /// The product, and the first of its rows, whose left-hand rows the kernels have left here.
    left: Option<(u64, usize)>,
}

thread_local! {
    static SCRATCH: RefCell<ThreadScratch> = RefCell::default();
}

/// Runs `work` with the calling thread's scratch.
pub(crate) fn with<R>(work: impl FnOnce(&mut ThreadScratch) -> R) -> R {
    SCRATCH.with_borrow_mut(|scratch| {
        scratch.left = None;
        work(scratch)
    })
}

/// A number that no other product has.
pub(crate) fn product() -> u64 {
    static PRODUCTS: AtomicU64 = AtomicU64::new(0);
    PRODUCTS.fetch_add(1, Ordering::Relaxed)
}

/// Runs `work`, which packs the rows of a product from `first` on, and tells it whether this thread's last call of any
/// work was for the same ones.
pub(crate) fn with_left<R>(product: u64, first: usize, work: impl FnOnce(&mut ThreadScratch, bool) -> R) -> R {
    SCRATCH.with_borrow_mut(|scratch| {
        let is_packed = scratch.left.take() == Some((product, first));
        let result = work(scratch, is_packed);
        scratch.left = Some((product, first));
        result
    })
}
