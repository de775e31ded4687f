//! The lanes and the table of AArch64.

pub mod neon;
