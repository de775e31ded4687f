//! Every environment variable this workspace reads.

/// Forces an instruction set: `scalar`, `neon`, `avx2`, `avx512` or `amx`. Unset: the best one this CPU has.
///
/// For tests and bug reports. A name that is unknown, or that this CPU lacks, is an error and not a fall-back.
pub const ISA: &str = "WEBNN_KERNELS_ISA";

/// The value of a variable, `None` where it is unset or empty.
pub fn read(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
