//! The Python module: takes arrays, checks them, releases the GIL, calls the engine.
//!
//! The GIL is released while the engine reads the arguments. The borrows keep other calls of this module from writing
//! them meanwhile; Python code that does so in another thread reads or computes garbage numbers, which is why the
//! backend only passes arrays that it owns.

mod arrays;
mod packed_file;
mod plan;

use std::sync::Arc;

use engine::{Activation, Batch, Engine, HeadsMask, Isa, Kernels, Layer, LayerNorm, PackedMatrix, Rows, Scores};
use numpy::{PyArrayDyn, PyReadonlyArrayDyn, PyUntypedArrayMethods};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;

use packed_file::PyPackedFile;

/// More threads than one computation can use; starting many more would exhaust the process.
const MOST_THREADS: usize = 1024;

/// Kernels of one instruction set and the threads that run them.
#[pyclass(name = "Engine", module = "webnn_kernels", frozen)]
pub(crate) struct PyEngine {
    pub(crate) engine: Arc<Engine>,
}

/// A constant right-hand matrix in the order in which one instruction set's kernels read it.
#[pyclass(name = "PackedMatrix", module = "webnn_kernels", frozen)]
struct PyPackedMatrix {
    matrix: PackedMatrix,
    isa: Isa,
}

#[pymethods]
impl PyPackedMatrix {
    /// Rows and columns.
    #[getter]
    fn shape(&self) -> (usize, usize) {
        let panels = self.matrix.panels();
        (panels.k(), panels.n())
    }

    /// The instruction set it was packed for.
    #[getter]
    fn isa(&self) -> &'static str {
        self.isa.name()
    }
}

#[pymethods]
impl PyEngine {
    #[new]
    #[pyo3(signature = (threads=None, isa=None, packed_file=None))]
    fn new(threads: Option<usize>, isa: Option<&str>, packed_file: Option<&PyPackedFile>) -> PyResult<Self> {
        let threads = match threads {
            None => engine::default_threads(),
            Some(threads) if !(1..=MOST_THREADS).contains(&threads) => {
                let message = format!("threads: {threads}; must be 1 to {MOST_THREADS}, or None for all");
                return Err(PyValueError::new_err(message));
            }
            Some(threads) => threads,
        };
        let kernels = match isa {
            None => chosen()?,
            Some(name) => kernels_of(name)?,
        };
        let engine = Engine::new(kernels, threads);
        let engine = match packed_file {
            Some(packed) => engine.with_packed_file(Arc::clone(&packed.file)),
            None => engine,
        };
        Ok(Self { engine: Arc::new(engine) })
    }

    /// Threads that share the work, the caller's among them.
    #[getter]
    fn threads(&self) -> usize {
        self.engine.threads()
    }

