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

/// The floats of some lines.
#[inline(always)]
pub(crate) fn floats(lines: &[crate::packed::Line]) -> &[f32] {
    // SAFETY: a Line is sixteen floats, repr(C) with an alignment equal to its size leaves no gap, and the borrow of the
    // lines is passed on.
    unsafe { std::slice::from_raw_parts(lines.as_ptr().cast(), size_of_val(lines) / size_of::<f32>()) }
}

/// The same to be written.
#[inline(always)]
pub(crate) fn floats_mut(lines: &mut [crate::packed::Line]) -> &mut [f32] {
    // SAFETY: as above.
    unsafe { std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast(), size_of_val(lines) / size_of::<f32>()) }
}
