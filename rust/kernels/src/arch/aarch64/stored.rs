//! Matrices in few bits, widened by plain loops, which the compiler makes vectors of.

use super::neon::Neon;
use crate::RowsMut;
use crate::arch::generic::stored::{self, Plainly, stored_kernel};
use crate::stored::StoredMatmul;
use crate::task::Scratch;

pub(crate) fn neon() -> fn(&StoredMatmul<'_>, &mut Scratch, RowsMut<'_>) {
    stored_kernel!("neon", Neon(()), Plainly)
}