    /// The instruction set in use.
    #[getter]
    fn isa(&self) -> &'static str {
        self.engine.kernels().isa.name()
    }

    /// The instruction that sums products of integers.
    #[getter]
    fn integers(&self) -> &'static str {
        self.engine.integers()
    }

    /// Packs a constant matrix, transposed or not, for `linear`.
    fn pack(&self, py: Python<'_>, matrix: &Bound<'_, PyAny>) -> PyResult<PyPackedMatrix> {
        let array = arrays::read("matrix", matrix)?;
        let &[k, n] = array.shape() else {
            return Err(PyValueError::new_err(format!("matrix: shape {:?}; must be [rows, columns]", array.shape())));
        };
        let (data, strides) = arrays::permuted("matrix", &array)?;
        let strides = [strides[0], strides[1]];
        let matrix = py.detach(|| self.engine.pack(data, [k, n], strides));
        Ok(PyPackedMatrix { matrix, isa: self.engine.kernels().isa })
    }

    /// `activation(x @ weights + bias) + residual` over the last axis of `x`.
    #[pyo3(signature = (x, weights, bias=None, activation="identity", residual=None, out=None))]
    #[allow(clippy::too_many_arguments)]
    fn linear<'py>(
        &self,
        py: Python<'py>,
        x: &Bound<'py, PyAny>,
        weights: &PyPackedMatrix,
        bias: Option<&Bound<'py, PyAny>>,
        activation: &str,
        residual: Option<&Bound<'py, PyAny>>,
        out: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if weights.isa != self.engine.kernels().isa {
            let (packed, running) = (weights.isa, self.engine.kernels().isa);
            return Err(PyValueError::new_err(format!("weights: packed for {packed}; this engine runs {running}")));
        }
        let activation = named(activation)?;
        let (k, n) = weights.shape();
        let x = arrays::read("x", x)?;
        let Some((inner, outer)) = x.shape().split_last().filter(|(inner, _)| **inner == k) else {
            return Err(PyValueError::new_err(format!(
                "x: shape {:?}; the last axis must have {k} elements",
                x.shape()
            )));
        };
        let count: usize = outer.iter().product();
        let shape = [outer, &[n]].concat();
        let bias = vector("bias", bias, n)?;
        let residual = residual.map(|residual| arrays::read("residual", residual)).transpose()?;
        if let Some(residual) = residual.as_ref().filter(|residual| residual.shape() != shape) {
            return Err(PyValueError::new_err(format!("residual: shape {:?}; must be {shape:?}", residual.shape())));
        }
        let rows = |data, cols| Rows::new(data, count, cols, cols).ok_or_else(|| PyValueError::new_err("x: too short"));
        let input = rows(arrays::elements("x", &x)?, *inner)?;
        let bias = bias.as_ref().map(|bias| arrays::elements("bias", bias)).transpose()?;
        let residual = residual.as_ref().map(|residual| arrays::elements("residual", residual)).transpose()?;
        let residual = residual.map(|data| rows(data, n)).transpose()?;
        let layer = Layer { weights: &weights.matrix, bias, activation, factor: None, residual };
        into_array(py, out, &shape, |out| self.engine.linear(input, layer, out))
    }

    /// `(x - mean) / sqrt(variance + epsilon) * scale + bias` over the last axis.
    #[pyo3(signature = (x, scale=None, bias=None, epsilon=1e-5, out=None))]
    fn layer_norm<'py>(
        &self,
        py: Python<'py>,
        x: &Bound<'py, PyAny>,
        scale: Option<&Bound<'py, PyAny>>,
        bias: Option<&Bound<'py, PyAny>>,
        epsilon: f32,
        out: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let x = arrays::read("x", x)?;
        let Some((cols, outer)) = x.shape().split_last().filter(|(cols, _)| **cols > 0) else {
            return Err(PyValueError::new_err(format!("x: shape {:?}; must have rows of elements", x.shape())));
        };
        let (scale, bias) = (vector("scale", scale, *cols)?, vector("bias", bias, *cols)?);
        let scale = scale.as_ref().map(|scale| arrays::elements("scale", scale)).transpose()?;
        let bias = bias.as_ref().map(|bias| arrays::elements("bias", bias)).transpose()?;
        let rows = Rows::new(arrays::elements("x", &x)?, outer.iter().product(), *cols, *cols);
        let task = LayerNorm { x: rows.ok_or_else(|| PyValueError::new_err("x: too short"))?, scale, bias, epsilon };
        into_array(py, out, x.shape(), |out| self.engine.layer_norm(task, out))
    }

    /// An activation of every element.
    #[pyo3(signature = (x, activation, out=None))]
    fn activate<'py>(
        &self,
        py: Python<'py>,
        x: &Bound<'py, PyAny>,
        activation: &str,
        out: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (x, activation) = (arrays::read("x", x)?, named(activation)?);
        let data = arrays::elements("x", &x)?;
        into_array(py, out, x.shape(), |out| self.engine.activate(activation, data, out))
    }

    /// `a @ b` with NumPy's broadcasting of the leading axes.
    #[pyo3(signature = (a, b, out=None))]
    fn matmul<'py>(
        &self,
        py: Python<'py>,
        a: &Bound<'py, PyAny>,
        b: &Bound<'py, PyAny>,
        out: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (a, b) = (arrays::read("a", a)?, arrays::read("b", b)?);
        let mismatch = || PyValueError::new_err(format!("b: shape {:?} cannot follow {:?}", b.shape(), a.shape()));
        let ([a_outer @ .., m, k], [b_outer @ .., b_k, n]) = (a.shape(), b.shape()) else {
            return Err(mismatch());
        };
        if k != b_k {
            return Err(mismatch());
        }
        let (right, b_strides) = arrays::permuted("b", &b)?;
        let (b_outer_strides, inner_strides) = b_strides.split_at(b_outer.len());
        let left = arrays::elements("a", &a)?;
        let (_, a_strides) = arrays::permuted("a", &a)?;
        let outer = engine::broadcast(a_outer, b_outer).ok_or_else(mismatch)?;
        let starts = engine::starts(&outer, [(a_outer, &a_strides), (b_outer, b_outer_strides)]);
        let shape = [&outer[..], &[*m, *n]].concat();
        let batch = Batch {
            a: left,
            b: right,
            shape: [*m, *k, *n],
            b_strides: [inner_strides[0], inner_strides[1]],
            starts: &starts,
        };
        into_array(py, out, &shape, |out| self.engine.matmul(batch, out))
    }

    /// `softmax(mask(scale * q @ k^T + bias)) @ v`, all `[batch, heads, rows, columns]`; the result has its heads third.
    #[pyo3(signature = (q, k, v, scale, mask=None, fill=None, undefined_is_zero=false, bias=None, out=None))]
    #[allow(clippy::too_many_arguments)]
    fn attention<'py>(
        &self,
        py: Python<'py>,
        q: &Bound<'py, PyAny>,
        k: &Bound<'py, PyAny>,
        v: &Bound<'py, PyAny>,
        scale: f32,
        mask: Option<&Bound<'py, PyAny>>,
        fill: Option<f32>,
        undefined_is_zero: bool,
        bias: Option<&Bound<'py, PyAny>>,
        out: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (q, k, v) = (arrays::read("q", q)?, arrays::read("k", k)?, arrays::read("v", v)?);
        let views = [arrays::heads("q", &q)?, arrays::heads("k", &k)?, arrays::heads("v", &v)?];
        let [[batch, heads, queries, depth], [.., keys, _], [.., width]] = views.map(|view| view.shape());
        for (name, found, expected) in
            [("k", views[1].shape(), [batch, heads, keys, depth]), ("v", views[2].shape(), [batch, heads, keys, width])]
        {
            if found != expected {
                return Err(PyValueError::new_err(format!("{name}: shape {found:?}; must be {expected:?}")));
            }
        }
        if keys == 0 {
            return Err(PyValueError::new_err("k: no keys; a softmax needs at least one"));
        }
        let mask = mask.map(|mask| arrays::read("mask", mask)).transpose()?;
        let bias = bias.map(|bias| arrays::read("bias", bias)).transpose()?;
        let all = [batch, heads, queries, keys];
        let view = mask.as_ref().map(|mask| arrays::repeated("mask", mask, all)).transpose()?;
        let bias = bias.as_ref().map(|bias| arrays::repeated("bias", bias, all)).transpose()?;
        let mask = match (view, fill) {
            (None, None) => HeadsMask::None,
            (None, Some(_)) => return Err(PyValueError::new_err("fill: given without a mask")),
            (Some(view), None) => HeadsMask::Add(view),
            (Some(keep), Some(fill)) => HeadsMask::Keep { keep, fill },
        };
        let scores = Scores { scale, bias, relative: &[], mask, undefined_is_zero, bfloat16: false };
        let shape = [batch, queries, heads, width];
        into_array(py, out, &shape, |out| self.engine.attention(views, scores, out))
    }
}

