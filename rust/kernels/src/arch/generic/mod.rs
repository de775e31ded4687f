//! The algorithms, once, over sixteen lanes; an instruction set is a value of a type that implements [`Simd`].
//!
//! Everything is `inline(always)`, because a vector stays in registers only inside a function that is compiled for
//! its instruction set: the table entries in `x86_64` are those functions. For the same reason no closure here
//! touches a vector; a closure is a function of its own. Nor is one called in a loop, be it by `map`, `then`, `from_fn` or an
//! iterator's adaptor: around a call no vector stays in a register. `objdump -d` of the library shows such calls. A release with
//! link-time optimisation takes most of them in, one without it does not and is up to a fifth slower for them; so what is
//! measured is a release.

pub(super) mod activation;
pub(super) mod attention;
pub(super) mod functions;
pub(super) mod integers;
pub(super) mod matmul;
pub(super) mod normalization;
pub(super) mod pack;
pub(super) mod probe;
pub(super) mod products;
pub(super) mod quantise;
pub(super) mod reduction;
pub(super) mod softmax;
pub(super) mod stored;
pub(super) mod table;
pub(super) mod windows;

use std::ops::{Add, Div, Mul, Sub};

use crate::RowsMut;
use crate::packed::{LANES, Line};
use crate::windows::WindowProduct;
use matmul::{Place, Right};

/// The bits of `sqrt(1/2)`: where the fractions of [`Vector::exponent_and_fraction`] begin.
pub(super) const SQRT_HALF_BITS: i32 = 0x3F35_04F3;

/// Evidence that the CPU has an instruction set: a value of such a type exists only after it was detected.
pub(super) trait Simd: Copy {
    /// Sixteen floats in registers.
    type V: Vector;
    /// Vectors side by side in a register tile, and in the panel of a packed matrix.
    const TILE_VECTORS: usize;
    /// Rows of the largest register tile.
    const TILE_ROWS: usize;
    /// How many rows of the right-hand side a tile prefetches ahead of itself; 0 for none.
    const PREFETCH_AHEAD: usize;

    fn splat(self, x: f32) -> Self::V;
    fn load(self, from: &[f32; LANES]) -> Self::V;
    /// Up to sixteen floats, zeros behind them; the first sixteen of more.
    #[inline(always)]
    fn load_part(self, from: &[f32]) -> Self::V {
        match from.first_chunk::<LANES>() {
            Some(whole) => self.load(whole),
            None => {
                let mut padded = [0.0; LANES];
                padded[..from.len()].copy_from_slice(from);
                self.load(&padded)
            }
        }
    }
    /// Asks for a line to be brought into the second-level cache.
    fn prefetch(self, line: &Line);
    /// Asks for the line of a number to be brought into the first-level cache.
    fn prefetch_first(self, number: &f32);
    /// Runs the register tile of `rows` rows and `vectors` vectors: see [`matmul::tile`].
    fn tile(self, rows: usize, vectors: usize, a: &[f32], b: impl Right<Self>, to: Place<'_, '_>, start: Start);
    /// Runs the register tile of some windows and vectors of filters: see [`windows::tile`].
    fn window_tile(
        self,
        size: [usize; 2],
        task: &WindowProduct<'_>,
        filters: &[Line],
        place: [usize; 2],
        out: &mut RowsMut<'_>,
    );
    /// Swaps the two indices of a square: lane `j` of vector `i` becomes lane `i` of vector `j`.
    fn transpose(self, square: &mut [Self::V; LANES]);
}

/// What the sums of a tile start from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    Zero,
    /// What the tile's place holds already: the inner dimension goes on where another call has left off.
    Sums,
}

/// Sixteen floats. The operations are safe: only a [`Simd`] makes a first one.
pub(super) trait Vector:
    Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self>
{
    fn store(self, to: &mut [f32; LANES]);
    /// The first lanes, as many as there is room for.
    #[inline(always)]
    fn store_part(self, to: &mut [f32]) {
        match to.first_chunk_mut::<LANES>() {
            Some(whole) => self.store(whole),
            None => {
                let mut padded = [0.0; LANES];
                self.store(&mut padded);
                to.copy_from_slice(&padded[..to.len()]);
            }
        }
    }
    /// `self * factor + addend`, rounded once.
    fn mul_add(self, factor: Self, addend: Self) -> Self;
    /// The larger one; `other` where either is NaN.
    fn max(self, other: Self) -> Self;
    /// The smaller one; `other` where either is NaN.
    fn min(self, other: Self) -> Self;
    fn abs(self) -> Self;
    /// The magnitude of `self` with the sign of `sign`.
    fn copy_sign(self, sign: Self) -> Self;
    /// To the nearest integer, ties to even.
    fn round(self) -> Self;
    /// To the next integer below.
    fn floor(self) -> Self;
    /// `self * 2^n` for whole `n` in `-126..=127`; lanes outside that range hold anything.
    fn scale_by_power_of_two(self, n: Self) -> Self;
    /// `self * 2^n`, rounded once, for normal `self` near 1 and whole `n` in `-250..=250`.
    fn scale_by_any_power_of_two(self, n: Self) -> Self;
    /// `e` and `f` with `self = f * 2^e` and `f` between `sqrt(1/2)` and `sqrt(2)`, for positive normal lanes.
    fn exponent_and_fraction(self) -> (Self, Self);
    /// `self < bound ? yes : no`, lane by lane; a NaN is not less.
    fn where_less(self, bound: Self, yes: Self, no: Self) -> Self;
    /// `self != 0 ? yes : no`, lane by lane.
    fn where_non_zero(self, yes: Self, no: Self) -> Self;
    /// `self` is NaN `? yes : no`, lane by lane.
    fn where_nan(self, yes: Self, no: Self) -> Self;
    /// The nearest number with eight binary digits, ties to the even one, for lanes that are not NaN.
    fn round_to_eight_digits(self) -> Self;
    /// The nearest bfloat16, ties to even; denormal numbers become zero and NaN stays NaN.
    #[inline(always)]
    fn to_bfloat16<S: Simd<V = Self>>(self, s: S) -> Self {
        let rounded = self.where_nan(self, self.round_to_eight_digits());
        self.abs().where_less(s.splat(f32::MIN_POSITIVE), s.splat(0.0), rounded)
    }
}
