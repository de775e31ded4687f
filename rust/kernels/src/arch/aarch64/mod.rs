//! The lanes and the table of AArch64.

pub(crate) mod integers;
pub mod neon;
pub(crate) mod stored;