/// The activation called `name`.
fn named(name: &str) -> PyResult<Activation> {
    Activation::from_name(name).ok_or_else(|| {
        let known: Vec<_> = Activation::NAMES.iter().map(|(name, _)| *name).collect();
        PyValueError::new_err(format!("activation: '{name}'; must be one of {}", known.join(", ")))
    })
}

/// An optional vector of `size` elements.
fn vector<'py>(
    name: &str,
    value: Option<&Bound<'py, PyAny>>,
    size: usize,
) -> PyResult<Option<PyReadonlyArrayDyn<'py, f32>>> {
    let array = value.map(|value| arrays::read(name, value)).transpose()?;
    match array.as_ref().filter(|array| array.shape() != [size]) {
        Some(array) => Err(PyValueError::new_err(format!("{name}: shape {:?}; must be [{size}]", array.shape()))),
        None => Ok(array),
    }
}

/// Computes, without the GIL, into `out` or into a new array of `shape`.
fn into_array<'py>(
    py: Python<'py>,
    out: Option<Bound<'py, PyAny>>,
    shape: &[usize],
    work: impl FnOnce(&mut [f32]) + Send,
) -> PyResult<Bound<'py, PyAny>> {
    let out = match out {
        Some(out) => out,
        None => PyArrayDyn::<f32>::zeros(py, shape, false).into_any(),
    };
    let mut array = arrays::write("out", &out, shape)?;
    let data = array.as_slice_mut().map_err(|error| PyValueError::new_err(format!("out: {error}")))?;
    py.detach(|| work(data));
    drop(array);
    Ok(out)
}

/// Columns of a panel, for one of the available instruction sets.
#[pyfunction]
fn panel_width(isa: &str) -> PyResult<usize> {
    Ok(kernels_of(isa)?.panel_width)
}

/// Instruction sets that this CPU can run, the plainest first.
#[pyfunction]
fn available_isas() -> Vec<&'static str> {
    Isa::available().into_iter().map(Isa::name).collect()
}

fn kernels_of(name: &str) -> PyResult<Kernels> {
    Isa::from_name(name).and_then(Kernels::for_isa).ok_or_else(|| {
        let known = available_isas().join(", ");
        PyValueError::new_err(format!("isa: '{name}' is not available on this CPU; available: {known}"))
    })
}

fn chosen() -> PyResult<Kernels> {
    Kernels::chosen().map_err(PyRuntimeError::new_err)
}

#[pymodule]
fn _kernels(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyEngine>()?;
    module.add_class::<PyPackedMatrix>()?;
    module.add_class::<PyPackedFile>()?;
    module.add_class::<plan::PyPlan>()?;
    module.add_class::<plan::PyPlanBuilder>()?;
    module.add_function(wrap_pyfunction!(plan::kinds, module)?)?;
    module.add_function(wrap_pyfunction!(plan::supports, module)?)?;
    module.add_function(wrap_pyfunction!(available_isas, module)?)?;
    module.add_function(wrap_pyfunction!(panel_width, module)?)?;
    module.add("isa", chosen()?.isa.name())?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add("plan_revision", engine::ops::REVISION)?;
    module.add("packed_revision", engine::PACKED_REVISION)?;
    module.add("build_profile", if cfg!(debug_assertions) { "debug" } else { "release" })
}
