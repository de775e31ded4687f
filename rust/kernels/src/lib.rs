//! Numbers in, numbers out: the kernels of the engine, one table of them per instruction set.
//!
//! Everything here works on slices that the caller owns and runs on the calling thread. `unsafe` appears only under
//! [`arch`]. A kernel asserts the lengths it relies on; whoever takes numbers from outside checks them before calling.
//!
//! Each output element is summed in one fixed order that depends on nothing but the inner dimension, so a row has the
//! same bits alone, among other rows, and on any number of threads. The NEON, AVX2 and AVX-512 tables share their
//! algorithms, sixteen lanes wide, and agree bit for bit; the scalar table is the definition they are tested against. The table
//! of AMX is that of AVX-512 but for products by tiles, whose sums have an order of their own.

#[deny(unsafe_code)]
mod activation;
#[allow(unsafe_code)]
pub mod arch;
// What only AMX asks for lies there too.
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
#[deny(unsafe_code)]
mod digits;
#[deny(unsafe_code)]
mod dispatch;
#[deny(unsafe_code)]
pub mod float16;
#[deny(unsafe_code)]
pub mod integers;
#[deny(unsafe_code)]
pub mod knobs;
#[deny(unsafe_code)]
mod packed;
#[deny(unsafe_code)]
mod pointwise;
#[deny(unsafe_code)]
mod rows;
#[deny(unsafe_code)]
mod stored;
#[deny(unsafe_code)]
mod task;
#[deny(unsafe_code)]
mod windows;

pub use activation::{Activation, Function};
pub use arch::pages::{Bytes, Lines, NoMemory};
pub use arch::rows_mut::RowsMut;
pub use dispatch::{Isa, Kernels};
pub use integers::{IntegerKernels, IntegerMatmul, IntegerPanels, PackedIntegers, Quantise, Range, RowScale};
pub use packed::{Line, PackedMatrix, PackedPart, Panels, Piece};
pub use pointwise::Pointwise;
pub use rows::Rows;
pub use stored::{Steps, StoredKernels, StoredMatmul, StoredMatrix, StoredPanels, Weights};
pub use task::{Attention, LayerNorm, Mask, Matmul, MeanPool, Reduction, RmsNorm, Scratch, WeightedSum};
pub use windows::{Pixel, WindowProduct, WindowRow, Windows};
