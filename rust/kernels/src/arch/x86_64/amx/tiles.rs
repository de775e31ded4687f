//! The tile registers of AMX: how they are asked for, shaped, filled and multiplied.
//!
//! The compiler knows nothing of them, so that what is in one stays there between two of the functions below; a
//! [`Shape`] is what says that they are set up, for as long as it lives. Registers 0 to 3 are sums, 4 and 5 left-hand sides,
//! 6 and 7 right-hand sides.

use std::arch::asm;
use std::arch::x86_64::{__cpuid, __cpuid_count, _xgetbv};
use std::sync::OnceLock;

use crate::packed::{LANES, Line};

/// Rows of a tile; each has 64 bytes.
pub(super) const ROWS: usize = 16;

/// Evidence of AMX with products of bytes and of bfloat16, of AVX-512 F and BW, and of the system's leave to use the tiles.
#[derive(Clone, Copy)]
pub(super) struct Tiles(());

impl Tiles {
    /// Asks the CPU, and then the system, which keeps the tiles of a thread only for those who have asked.
    pub(super) fn detect() -> Option<Self> {
        static FOUND: OnceLock<bool> = OnceLock::new();
        FOUND.get_or_init(|| is_in_cpu() && is_allowed()).then_some(Self(()))
    }

    /// For entries that are handed out only after [`Tiles::detect`].
    ///
    /// # Safety
    ///
    /// It has found them.
    pub(super) unsafe fn detected() -> Self {
        Self(())
    }

    /// Sets the tiles up for left-hand sides and sums of some rows, at most [`ROWS`].
    #[inline(always)]
    pub(super) fn of_rows(self, rows: usize) -> Shape {
        assert!((1..=ROWS).contains(&rows), "tiles of {rows} rows");
        let mut config = Config { palette: 1, start: 0, reserved: [0; 14], bytes: [0; 16], rows: [0; 16] };
        for register in 0..8 {
            config.bytes[register] = 64;
            config.rows[register] = if register < 6 { rows as u8 } else { ROWS as u8 };
        }
        // SAFETY: `self` is evidence of AMX; the 64 bytes are palette 1 with tiles of at most 16 rows of 64 bytes, which the
        // instruction takes.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const config, options(nostack, preserves_flags)) };
        Shape { rows }
    }
}

/// What `ldtilecfg` reads.
#[repr(C, align(64))]
struct Config {
    palette: u8,
    start: u8,
    reserved: [u8; 14],
    bytes: [u16; 16],
    rows: [u8; 16],
}

/// Tiles that are set up; they are given back when this is dropped, so that no switch of threads has to keep them.
pub(super) struct Shape {
    rows: usize,
}

impl Drop for Shape {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: a shape is evidence of AMX.
        unsafe { asm!("tilerelease", options(nostack, nomem, preserves_flags)) };
    }
}

impl Shape {
    /// Sets all sums to zero.
    #[inline(always)]
    pub(super) fn clear(&self) {
        self.zero::<0>();
        self.zero::<1>();
        self.zero::<2>();
        self.zero::<3>();
    }

    /// Sets the sums beside the first left-hand side to zero.
    #[inline(always)]
    pub(super) fn clear_first(&self) {
        self.zero::<0>();
        self.zero::<1>();
    }

    #[inline(always)]
    fn zero<const R: usize>(&self) {
        const { assert!(R < 4) };
        // SAFETY: a shape is evidence of AMX and of tiles that are set up.
        unsafe { asm!("tilezero tmm{r}", r = const R, options(nostack, nomem, preserves_flags)) };
    }

    /// Sets all sums to what a line for each row has, and `stride` lines from one to the next: in lines and beside
    /// them those of the first left-hand side, and [`ROWS`] rows behind them those of the second.
    #[inline(always)]
    pub(super) fn begin(&self, from: &[Line], stride: usize) {
        self.load_sums::<0>(from, stride);
        self.load_sums::<1>(&from[1..], stride);
        self.load_sums::<2>(&from[ROWS * stride..], stride);
        self.load_sums::<3>(&from[ROWS * stride + 1..], stride);
    }

    /// Writes all sums to where [`Shape::begin`] reads them.
    #[inline(always)]
    pub(super) fn end(&self, to: &mut [Line], stride: usize) {
        self.store::<0>(to, stride);
        self.store::<1>(&mut to[1..], stride);
        self.store::<2>(&mut to[ROWS * stride..], stride);
        self.store::<3>(&mut to[ROWS * stride + 1..], stride);
    }

    /// Writes the sums beside the first left-hand side.
    #[inline(always)]
    pub(super) fn end_first(&self, to: &mut [Line], stride: usize) {
        self.store::<0>(to, stride);
        self.store::<1>(&mut to[1..], stride);
    }

    /// Writes each of the sums to [`ROWS`] lines of its own, those of one after those of the other.
    #[inline(always)]
    pub(super) fn end_places(&self, to: &mut [Line]) {
        self.store::<0>(to, 1);
        self.store::<1>(&mut to[ROWS..], 1);
        self.store::<2>(&mut to[2 * ROWS..], 1);
        self.store::<3>(&mut to[3 * ROWS..], 1);
    }

    #[inline(always)]
    fn load_sums<const R: usize>(&self, from: &[Line], stride: usize) {
        const { assert!(R < 4) };
        assert!((self.rows - 1) * stride < from.len(), "rows of a tile of sums");
        // SAFETY: as above; the tile has `rows` rows of one line, all of which are inside the slice.
        unsafe { load::<R>(from.as_ptr().cast(), stride * size_of::<Line>()) };
    }

