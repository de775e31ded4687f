//! AMX: products by tiles of sixteen rows, and AVX-512 for everything else.

mod attention;
mod digits;
mod floats;
mod integers;
mod numbers;
mod split;
mod stored;
mod sums;
mod tiles;

use super::avx512::{self, Avx512};
use super::bfloat16::{self, Pairs};
use super::integers::Vnni;
use super::stored::Vectors512;
use crate::RowsMut;
use crate::digits::DigitKernels;
use crate::dispatch::{Isa, Kernels};
use crate::integers::{IntegerKernels, IntegerMatmul};
use crate::packed::Line;
use crate::stored::StoredMatmul;
use crate::task::{Attention, Matmul, Scratch};
use tiles::Tiles;

/// The table, `None` on a CPU without AMX, or where the system does not allow it.
pub fn kernels() -> Option<Kernels> {
    let table = avx512::kernels()?;
    Tiles::detect()?;
    // Whoever multiplies bfloat16 by tiles does so by vectors.
    bfloat16::attention()?;
    let digits = Some(DigitKernels { raise, largest, write });
    Some(Kernels { isa: Isa::Amx, tile_rows: 32, rows_first: 16, digits, matmul, attention_of_bfloat16, ..table })
}

/// The shortest inner dimension that is worth tiles; whoever has a shorter one is multiplied as by AVX-512.
const SHORTEST: usize = 64;

fn matmul(task: &Matmul<'_>, scratch: &mut Scratch, out: RowsMut<'_>) {
    #[target_feature(enable = "avx512f,avx512bw")]
    fn inner(tiles: Tiles, task: &Matmul<'_>, scratch: &mut Scratch, out: RowsMut<'_>) {
        let b = task.b;
        if !b.factors().is_empty() {
            return digits::matmul(Avx512(()), tiles, task, scratch, out);
        }
        floats::matmul(Avx512(()), tiles, task, |panel| b.onward(panel), scratch, out);
    }
    if task.b.k() < SHORTEST {
        return (avx512::TABLE.matmul)(task, scratch, out);
    }
    // SAFETY: reached only through the table, which was handed out after detecting the tiles and with them the features.
    unsafe { inner(Tiles::detected(), task, scratch, out) }
}

fn raise(x: &[f32], most: &mut [f32]) {
    #[target_feature(enable = "avx512f,avx512bw")]
    fn inner(x: &[f32], most: &mut [f32]) {
        numbers::raise(Avx512(()), x, most);
    }
    // SAFETY: as in `matmul`.
    unsafe { inner(x, most) }
}

fn largest(x: &[f32]) -> f32 {
    #[target_feature(enable = "avx512f,avx512bw")]
    fn inner(x: &[f32]) -> f32 {
        numbers::largest(Avx512(()), x)
    }
    // SAFETY: as in `matmul`.
    unsafe { inner(x) }
}

fn write(panel: &[Line], inverse: &[f32], to: &mut [Line]) -> bool {
    #[target_feature(enable = "avx512f,avx512bw")]
    fn inner(panel: &[Line], inverse: &[f32], to: &mut [Line]) -> bool {
        numbers::write(Avx512(()), panel, inverse, to)
    }
    // SAFETY: as in `matmul`.
    unsafe { inner(panel, inverse, to) }
}

fn attention_of_bfloat16(task: &Attention<'_>, scratch: &mut Scratch, out: RowsMut<'_>) {
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512bf16")]
    fn inner(tiles: Tiles, task: &Attention<'_>, scratch: &mut Scratch, out: RowsMut<'_>) {
        attention::attention(Avx512(()), Pairs(()), tiles, task, scratch, out);
    }
    if !attention::is_for(task) {
        // By multiply-adds of what is rounded: the same bits as by the instruction for pairs of bfloat16, and sooner on CPUs that
        // have tiles.
        return (avx512::TABLE.attention_of_bfloat16)(task, scratch, out);
    }
    // SAFETY: reached only through the table, which was handed out after detecting the tiles and both features.
    unsafe { inner(Tiles::detected(), task, scratch, out) }
}

/// Products of bytes; rows are quantised as with VNNI.
pub(crate) fn integers() -> Option<IntegerKernels> {
    let kernels = super::integers::avx512_vnni()?;
    Tiles::detect()?;
    Some(IntegerKernels::new("amxint8", integer_matmul, kernels.quantise))
}

fn integer_matmul(task: &IntegerMatmul<'_>, scratch: &mut Scratch, out: RowsMut<'_>) {
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    fn inner(tiles: Tiles, task: &IntegerMatmul<'_>, scratch: &mut Scratch, out: RowsMut<'_>) {
        integers::matmul(Avx512(()), Vnni(()), tiles, task, scratch, out);
    }
    // SAFETY: handed out above, after detecting the tiles and VNNI.
    unsafe { inner(Tiles::detected(), task, scratch, out) }
}

/// Products by matrices in few bits, with the bits of those by their floats.
pub(crate) fn stored_matmul(task: &StoredMatmul<'_>, scratch: &mut Scratch, out: RowsMut<'_>) {
    #[target_feature(enable = "avx512f,avx512bw")]
    fn inner(tiles: Tiles, task: &StoredMatmul<'_>, scratch: &mut Scratch, out: RowsMut<'_>) {
        stored::matmul(Avx512(()), Vectors512(()), tiles, task, scratch, out);
    }
    if task.b.k() < SHORTEST {
        return super::stored::avx512()(task, scratch, out);
    }
    // SAFETY: goes with the table, which was handed out after detecting the tiles and with them the features.
    unsafe { inner(Tiles::detected(), task, scratch, out) }
}
