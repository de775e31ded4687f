//! The kernels themselves, and the only `unsafe` of the workspace that is about numbers.
//!
//! [`scalar`] defines each kernel. `generic` holds the algorithms over sixteen lanes, written once in safe code;
//! `x86_64` supplies the lanes and the tables.

#[cfg(target_arch = "x86_64")]
mod generic;
pub mod rows_mut;
pub mod scalar;
#[cfg(target_arch = "x86_64")]
pub mod x86_64;
