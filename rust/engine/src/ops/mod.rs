//! The operators that run natively: one file per family, each with a table of its kinds.
//!
//! To add an operator:
//!
//! 1. Find its family's file (families are those of the operator table: `elementwise`, `layout`, `conv`, ...); a new
//!    file gets one line in `FAMILIES` below. The reference kernel of the operator says what is right.
//! 2. Write a type that implements [`Op`]. `make` gets a [`Request`] and reads attributes ([`Attributes::int`], ...);
//!    what is constant may be packed now ([`Op::taken`] then drops the original). `run` gets one [`Tensor`] per operand
//!    ([`Tensor::ABSENT`] for an optional one) and one [`TensorMut`] per result, all in C order, results with anything in
//!    them; named dimensions are in `cx.dim`. Sizes are checked by [`RunError::Operand`], not by a panic.
//! 3. Add `Kind { name, types, make }` to the family's `KINDS`; `types` are those of the first operand.
//! 4. Large results are shared out: cut the result into whole elements and hand the pieces to [`Context::for_each`].
//!    Each element is computed by one thread in one fixed order, so that every split gives the same bits.
//! 5. An operator that reads each element of an operand only to write the same element of the result names that operand
//!    in [`Op::in_place`]; where the plan uses that, `cx.in_place` names it, and the numbers are in the result already.
//! 6. Tests: in Rust beside the operator, against a plain loop over ragged sizes, with [`testing::run`]; in Python every
//!    case of `tests/ops/cases` runs natively as soon as the kind is in the table (`tests/rust_backend/test_rust_native.py`
//!    also holds the list of what is native).

use crate::Engine;
use crate::plan::{BuildError, DataType, DimId, RunError};

/// Raised with every change of what a kind's operands and attributes mean: who makes plans for another one is refused,
/// rather than answered with something else.
pub const REVISION: u32 = 4;

mod attention;
mod blocked;
mod blocks;
pub(crate) mod broadcast;
mod cast;
mod cells;
mod chain;
mod clamp;
mod comparison;
mod conv;
mod conv_transpose;
mod coordinates;
mod dynamic_range;
mod elementwise;
mod embedding;
mod filter;
mod float;
mod fold;
mod gate;
mod gemm;
mod indexing;
mod integer_layer;
mod layout;
mod linear;
mod lookup;
mod map;
mod matmul;
mod movement;
mod normalization;
mod numbers;
mod packed_layer;
mod parts;
mod pooling;
mod quantization;
mod recurrent;
mod reduction;
mod relative;
mod request;
mod resample;
mod scan;
mod softmax;
mod statistics;
mod stored_layer;
mod tensor;
#[cfg(test)]
pub(crate) mod testing;
mod texts;
mod unary;
mod walk;
mod windows;

pub use numbers::Element;
pub use request::{Attribute, Attributes, Number, Request};
pub use tensor::{Tensor, TensorMut};

/// The families, each with its table.
const FAMILIES: &[&[Kind]] = &[
    attention::KINDS,
    blocked::KINDS,
    blocks::KINDS,
    cast::KINDS,
    chain::KINDS,
    clamp::KINDS,
    comparison::KINDS,
    conv::KINDS,
    conv_transpose::KINDS,
    coordinates::KINDS,
    dynamic_range::KINDS,
    elementwise::KINDS,
    embedding::KINDS,
    gate::KINDS,
    gemm::KINDS,
    indexing::KINDS,
    integer_layer::KINDS,
    layout::KINDS,
    linear::KINDS,
    matmul::KINDS,
    movement::KINDS,
    normalization::KINDS,
    parts::KINDS,
    pooling::KINDS,
    quantization::KINDS,
    recurrent::KINDS,
    reduction::KINDS,
    resample::KINDS,
    scan::KINDS,
    softmax::KINDS,
    statistics::KINDS,
    stored_layer::KINDS,
    texts::KINDS,
    unary::EXACT,
    unary::FORMULAS,
    unary::ROUNDED,
    unary::VECTOR,
];

/// An operator of one plan, with everything about it that is known when the plan is built.
pub trait Op: Send + Sync {
    /// What it is, for reports: the kind, and what was fused into it.
    fn label(&self) -> String;