    /// Reads rows of sixteen words, `stride` words from one to the next, into left-hand side `R`.
    #[inline(always)]
    pub(super) fn load_left<const R: usize>(&self, from: &[f32], stride: usize) {
        const { assert!(R == 4 || R == 5) };
        assert!((self.rows - 1) * stride + LANES <= from.len(), "rows of a left-hand tile");
        // SAFETY: as above; the tile has `rows` rows, all of which are inside the slice.
        unsafe { load::<R>(from.as_ptr().cast(), stride * size_of::<f32>()) };
    }

    /// Reads sixteen lines, `stride` lines from one to the next, into right-hand side `R`.
    #[inline(always)]
    pub(super) fn load_right<const R: usize>(&self, from: &[Line], stride: usize) {
        const { assert!(R == 6 || R == 7) };
        assert!((ROWS - 1) * stride < from.len(), "rows of a right-hand tile");
        // SAFETY: as above; the tile has sixteen rows, all of which are inside the slice.
        unsafe { load::<R>(from.as_ptr().cast(), stride * size_of::<Line>()) };
    }

    /// Writes the sums `R` to a line for each row, `stride` lines from one to the next.
    #[inline(always)]
    fn store<const R: usize>(&self, to: &mut [Line], stride: usize) {
        const { assert!(R < 4) };
        assert!((self.rows - 1) * stride < to.len(), "rows of a tile of sums");
        let (to, stride) = (to.as_mut_ptr(), stride * size_of::<Line>());
        // SAFETY: as above; the tile has `rows` rows of one line, all of which are inside the slice.
        unsafe {
            asm!("tilestored [{to} + {stride}], tmm{r}", to = in(reg) to, stride = in(reg) stride, r = const R,
                options(nostack, preserves_flags));
        }
    }

    /// Adds to the sums `C` the products of pairs of bfloat16.
    #[inline(always)]
    pub(super) fn add_pairs<const C: usize, const A: usize, const B: usize>(&self) {
        const { assert!(C < 4 && (A == 4 || A == 5) && (B == 6 || B == 7)) };
        // SAFETY: as above; left-hand sides and sums have as many rows, and right-hand sides sixteen for 64 bytes.
        unsafe {
            asm!("tdpbf16ps tmm{c}, tmm{a}, tmm{b}", c = const C, a = const A, b = const B,
                options(nostack, nomem, preserves_flags));
        }
    }

    /// Adds to the sums `C` the products of groups of four bytes, unsigned ones on the left and signed ones on the right.
    #[inline(always)]
    pub(super) fn add_groups<const C: usize, const A: usize, const B: usize>(&self) {
        const { assert!(C < 4 && (A == 4 || A == 5) && (B == 6 || B == 7)) };
        // SAFETY: as above.
        unsafe {
            asm!("tdpbusd tmm{c}, tmm{a}, tmm{b}", c = const C, a = const A, b = const B,
                options(nostack, nomem, preserves_flags));
        }
    }

    /// The same of signed bytes on both sides.
    #[inline(always)]
    pub(super) fn add_digits<const C: usize, const A: usize, const B: usize>(&self) {
        const { assert!(C < 4 && (A == 4 || A == 5) && (B == 6 || B == 7)) };
        // SAFETY: as above.
        unsafe {
            asm!("tdpbssd tmm{c}, tmm{a}, tmm{b}", c = const C, a = const A, b = const B,
                options(nostack, nomem, preserves_flags));
        }
    }
}

/// # Safety
///
/// Tile `R` is set up, and each of its rows can be read.
#[inline(always)]
unsafe fn load<const R: usize>(from: *const u8, stride: usize) {
    // SAFETY: the caller's.
    unsafe {
        asm!("tileloadd tmm{r}, [{from} + {stride}]", from = in(reg) from, stride = in(reg) stride, r = const R,
            options(nostack, readonly, preserves_flags));
    }
}

/// Whether the CPU has what [`Tiles`] says, and tiles of the size that is relied on.
fn is_in_cpu() -> bool {
    const BFLOAT16: u32 = 1 << 22;
    const TILE: u32 = 1 << 24;
    const INT8: u32 = 1 << 25;
    if !(is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw")) {
        return false;
    }
    if __cpuid(0).eax < 0x1D || __cpuid_count(7, 0).edx & (BFLOAT16 | TILE | INT8) != (BFLOAT16 | TILE | INT8) {
        return false;
    }
    // Palette 1: eight tiles of 16 rows of 64 bytes.
    let palette = __cpuid_count(0x1D, 1);
    let is_known = __cpuid_count(0x1D, 0).eax >= 1 && palette.ebx == 64 | 8 << 16 && palette.ecx & 0xFFFF == 16;
    // The system keeps the configuration and the contents of the tiles.
    const KEPT: u64 = 1 << 17 | 1 << 18;
    // SAFETY: AVX-512 was found above by asking the same register, so that the instruction is there.
    is_known && unsafe { _xgetbv(0) } & KEPT == KEPT
}

/// Asks Linux for leave to use the tiles: for this process, its threads and the children that it forks.
///
/// It is refused where a thread's alternative stack for signals is too small for them.
#[cfg(target_os = "linux")]
fn is_allowed() -> bool {
    const ARCH_PRCTL: usize = 158;
    const REQUEST_PERMISSION: usize = 0x1023;
    const TILE_DATA: usize = 18;
    let result: isize;
    // SAFETY: this call reads and writes no memory of the program; the kernel overwrites the two registers that are named.
    unsafe {
        asm!("syscall", inlateout("rax") ARCH_PRCTL => result, in("rdi") REQUEST_PERMISSION, in("rsi") TILE_DATA,
            lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    result == 0
}

#[cfg(not(target_os = "linux"))]
fn is_allowed() -> bool {
    false
}
