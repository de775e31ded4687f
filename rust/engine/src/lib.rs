//! Whole operators on several threads: what is shared out, in which pieces, and on how many threads.
//!
//! No Python and no instruction sets. An [`Engine`] is a table of kernels with a pool of threads; a [`plan`] is a graph
//! whose steps, the operators of [`ops`], run one after another on views of one arena and of the caller's arrays.
//! Sharing out never changes a number: the pieces are whole output elements, and each is summed by one thread.

#![deny(unsafe_code)]

mod attention;
mod broadcast;
mod cores;
mod heads;
mod integers;
mod matmul;
pub mod ops;
mod packed_file;
mod packing;
pub mod plan;
mod pool;
mod relative;
mod rows;
mod scratch;
mod stored;
mod texts;

pub use attention::{HeadsMask, Scores};
pub use broadcast::{broadcast, starts};
pub use cores::default_threads;
pub use heads::Heads;
pub use integers::IntegerLayer;
pub use kernels::{
    Activation, Function, Isa, Kernels, LayerNorm, PackedIntegers, PackedMatrix, Piece, Range, RmsNorm, Rows, Steps,
    StoredMatrix, Weights,
};
pub use matmul::{Batch, Layer};
pub use packed_file::{PackedFile, Place, REVISION as PACKED_REVISION, Source};
pub use packing::Packing;
pub use pool::Pool;
pub use relative::Relative;
pub use stored::StoredLayer;

use std::sync::Arc;

use kernels::{IntegerKernels, StoredKernels};
use packing::Packers;

/// A table of kernels and the threads that run them.
#[derive(Debug)]
pub struct Engine {
    kernels: Kernels,
    integers: IntegerKernels,
    stored: StoredKernels,
    pool: Pool,
    packers: Arc<Packers>,
    packed_file: Option<Arc<PackedFile>>,
}

impl Engine {
    /// An engine on `threads` threads, the caller's among them.
    pub fn new(kernels: Kernels, threads: usize) -> Self {
        let (integers, stored) = (IntegerKernels::of(&kernels), StoredKernels::of(&kernels));
        let (pool, packers) = (Pool::new(threads), Arc::default());
        Self { kernels, integers, stored, pool, packers, packed_file: None }
    }

    /// The same, with matrices that its plans need not pack.
    pub fn with_packed_file(self, file: Arc<PackedFile>) -> Self {
        Self { packed_file: Some(file), ..self }
    }

    /// The kernels in use.
    pub fn kernels(&self) -> &Kernels {
        &self.kernels
    }

    /// The instruction that sums products of integers.
    pub fn integers(&self) -> &'static str {
        self.integers.name
    }

    /// Threads that share the work, the caller's among them.
    pub fn threads(&self) -> usize {
        self.pool.threads()
    }

    /// Packs a constant right-hand side for [`Engine::linear`]; `strides` are those of rows and columns.
    pub fn pack(&self, data: &[f32], shape: [usize; 2], strides: [usize; 2]) -> PackedMatrix {
        self.pack_side_by_side(&[Piece { data, start: 0, n: shape[1], strides }], shape)
    }

    /// The same of a matrix whose columns lie in several places.
    pub fn pack_side_by_side(&self, pieces: &[Piece<'_>], shape: [usize; 2]) -> PackedMatrix {
        let mut matrix = PackedMatrix::zeroed(&self.kernels, shape);
        self.pool.for_each(matrix.parts(self.pool.threads()), |part| part.fill(pieces));
        matrix
    }
}
