//! The lanes and the tables of x86-64.

pub mod amx;
pub mod avx2;
pub mod avx512;
mod bfloat16;
pub(crate) mod integers;
pub(crate) mod stored;
