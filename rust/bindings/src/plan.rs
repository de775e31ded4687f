//! Plans from Python: every number is checked by the engine's builder; here they only change their types.

use std::sync::Arc;

use engine::ops::{self, Attribute, Attributes};
use engine::plan::{Batch, BuildError, DataType, DimId, Plan, PlanBuilder, RunError, TextInput, Texts, Token, ValueId};
use numpy::{PyReadonlyArray1, PyReadwriteArray1};
use pyo3::exceptions::{PyIndexError, PyMemoryError, PyNotImplementedError, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyString};

use crate::PyEngine;
use crate::arrays::Kept;

/// Builds a [`PyPlan`]: dimensions, values and steps are known by the numbers that the methods return.
#[pyclass(name = "PlanBuilder", module = "webnn_kernels")]
pub(crate) struct PyPlanBuilder {
    names: Vec<String>,
    builder: Option<PlanBuilder>,
    dims: Vec<DimId>,
    values: Vec<ValueId>,
}

#[pymethods]
impl PyPlanBuilder {
    #[new]
    fn new(engine: &PyEngine, names: Vec<String>) -> Self {
        let builder = PlanBuilder::new(Arc::clone(&engine.engine), names.len());
        Self { names, builder: Some(builder), dims: vec![], values: vec![] }
    }

    /// An expression in postfix order: integers, names, and the signs `+`, `*`, `//`, `<` (smaller), `>` (larger).
    fn dimension(&mut self, tokens: Vec<Bound<'_, PyAny>>) -> PyResult<usize> {
        let tokens: Vec<Token> = tokens.iter().map(|token| self.token(token)).collect::<PyResult<_>>()?;
        let id = self.builder()?.dimension(&tokens).map_err(refused)?;
        self.dims.push(id);
        Ok(self.dims.len() - 1)
    }

    /// The next input.
    fn input(&mut self, dtype: &str, shape: Vec<usize>) -> PyResult<usize> {
        let (dtype, shape) = (named(dtype)?, self.shape(&shape)?);
        let value = self.builder()?.input(dtype, &shape).map_err(refused)?;
        Ok(self.keep(value))
    }

    /// A constant, given by its bytes in a read-only array, which is kept as long as a step needs it.
    fn constant(&mut self, dtype: &str, shape: Vec<usize>, data: &Bound<'_, PyAny>) -> PyResult<usize> {
        let (dtype, shape) = (named(dtype)?, self.shape(&shape)?);
        let owner = Arc::new(Kept::new("data", data)?);
        let value = self.builder()?.constant(dtype, &shape, owner).map_err(refused)?;
        Ok(self.keep(value))
    }

    /// Another value's numbers under another shape.
    fn alias(&mut self, of: usize, shape: Vec<usize>) -> PyResult<usize> {
        let (of, shape) = (self.value(of)?, self.shape(&shape)?);
        let value = self.builder()?.alias(of, &shape).map_err(refused)?;
        Ok(self.keep(value))
    }

    /// The next step; `NotImplementedError` where there is no kernel for it.
    ///
    /// An attribute is a pair: `bool`, `int`, `ints`, `float`, `floats`, `text`, `texts` or `dims`, and its value. Errors of
    /// runs name the node.
    #[pyo3(signature = (kind, operands, attributes, results, node=""))]
    fn step(
        &mut self,
        kind: &str,
        operands: Vec<Option<usize>>,
        attributes: &Bound<'_, PyDict>,
        results: Vec<(String, Vec<usize>)>,
        node: &str,
    ) -> PyResult<Vec<usize>> {
        let operands = self.optional_values(operands)?;
        let mut named_attributes = Attributes::default();
        for (name, value) in attributes {
            let (tag, value): (String, Bound<'_, PyAny>) = value.extract()?;
            named_attributes.insert(&name.extract::<String>()?, self.attribute(&tag, &value)?);
        }
        let results = self.kinds(&results)?;
        let kinds: Vec<(DataType, &[DimId])> = results.iter().map(|(dtype, shape)| (*dtype, &shape[..])).collect();
        let builder = self.builder()?;
        let made = builder.step(kind, &operands, &named_attributes, &kinds).map_err(refused)?;
        builder.name(node);
        Ok(made.into_iter().map(|value| self.keep(value)).collect())
    }

    /// A step of another plan on other values, sharing the constants that it has taken over.
    fn again(
        &mut self,
        plan: &PyPlan,
        step: usize,
        operands: Vec<Option<usize>>,
        results: Vec<(String, Vec<usize>)>,
    ) -> PyResult<Vec<usize>> {
        let (operands, results) = (self.optional_values(operands)?, self.kinds(&results)?);
        let kinds: Vec<(DataType, &[DimId])> = results.iter().map(|(dtype, shape)| (*dtype, &shape[..])).collect();
        let made = self.builder()?.again(&plan.plan, step, &operands, &kinds).map_err(refused)?;
        Ok(made.into_iter().map(|value| self.keep(value)).collect())
    }

    /// Makes this a plan for `run_texts`: three names, what each input holds (`tokens`, `starts` or `places`), and
    /// whether each result has parts for all tokens.
    fn texts(&mut self, names: [String; 3], inputs: Vec<String>, per_token: Vec<bool>) -> PyResult<()> {
        let [tokens, texts, longest] = names.map(|name| self.name(&name));
        let input = |word: &String| match word.as_str() {
            "tokens" => Ok(TextInput::Tokens),
            "starts" => Ok(TextInput::Starts),
            "places" => Ok(TextInput::Places),
            other => Err(PyValueError::new_err(format!("an input of '{other}'; must be tokens, starts or places"))),
        };
        let inputs = inputs.iter().map(input).collect::<PyResult<_>>()?;
        let texts = Texts { tokens: tokens?, texts: texts?, longest: longest?, inputs, per_token };
        self.builder()?.texts(texts).map_err(refused)
    }

    /// Lets runs be cut along a name: which inputs have items, and the dimension that is the rows of one item.
    fn batch(&mut self, name: &str, inputs: Vec<bool>, rows: usize) -> PyResult<()> {
        let name = self.name(name)?;
        let rows = self.shape(&[rows])?[0];
        self.builder()?.batch(Batch { name, inputs, rows }).map_err(refused)
    }

    /// The finished plan; this builder is empty then. `budget` bounds the bytes for values of each run.
    #[pyo3(signature = (outputs, budget=None))]
    fn build(&mut self, outputs: Vec<usize>, budget: Option<usize>) -> PyResult<PyPlan> {
        let outputs: Vec<ValueId> = outputs.into_iter().map(|value| self.value(value)).collect::<PyResult<_>>()?;
        self.builder()?;
        let builder = self.builder.take().ok_or_else(finished)?;
        Ok(PyPlan { plan: builder.build(&outputs, budget).map_err(refused)? })
    }
}

impl PyPlanBuilder {
    fn builder(&mut self) -> PyResult<&mut PlanBuilder> {
        self.builder.as_mut().ok_or_else(finished)
    }

