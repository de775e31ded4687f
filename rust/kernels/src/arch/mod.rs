//! The kernels themselves, and the only `unsafe` of the workspace that is about numbers.
//!
//! [`scalar`] defines each kernel. `generic` holds the algorithms over sixteen lanes, written once in safe code;
//! `x86_64` and `aarch64` supply the lanes and the tables.

#[cfg(target_arch = "aarch64")]
pub mod aarch64;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod generic;
pub mod pages;
pub mod rows_mut;
pub mod scalar;
#[cfg(target_arch = "x86_64")]
pub mod x86_64;
