//! A graph as the engine runs it: values over an arena, and steps in order.
//!
//! A [`PlanBuilder`] checks everything it is given and never panics. A [`Plan`] evaluates its dimensions, lays its
//! values out in an arena whose size it knows before it allocates, and runs the steps. Plans are shared by any number of
//! threads; each run has an arena of its own.

mod arena;
mod builder;
mod dims;
mod error;
mod layout;
mod run;
mod split;
mod texts;
mod value;

pub use builder::PlanBuilder;
pub(crate) use dims::Dims;
pub use dims::{DimId, Token};
pub use error::{BuildError, RunError};
pub use run::Plan;
pub use split::Batch;
pub use texts::{TextInput, Texts};
pub use value::{DataType, Owner, ValueId, ValueType};

use std::sync::Arc;

use crate::ops::Op;
use value::Value;

/// One operator of a plan, and the values it works on.
struct Step {
    op: Arc<dyn Op>,
    operands: Box<[Option<ValueId>]>,
    results: Box<[ValueId]>,
    /// Whose it is, for errors: empty for nobody's.
    name: Box<str>,
}

/// What a plan is made of, after building: nothing in it changes.
struct Program {
    dims: Dims,
    values: Vec<Value>,
    /// For each value, the one that its numbers belong to: itself, unless it is an alias.
    roots: Vec<ValueId>,
    steps: Vec<Step>,
    inputs: Vec<ValueId>,
    outputs: Vec<ValueId>,
    /// For each root, the last step that reads or makes it.
    last_uses: Vec<usize>,
}

impl Program {
    fn root(&self, value: ValueId) -> ValueId {
        self.roots[value.0 as usize]
    }
}

/// Words as bytes: memory that every element type is aligned on.
pub fn bytes_of(words: &[u128]) -> &[u8] {
    bytemuck::cast_slice(words)
}
