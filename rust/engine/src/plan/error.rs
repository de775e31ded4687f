//! What can be wrong with a plan, and with one run of it.

use std::any::Any;
use std::fmt;

use kernels::NoMemory;

/// A plan that cannot be built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BuildError {
    /// A dimension expression is malformed.
    Dimension(String),
    /// A value that the plan does not have, or that cannot be used so.
    Value(String),
    /// An attribute is missing or has another type.
    Attribute(String),
    /// There is no kernel of this kind for these types or options; the definition of the operator has to do it.
    Unsupported(String),
    /// The system does not have the memory for weights.
    NoMemory {
        /// Bytes that were asked for.
        needed: usize,
    },
    /// Making a step panicked: a mistake of ours.
    Panic(String),
}

impl BuildError {
    /// The error that a panic stands for.
    pub(super) fn of(panic: &(dyn Any + Send)) -> Self {
        match panic.downcast_ref() {
            Some(NoMemory(needed)) => Self::NoMemory { needed: *needed },
            None => Self::Panic(said(panic)),
        }
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dimension(what) => write!(f, "dimension expression: {what}"),
            Self::Value(what) | Self::Attribute(what) | Self::Unsupported(what) => f.write_str(what),
            Self::NoMemory { needed } => {
                write!(f, "{needed} bytes are needed for weights; the system does not have them")
            }
            Self::Panic(what) => write!(f, "internal error: {what}"),
        }
    }
}

impl std::error::Error for BuildError {}

/// A run that cannot be done; no result of it may be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunError {
    /// A dimension has no valid value.
    Dimension(String),
    /// An array of the caller's has the wrong size.
    Array(String),
    /// The run needs more memory than it may use.
    Memory {
        /// Bytes it needs.
        needed: usize,
        /// Bytes it may use.
        allowed: usize,
    },
    /// The run needs more memory than the system gives.
    NoMemory {
        /// Bytes it needs.
        needed: usize,
    },
    /// The system does not have the memory for weights that are packed at their first use.
    NoMemoryForWeights {
        /// Bytes that were asked for.
        needed: usize,
    },
    /// Operands do not fit together.
    Operand(String),
    /// An operator has to read an axis that is empty.
    NoElements(String),
    /// A step panicked: a mistake of ours.
    Panic(String),
}

impl RunError {
    /// The error that a panic stands for.
    pub(super) fn of(panic: &(dyn Any + Send)) -> Self {
        match panic.downcast_ref() {
            Some(NoMemory(needed)) => Self::NoMemoryForWeights { needed: *needed },
            None => Self::Panic(said(panic)),
        }
    }

    /// The error with the step that it happened in, and whose that is.
    pub(crate) fn in_step(self, node: &str, label: &str) -> Self {
        let label = if node.is_empty() { label.to_owned() } else { format!("node '{node}': {label}") };
        match self {
            Self::Operand(what) => Self::Operand(format!("{label}: {what}")),
            Self::NoElements(what) => Self::NoElements(format!("{label}: {what}")),
            Self::Panic(what) => Self::Panic(format!("{label}: {what}")),
            other => other,
        }
    }
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dimension(what) => write!(f, "dimensions: {what}"),
            Self::Array(what) | Self::Operand(what) | Self::NoElements(what) => f.write_str(what),
            Self::Memory { needed, allowed } => {
                write!(f, "{needed} bytes are needed for values; {allowed} are allowed")
            }
            Self::NoMemory { needed } => {
                write!(
                    f,
                    "{needed} bytes are needed for values; the system does not have them, give max_memory or less at once"
                )
            }
            Self::NoMemoryForWeights { needed } => {
                write!(f, "{needed} bytes are needed for weights; the system does not have them")
            }
            Self::Panic(what) => write!(f, "internal error: {what}"),
        }
    }
}

impl std::error::Error for RunError {}

/// What a panic said.
fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic".into())
}
