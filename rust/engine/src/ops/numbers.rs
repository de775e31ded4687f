//! The element types: which data types each holds, and the float16 that Rust does not have.

use bytemuck::Pod;
pub(crate) use kernels::float16::widen;

use crate::plan::DataType;

/// A type of elements in memory. `u16` holds the bits of float16: WebNN has no 16-bit integers.
pub trait Element: Pod + Send + Sync + PartialEq + std::fmt::Debug {
    /// Whether values of this data type have such elements.
    fn holds(dtype: DataType) -> bool;
}

macro_rules! element {
    ($($type:ty: $($dtype:ident)|+;)*) => {
        $(impl Element for $type {
            fn holds(dtype: DataType) -> bool {
                matches!(dtype, $(DataType::$dtype)|+)
            }
        })*
    };
}

element! {
    f32: Float32;
    u16: Float16;
    i32: Int32;
    u32: Uint32;
    i64: Int64;
    u64: Uint64;
    i8: Int8 | Int4;
    u8: Uint8 | Uint4;
}

/// The nearest float16, ties to even.
pub(crate) fn narrow(x: f32) -> u16 {
    let bits = x.to_bits();
    let sign = ((bits >> 16) & 0x8000) as u16;
    let magnitude = bits & 0x7fff_ffff;
    if magnitude > 0x7f80_0000 {
        return sign | 0x7e00 | ((magnitude >> 13) & 0x3ff) as u16;
    }
    // 65520 and more round to infinity.
    if magnitude >= 0x477f_f000 {
        return sign | 0x7c00;
    }
    if magnitude < 0x3880_0000 {
        // A subnormal in units of 2^-24: adding 2^-1 puts that unit at the end of the fraction, and rounds there.
        let rounded = f32::from_bits(magnitude) + 0.5;
        return sign | (rounded.to_bits() - 0.5_f32.to_bits()) as u16;
    }
    let rounded = magnitude + 0xfff + ((magnitude >> 13) & 1);
    sign | ((rounded - (112 << 23)) >> 13) as u16
}

/// The nearest float16 of a float64: through a float32 that is rounded to odd, so that the second rounding sees
/// whether the first one cut something off.
pub(crate) fn narrow_once(x: f64) -> u16 {
    let near = x as f32;
    let wide = f64::from(near);
    let bits = near.to_bits();
    let odd = if wide == x || !near.is_finite() || bits & 1 == 1 {
        near
    } else if wide.abs() > x.abs() {
        f32::from_bits(bits - 1)
    } else {
        f32::from_bits(bits + 1)
    };
    narrow(odd)
}

#[cfg(test)]
mod tests {
    use super::{narrow, narrow_once, widen};

    #[test]
    fn every_float16_survives_the_way_there_and_back() {
        for bits in 0..=u16::MAX {
            let wide = widen(bits);
            assert_eq!(wide.is_nan(), bits & 0x7fff > 0x7c00, "{bits:#x}");
            // The first bit of a NaN's fraction is set: it stays quiet.
            let quiet = if wide.is_nan() { bits | 0x200 } else { bits };
            assert_eq!(narrow(wide), quiet, "{bits:#x} {wide}");
        }
        assert_eq!((widen(0x3c00), widen(0xc000), widen(0x7bff), widen(1)), (1.0, -2.0, 65504.0, f32::powi(2.0, -24)));
    }

    #[test]
    fn numbers_between_two_float16_round_to_the_nearest_and_ties_to_even() {
        for bits in (0..0x7bff_u16).chain(0x8000..0xfbff) {
            let (low, high) = (widen(bits), widen(bits + 1));
            let middle = f32::midpoint(low, high);
            let even = if bits.is_multiple_of(2) { bits } else { bits + 1 };
            assert_eq!(narrow(middle), even, "{bits:#x}");
            let (above, below) = (middle.to_bits() + 1, middle.to_bits() - 1);
            assert_eq!((narrow(f32::from_bits(below)), narrow(f32::from_bits(above))), (bits, bits + 1), "{bits:#x}");
        }
        assert_eq!((narrow(65519.0), narrow(65520.0), narrow(f32::INFINITY)), (0x7bff, 0x7c00, 0x7c00));
    }

    #[test]
    fn float16_is_rounded_once() {
        for bits in (0..0x7bff_u16).step_by(7) {
            let middle = (f64::from(widen(bits)) + f64::from(widen(bits + 1))) / 2.0;
            let even = if bits % 2 == 0 { bits } else { bits + 1 };
            assert_eq!(narrow_once(middle), even, "{bits:#x}");
            // So near the middle that a float32 in between would lie on it.
            assert_eq!(narrow_once(middle * (1.0 + 1e-12)), bits + 1, "{bits:#x}");
            assert_eq!(narrow_once(middle * (1.0 - 1e-12)), bits, "{bits:#x}");
            assert_eq!(narrow_once(-middle * (1.0 - 1e-12)), bits | 0x8000, "{bits:#x}");
        }
        assert_eq!((narrow_once(0.0), narrow_once(-0.0), narrow_once(1e300)), (0, 0x8000, 0x7c00));
        // Below what a float32 holds, and at the lowest that it does.
        for tiny in [1e-60, f64::MIN_POSITIVE, f64::from(f32::from_bits(1)) * 0.6] {
            assert_eq!((narrow_once(tiny), narrow_once(-tiny)), (0, 0x8000), "{tiny}");
        }
    }
}
