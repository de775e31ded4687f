//! Values of a plan: their types, and where their numbers are.

use std::fmt;
use std::sync::Arc;

use super::DimId;

/// A data type of WebNN. The 4-bit types have one byte per element in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum DataType {
    Float32,
    Float16,
    Int32,
    Uint32,
    Int64,
    Uint64,
    Int8,
    Uint8,
    Int4,
    Uint4,
}

impl DataType {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Float32,
        Self::Float16,
        Self::Int32,
        Self::Uint32,
        Self::Int64,
        Self::Uint64,
        Self::Int8,
        Self::Uint8,
        Self::Int4,
        Self::Uint4,
    ];

    /// The spelling of WebNN.
    pub fn name(self) -> &'static str {
        match self {
            Self::Float32 => "float32",
            Self::Float16 => "float16",
            Self::Int32 => "int32",
            Self::Uint32 => "uint32",
            Self::Int64 => "int64",
            Self::Uint64 => "uint64",
            Self::Int8 => "int8",
            Self::Uint8 => "uint8",
            Self::Int4 => "int4",
            Self::Uint4 => "uint4",
        }
    }

    /// Looks up a spelling of WebNN.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dtype| dtype.name() == name)
    }

    /// Bytes of an element in memory.
    pub fn size(self) -> usize {
        match self {
            Self::Int64 | Self::Uint64 => 8,
            Self::Float32 | Self::Int32 | Self::Uint32 => 4,
            Self::Float16 => 2,
            Self::Int8 | Self::Uint8 | Self::Int4 | Self::Uint4 => 1,
        }
    }

    /// Whether it is float32 or float16.
    pub fn is_float(self) -> bool {
        matches!(self, Self::Float32 | Self::Float16)
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A value of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueId(pub(crate) u32);

/// Whoever keeps the bytes of a constant: an array of the caller's, a mapped file, or a vector.
pub type Owner = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// What an operator learns of an operand or a result when it is made.
#[derive(Clone)]
pub struct ValueType {
    /// Data type.
    pub dtype: DataType,
    /// Dimensions, for [`crate::ops::Context::dim`].
    pub shape: Vec<DimId>,
    /// Sizes of the dimensions that no name changes.
    pub sizes: Vec<Option<usize>>,
    /// The numbers, where they are constant.
    pub constant: Option<Owner>,
}

impl ValueType {
    /// Number of dimensions.
    pub fn rank(&self) -> usize {
        self.shape.len()
    }

    /// The shape, where no name changes it.
    pub fn fixed_shape(&self) -> Option<Vec<usize>> {
        self.sizes.iter().copied().collect()
    }
}

impl fmt::Debug for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:?}{}", self.dtype, self.sizes, if self.constant.is_some() { " constant" } else { "" })
    }
}

/// Where a value's numbers are.
#[derive(Clone)]
pub(crate) enum Storage {
    /// In the caller's array of this index.
    Input(usize),
    /// With their owner; `None` once every reader has taken what it needs.
    Constant(Option<Owner>),
    /// In the arena, or in the caller's result.
    Temporary,
    /// Where another value's are, under another shape.
    Alias(ValueId),
}

/// A value as the plan keeps it.
#[derive(Clone)]
pub(crate) struct Value {
    pub(crate) dtype: DataType,
    pub(crate) shape: Box<[DimId]>,
    pub(crate) storage: Storage,
}
