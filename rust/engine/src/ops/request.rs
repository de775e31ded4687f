//! What an operator is made from: its options, operands and results.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::Engine;
use crate::plan::{BuildError, DimId, Dims, ValueType};

/// An option of an operator.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Attribute {
    Bool(bool),
    Int(i64),
    /// An integer that `Int` cannot hold.
    Unsigned(u64),
    Ints(Vec<i64>),
    Float(f64),
    Floats(Vec<f64>),
    Text(String),
    Texts(Vec<String>),
    /// Dimensions, each a number or an expression of names.
    Dims(Vec<DimId>),
}

/// An option that may be written with or without a fraction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// Exactly this, of any type of integers.
    Int(i128),
    /// As near as a float64 is.
    Float(f64),
}

impl Number {
    /// As a float64.
    pub fn float(self) -> f64 {
        match self {
            Self::Int(value) => value as f64,
            Self::Float(value) => value,
        }
    }
}

/// The options of an operator, without those that are absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attributes(BTreeMap<String, Attribute>);

macro_rules! getters {
    ($($(#[$doc:meta])* $required:ident, $optional:ident: $variant:ident -> $type:ty;)*) => {
        $(
            $(#[$doc])*
            ///
            /// # Errors
            ///
            /// It is absent or of another type.
            pub fn $required(&self, name: &str) -> Result<&$type, BuildError> {
                self.$optional(name)?.ok_or_else(|| BuildError::Attribute(format!("no attribute '{name}'")))
            }

            /// The same, or `None` where it is absent.
            ///
            /// # Errors
            ///
            /// It is of another type.
            pub fn $optional(&self, name: &str) -> Result<Option<&$type>, BuildError> {
                match self.0.get(name) {
                    None => Ok(None),
                    Some(Attribute::$variant(value)) => Ok(Some(value)),
                    Some(other) => {
                        let wanted = stringify!($variant);
                        Err(BuildError::Attribute(format!("attribute '{name}' is {other:?}; must be {wanted}")))
                    }
                }
            }
        )*
    };
}

impl Attributes {
    /// Adds an option, or replaces it.
    pub fn insert(&mut self, name: &str, value: Attribute) {
        self.0.insert(name.to_owned(), value);
    }

    /// All of them.
    pub fn values(&self) -> impl Iterator<Item = &Attribute> {
        self.0.values()
    }

    /// All of them with their names.
    pub(crate) fn named(&self) -> impl Iterator<Item = (&str, &Attribute)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    getters! {
        /// A truth.
        bool, optional_bool: Bool -> bool;
        /// An integer.
        int, optional_int: Int -> i64;
        /// Integers.
        ints, optional_ints: Ints -> [i64];
        /// A number.
        float, optional_float: Float -> f64;
        /// Numbers.
        floats, optional_floats: Floats -> [f64];
        /// A word.
        text, optional_text: Text -> str;
        /// Words.
        texts, optional_texts: Texts -> [String];
        /// Dimensions.
        dims, optional_dims: Dims -> [DimId];
    }

    /// An integer or a float.
    ///
    /// # Errors
    ///
    /// It is of another type.
    pub fn optional_exact_number(&self, name: &str) -> Result<Option<Number>, BuildError> {
        match self.0.get(name) {
            Some(Attribute::Int(value)) => Ok(Some(Number::Int((*value).into()))),
            Some(Attribute::Unsigned(value)) => Ok(Some(Number::Int((*value).into()))),
            _ => Ok(self.optional_float(name)?.map(|value| Number::Float(*value))),
        }
    }

    /// An integer or a float, as a float.
    ///
    /// # Errors
    ///
    /// It is of another type.
    pub fn optional_number(&self, name: &str) -> Result<Option<f64>, BuildError> {
        Ok(self.optional_exact_number(name)?.map(Number::float))
    }

    /// An axis of a value of `rank` dimensions.
    ///
    /// # Errors
    ///
    /// It is absent or not an axis.
    pub fn axis(&self, name: &str, rank: usize) -> Result<usize, BuildError> {
        let axis = *self.int(name)?;
        let found = usize::try_from(axis).ok().filter(|axis| *axis < rank);
        found.ok_or_else(|| BuildError::Attribute(format!("attribute '{name}' is {axis}; must be an axis of {rank}")))
    }

    /// Distinct axes of a value of `rank` dimensions.
    ///
    /// # Errors
    ///
    /// They are absent, not axes, or one occurs twice.
    pub fn axes(&self, name: &str, rank: usize) -> Result<Vec<usize>, BuildError> {
        let axes = self.ints(name)?;
        let refuse = || BuildError::Attribute(format!("attribute '{name}' is {axes:?}; must be axes of {rank}"));
        let found = axes.iter().map(|axis| usize::try_from(*axis).ok().filter(|axis| *axis < rank));
        let found: Vec<usize> = found.collect::<Option<_>>().ok_or_else(refuse)?;
        let is_distinct = found.iter().enumerate().all(|(index, axis)| !found[..index].contains(axis));
        if is_distinct { Ok(found) } else { Err(refuse()) }
    }
}

/// What an operator is made from.
pub struct Request<'a> {
    /// The kind, as in the table.
    pub kind: &'a str,
    /// Its options.
    pub attributes: &'a Attributes,
    /// Its operands; `None` where an optional one is absent.
    pub operands: &'a [Option<ValueType>],
    /// Its results.
    pub results: &'a [ValueType],
    /// The engine that will run it, for what is packed now.
    pub engine: &'a Arc<Engine>,
    pub(crate) dims: &'a Dims,
}

impl Request<'_> {
    /// An operand that has to be there.
    ///
    /// # Errors
    ///
    /// It is absent.
    pub fn operand(&self, position: usize) -> Result<&ValueType, BuildError> {
        let missing = || BuildError::Value(format!("{}: operand {position} is absent", self.kind));
        self.optional(position).ok_or_else(missing)
    }

    /// An operand that may be absent.
    pub fn optional(&self, position: usize) -> Option<&ValueType> {
        self.operands.get(position).and_then(Option::as_ref)
    }

    /// The only result.
    ///
    /// # Errors
    ///
    /// There is none, or another one.
    pub fn result(&self) -> Result<&ValueType, BuildError> {
        match self.results {
            [result] => Ok(result),
            _ => Err(BuildError::Value(format!("{}: {} results; must be 1", self.kind, self.results.len()))),
        }
    }

    /// The value of a dimension that no name changes.
    pub fn fixed(&self, id: DimId) -> Option<i64> {
        self.dims.has(id).then(|| self.dims.fixed(id)).flatten()
    }

    /// The error for what this kind has no kernel for.
    pub fn unsupported(&self, what: impl std::fmt::Display) -> BuildError {
        BuildError::Unsupported(format!("{}: {what}", self.kind))
    }
}
