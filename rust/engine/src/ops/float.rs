//! The two float types as wider ones.

use super::numbers::{Element, narrow, narrow_once, widen};

/// A float type, as float32 and as float64; both are exact on the way up and round once on the way down.
pub(super) trait Float: Element {
    fn single(self) -> f32;
    fn from_single(x: f32) -> Self;
    fn wide(self) -> f64;
    fn narrow(x: f64) -> Self;
}

impl Float for f32 {
    fn single(self) -> f32 {
        self
    }

    fn from_single(x: f32) -> Self {
        x
    }

    fn wide(self) -> f64 {
        f64::from(self)
    }

    fn narrow(x: f64) -> Self {
        x as f32
    }
}

impl Float for u16 {
    fn single(self) -> f32 {
        widen(self)
    }

    fn from_single(x: f32) -> Self {
        narrow(x)
    }

    fn wide(self) -> f64 {
        f64::from(widen(self))
    }

    fn narrow(x: f64) -> Self {
        narrow_once(x)
    }
}
