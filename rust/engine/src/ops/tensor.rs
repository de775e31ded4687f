//! Operands and results of one call of an operator.

use super::numbers::Element;
use crate::plan::DataType;

/// An operand: its numbers in C order.
#[derive(Clone, Copy, Debug)]
pub struct Tensor<'a> {
    /// Data type.
    pub dtype: DataType,
    /// Sizes of the dimensions.
    pub shape: &'a [usize],
    /// The bytes; empty for an operand that is absent, taken over, or computed in place.
    pub data: &'a [u8],
    pub(crate) is_present: bool,
}

impl<'a> Tensor<'a> {
    /// An optional operand that is not there.
    pub const ABSENT: Self = Self { dtype: DataType::Float32, shape: &[], data: &[], is_present: false };

    /// Whether the operand is there.
    pub fn is_present(&self) -> bool {
        self.is_present
    }

    /// Number of elements, by the shape.
    pub fn count(&self) -> usize {
        self.shape.iter().product()
    }

    /// The elements.
    ///
    /// # Panics
    ///
    /// They are of another type: the operator was made for it.
    pub fn elements<T: Element>(&self) -> &'a [T] {
        assert!(T::holds(self.dtype), "{} read as another type", self.dtype);
        // Bytes that are none may lie anywhere.
        if self.data.is_empty() { &[] } else { bytemuck::cast_slice(self.data) }
    }
}

/// A result, to be written in C order.
#[derive(Debug)]
pub struct TensorMut<'a> {
    /// Data type.
    pub dtype: DataType,
    /// Sizes of the dimensions.
    pub shape: &'a [usize],
    /// The bytes, with anything in them.
    pub data: &'a mut [u8],
}

impl TensorMut<'_> {
    /// Number of elements.
    pub fn count(&self) -> usize {
        self.shape.iter().product()
    }

    /// The elements.
    ///
    /// # Panics
    ///
    /// They are of another type: the operator was made for it.
    pub fn elements<T: Element>(&mut self) -> &mut [T] {
        assert!(T::holds(self.dtype), "{} written as another type", self.dtype);
        if self.data.is_empty() { &mut [] } else { bytemuck::cast_slice_mut(self.data) }
    }
}