    /// Computes all results.
    ///
    /// # Errors
    ///
    /// The operands do not fit together.
    fn run(&self, operands: &[Tensor<'_>], results: &mut [TensorMut<'_>], cx: &mut Context<'_>)
    -> Result<(), RunError>;

    /// Constant operands whose numbers were taken over when this was made: at a run they are empty.
    fn taken(&self) -> &[usize] {
        &[]
    }

    /// Whether the originals of these are not read any more: another thread may still be packing.
    fn has_taken(&self) -> bool {
        true
    }

    /// Operands whose memory the first result may take over, where it is as large; the best one first.
    fn in_place(&self) -> &[usize] {
        &[]
    }

    /// Bytes of working memory for operands and results of these shapes.
    fn scratch(&self, _operands: &[&[usize]], _results: &[&[usize]]) -> usize {
        0
    }
}

/// What a run gives an operator besides its operands.
pub struct Context<'a> {
    /// Threads and kernels.
    pub engine: &'a Engine,
    /// The operand that is empty because its numbers are in the first result.
    pub in_place: Option<usize>,
    /// As many bytes as [`Op::scratch`] asked for, aligned to 64, with anything in them.
    pub scratch: &'a mut [u8],
    pub(crate) dims: &'a [i64],
}

impl Context<'_> {
    /// The value of a dimension in this run.
    pub fn dim(&self, id: DimId) -> i64 {
        self.dims[id.0 as usize]
    }

    /// The values of some dimensions, as sizes.
    ///
    /// # Errors
    ///
    /// One is negative.
    pub fn sizes(&self, ids: &[DimId]) -> Result<Vec<usize>, RunError> {
        let size = |id: &DimId| usize::try_from(self.dim(*id));
        let refuse = |_| RunError::Operand("a negative size".into());
        ids.iter().map(size).collect::<Result<_, _>>().map_err(refuse)
    }

    /// How many pieces to cut a computation of about `operations` operations into; 1 where threads are not worth it.
    pub fn pieces(&self, operations: usize) -> usize {
        self.engine.pieces(operations)
    }

    /// Calls `work` once for each piece, on any thread and in any order.
    pub fn for_each<T: Send>(&self, pieces: Vec<T>, work: impl Fn(T) + Sync) {
        self.engine.pool.for_each(pieces, work);
    }
}

/// A set of data types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Types(u16);

impl Types {
    /// float32 and float16.
    pub const FLOATS: Self = Self::of(&[DataType::Float32, DataType::Float16]);
    /// All types but the 4-bit ones.
    pub const ALL: Self = Self(0b00_1111_1111);
    /// All types.
    pub const ALL_AND_4_BIT: Self = Self(0b11_1111_1111);

    /// The set of these.
    pub const fn of(types: &[DataType]) -> Self {
        let (mut bits, mut index) = (0, 0);
        while index < types.len() {
            bits |= 1 << types[index] as u16;
            index += 1;
        }
        Self(bits)
    }

    /// Whether the set has this type.
    pub const fn contains(self, dtype: DataType) -> bool {
        self.0 & (1 << dtype as u16) != 0
    }
}

/// A kind of operator.
pub(crate) struct Kind {
    /// The operator's name in WebNN, or the name of what was fused.
    pub(crate) name: &'static str,
    /// Types of the first operand that there is a kernel for.
    pub(crate) types: Types,
    /// Makes one.
    pub(crate) make: fn(&Request<'_>) -> Result<Box<dyn Op>, BuildError>,
}

fn find(kind: &str) -> Option<&'static Kind> {
    FAMILIES.iter().flat_map(|family| family.iter()).find(|known| known.name == kind)
}

/// All kinds, sorted.
pub fn kinds() -> Vec<&'static str> {
    let mut names: Vec<_> = FAMILIES.iter().flat_map(|family| family.iter()).map(|kind| kind.name).collect();
    names.sort_unstable();
    names
}

/// Whether there is a kernel of this kind for a first operand of this type.
pub fn supports(kind: &str, dtype: DataType) -> bool {
    find(kind).is_some_and(|kind| kind.types.contains(dtype))
}

/// Makes an operator.
pub(crate) fn make(request: &Request<'_>) -> Result<Box<dyn Op>, BuildError> {
    let kind = find(request.kind).ok_or_else(|| request.unsupported("no such kind"))?;
    let first = request.operands.iter().flatten().next();
    if let Some(first) = first.filter(|first| !kind.types.contains(first.dtype)) {
        return Err(request.unsupported(first.dtype));
    }
    (kind.make)(request)
}

#[cfg(test)]
mod tests {
    use super::{Types, kinds};
    use crate::plan::DataType;

    #[test]
    fn each_kind_is_in_one_table() {
        let names = kinds();
        assert!(names.windows(2).all(|pair| pair[0] < pair[1]), "{names:?}");
    }

    #[test]
    fn the_sets_of_types_are_what_they_say() {
        for dtype in DataType::ALL {
            assert_eq!(Types::FLOATS.contains(dtype), dtype.is_float());
            assert_eq!(Types::ALL.contains(dtype), !dtype.name().ends_with("nt4"));
            assert!(Types::ALL_AND_4_BIT.contains(dtype));
        }
    }
}