    fn keep(&mut self, value: ValueId) -> usize {
        self.values.push(value);
        self.values.len() - 1
    }

    fn value(&self, index: usize) -> PyResult<ValueId> {
        let missing = || PyValueError::new_err(format!("value {index}; there are {}", self.values.len()));
        self.values.get(index).copied().ok_or_else(missing)
    }

    fn name(&self, name: &str) -> PyResult<usize> {
        let found = self.names.iter().position(|known| known == name);
        found.ok_or_else(|| PyValueError::new_err(format!("dimension '{name}' is not a name")))
    }

    fn optional_values(&self, values: Vec<Option<usize>>) -> PyResult<Vec<Option<ValueId>>> {
        values.into_iter().map(|value| value.map(|value| self.value(value)).transpose()).collect()
    }

    fn kinds(&self, kinds: &[(String, Vec<usize>)]) -> PyResult<Vec<(DataType, Vec<DimId>)>> {
        kinds.iter().map(|(dtype, shape)| Ok((named(dtype)?, self.shape(shape)?))).collect()
    }

    fn shape(&self, dims: &[usize]) -> PyResult<Vec<DimId>> {
        let missing = |index| PyValueError::new_err(format!("dimension {index}; there are {}", self.dims.len()));
        dims.iter().map(|index| self.dims.get(*index).copied().ok_or_else(|| missing(index))).collect()
    }

    fn token(&self, token: &Bound<'_, PyAny>) -> PyResult<Token> {
        let Ok(word) = token.cast::<PyString>() else {
            return token.extract().map(Token::Number);
        };
        let word: String = word.extract()?;
        Ok(match &*word {
            "+" => Token::Add,
            "*" => Token::Multiply,
            "//" => Token::Divide,
            "<" => Token::Min,
            ">" => Token::Max,
            name => Token::Name(self.name(name)?),
        })
    }

    fn attribute(&self, tag: &str, value: &Bound<'_, PyAny>) -> PyResult<Attribute> {
        Ok(match tag {
            "bool" => Attribute::Bool(value.cast::<PyBool>()?.is_true()),
            "int" => match value.extract() {
                Ok(value) => Attribute::Int(value),
                Err(_) => Attribute::Unsigned(value.extract()?),
            },
            "ints" => Attribute::Ints(value.extract()?),
            "float" => Attribute::Float(value.extract()?),
            "floats" => Attribute::Floats(value.extract()?),
            "text" => Attribute::Text(value.extract()?),
            "texts" => Attribute::Texts(value.extract()?),
            "dims" => Attribute::Dims(self.shape(&value.extract::<Vec<usize>>()?)?),
            other => return Err(PyTypeError::new_err(format!("attribute of type '{other}'"))),
        })
    }
}

/// A graph that runs in one call, without the GIL, from any number of threads.
#[pyclass(name = "Plan", module = "webnn_kernels", frozen)]
pub(crate) struct PyPlan {
    plan: Plan,
}

#[pymethods]
impl PyPlan {
    /// What each step is, in order.
    #[getter]
    fn labels(&self) -> Vec<String> {
        self.plan.labels()
    }

    /// The constant operands whose numbers a step has taken over, by their position.
    fn taken(&self, step: usize) -> Vec<usize> {
        self.plan.taken(step).to_vec()
    }

    /// Whether no step reads the constants that it takes over any more; until then other threads are packing them.
    fn has_taken(&self) -> bool {
        self.plan.has_taken()
    }

    /// Bytes for values that a run with these values of the names takes, apart from inputs, results and constants.
    fn arena_bytes(&self, names: Vec<i64>) -> PyResult<usize> {
        self.plan.arena_bytes(&names).map_err(failed)
    }

    /// Computes all results into `outputs`; all arrays are bytes, in C order.
    ///
    /// The inputs are copied before the GIL is released, so that no one can change them meanwhile.
    fn run(
        &self,
        py: Python<'_>,
        names: Vec<i64>,
        inputs: Vec<PyReadonlyArray1<'_, u8>>,
        mut outputs: Vec<PyReadwriteArray1<'_, u8>>,
    ) -> PyResult<()> {
        let (copies, mut outputs) = (copies(inputs)?, slices(&mut outputs)?);
        let inputs: Vec<&[u8]> = copies.iter().map(|(words, size)| &engine::plan::bytes_of(words)[..*size]).collect();
        py.detach(|| self.plan.run(&names, &inputs, &mut outputs)).map_err(failed)
    }

    /// The same for texts of these lengths, whose tokens lie one after another in the inputs.
    fn run_texts(
        &self,
        py: Python<'_>,
        names: Vec<i64>,
        lengths: Vec<usize>,
        inputs: Vec<PyReadonlyArray1<'_, u8>>,
        mut outputs: Vec<PyReadwriteArray1<'_, u8>>,
    ) -> PyResult<()> {
        let (copies, mut outputs) = (copies(inputs)?, slices(&mut outputs)?);
        let inputs: Vec<&[u8]> = copies.iter().map(|(words, size)| &engine::plan::bytes_of(words)[..*size]).collect();
        py.detach(|| self.plan.run_texts(&names, &lengths, &inputs, &mut outputs)).map_err(failed)
    }
}

/// Copies of inputs, and the bytes in each.
fn copies(inputs: Vec<PyReadonlyArray1<'_, u8>>) -> PyResult<Vec<(Vec<u128>, usize)>> {
    let copy = |input: &PyReadonlyArray1<'_, u8>| {
        let bytes = input.as_slice().map_err(|error| PyValueError::new_err(format!("inputs: {error}")))?;
        Ok((aligned(bytes), bytes.len()))
    };
    inputs.iter().map(copy).collect()
}

/// The bytes of results.
fn slices<'a>(outputs: &'a mut [PyReadwriteArray1<'_, u8>]) -> PyResult<Vec<&'a mut [u8]>> {
    let refuse = |error| PyValueError::new_err(format!("outputs: {error}"));
    outputs.iter_mut().map(|output| output.as_slice_mut().map_err(refuse)).collect()
}

/// A copy on words that every element type is aligned on.
fn aligned(bytes: &[u8]) -> Vec<u128> {
    let word = |chunk: &[u8]| {
        let mut word = [0; size_of::<u128>()];
        word[..chunk.len()].copy_from_slice(chunk);
        u128::from_ne_bytes(word)
    };
    bytes.chunks(size_of::<u128>()).map(word).collect()
}

/// Names of all kinds of steps.
#[pyfunction]
pub(crate) fn kinds() -> Vec<&'static str> {
    ops::kinds()
}

/// Whether there are kernels of this kind for a first operand of this type.
#[pyfunction]
pub(crate) fn supports(kind: &str, dtype: &str) -> PyResult<bool> {
    Ok(ops::supports(kind, named(dtype)?))
}

fn named(dtype: &str) -> PyResult<DataType> {
    DataType::from_name(dtype).ok_or_else(|| PyValueError::new_err(format!("there is no data type '{dtype}'")))
}

fn finished() -> PyErr {
    PyRuntimeError::new_err("the plan is built already; start with a new builder")
}

fn refused(error: BuildError) -> PyErr {
    match error {
        BuildError::Unsupported(_) => PyNotImplementedError::new_err(error.to_string()),
        BuildError::NoMemory { .. } => PyMemoryError::new_err(error.to_string()),
        BuildError::Panic(_) => PyRuntimeError::new_err(error.to_string()),
        _ => PyValueError::new_err(error.to_string()),
    }
}

fn failed(error: RunError) -> PyErr {
    match error {
        RunError::Memory { .. } | RunError::NoMemory { .. } | RunError::NoMemoryForWeights { .. } => {
            PyMemoryError::new_err(error.to_string())
        }
        RunError::Panic(_) => PyRuntimeError::new_err(error.to_string()),
        RunError::NoElements(_) => PyIndexError::new_err(error.to_string()),
        _ => PyValueError::new_err(error.to_string()),
    }
}
