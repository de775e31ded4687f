//! NumPy arrays at the border: every check that makes the engine's own assertions unreachable.

use engine::Heads;
use numpy::{
    Element, PyArray1, PyArrayDescrMethods, PyArrayDyn, PyArrayMethods, PyReadonlyArrayDyn, PyReadwriteArrayDyn,
};
use numpy::{PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

/// A float32 array, of any order; `name` is the argument it was given as.
///
/// # Errors
///
/// `TypeError` for anything else, `ValueError` for one that is not aligned or that is being written.
pub(crate) fn read<'py>(name: &str, value: &Bound<'py, PyAny>) -> PyResult<PyReadonlyArrayDyn<'py, f32>> {
    let array = float32(name, value)?;
    array.try_readonly().map_err(|_| PyValueError::new_err(format!("{name}: being written to by another call")))
}

/// A float32 array that can be written, of adjacent elements.
///
/// # Errors
///
/// As [`read`], and `ValueError` for a read-only array or one whose shape is not `shape`.
pub(crate) fn write<'py>(
    name: &str,
    value: &Bound<'py, PyAny>,
    shape: &[usize],
) -> PyResult<PyReadwriteArrayDyn<'py, f32>> {
    let array = float32(name, value)?;
    if array.shape() != shape || !array.is_c_contiguous() {
        let found = array.shape();
        return Err(PyValueError::new_err(format!("{name}: shape {found:?}; must be C-contiguous of shape {shape:?}")));
    }
    array
        .try_readwrite()
        .map_err(|_| PyValueError::new_err(format!("{name}: read-only, or also an input; must be an array of its own")))
}

fn float32<'py>(name: &str, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyArrayDyn<f32>>> {
    let Ok(untyped) = value.cast::<PyUntypedArray>() else {
        let found = value.get_type().name()?;
        return Err(PyTypeError::new_err(format!("{name}: a {found}; must be a numpy.ndarray of float32")));
    };
    if !untyped.dtype().is_equiv_to(&f32::get_dtype(value.py())) {
        let found = untyped.dtype();
        return Err(PyTypeError::new_err(format!("{name}: array of {found}; must be of float32 in native byte order")));
    }
    if !value.getattr("flags")?.getattr("aligned")?.is_truthy()? {
        return Err(PyValueError::new_err(format!("{name}: not aligned in memory; must be a copy made by NumPy")));
    }
    Ok(value.cast::<PyArrayDyn<f32>>()?.clone())
}

/// The elements in C order.
///
/// # Errors
///
/// `ValueError` where they are not adjacent in that order.
pub(crate) fn elements<'a>(name: &str, array: &'a PyReadonlyArrayDyn<'_, f32>) -> PyResult<&'a [f32]> {
    let refuse = || PyValueError::new_err(format!("{name}: not C-contiguous; use numpy.ascontiguousarray"));
    array.as_array().to_slice().ok_or_else(refuse)
}

/// All the memory of an array whose axes may be permuted, and its strides in elements (0 for axes of one element).
///
/// # Errors
///
/// `ValueError` where the array has gaps, repeats elements or runs backwards.
pub(crate) fn permuted<'a>(name: &str, array: &'a PyReadonlyArrayDyn<'_, f32>) -> PyResult<(&'a [f32], Vec<usize>)> {
    let refuse = || PyValueError::new_err(format!("{name}: elements are not adjacent; use numpy.ascontiguousarray"));
    if array.shape().contains(&0) {
        return Ok((&[], vec![0; array.shape().len()]));
    }
    let strides: Vec<usize> = array
        .shape()
        .iter()
        .zip(array.strides())
        .map(
            |(size, bytes)| {
                if *size == 1 { Ok(0) } else { usize::try_from(*bytes).map(|bytes| bytes / size_of::<f32>()) }
            },
        )
        .collect::<Result<_, _>>()
        .map_err(|_| refuse())?;
    // The view lives as long as the array's borrow; only its lifetime, not its slice, would end here.
    let data = array.as_array().to_slice_memory_order().ok_or_else(refuse)?;
    Ok((data, strides))
}

/// A four-dimensional array as heads.
///
/// # Errors
///
/// `ValueError` for another rank, or where the last axis is not adjacent.
pub(crate) fn heads<'a>(name: &str, array: &'a PyReadonlyArrayDyn<'_, f32>) -> PyResult<Heads<'a>> {
    let (data, strides) = permuted(name, array)?;
    let (&[batch, heads, rows, cols], &[s0, s1, s2, last]) = (array.shape(), strides.as_slice()) else {
        let found = array.shape();
        return Err(PyValueError::new_err(format!("{name}: shape {found:?}; must be [batch, heads, rows, columns]")));
    };
    if cols > 1 && last != 1 && !data.is_empty() {
        return Err(PyValueError::new_err(format!(
            "{name}: the last axis is not adjacent; use numpy.ascontiguousarray"
        )));
    }
    Heads::new(data, [batch, heads, rows, cols], [s0, s1, s2])
        .ok_or_else(|| PyValueError::new_err(format!("{name}: the array does not hold its own shape")))
}

/// An array as a view of the shape of the scores; each of its axes but the last is the scores' own or 1.
///
/// # Errors
///
/// `ValueError` where it does not broadcast like that.
pub(crate) fn repeated<'a>(
    name: &str,
    array: &'a PyReadonlyArrayDyn<'_, f32>,
    scores: [usize; 4],
) -> PyResult<Heads<'a>> {
    Heads::repeated(elements(name, array)?, array.shape(), scores).ok_or_else(|| {
        let found = array.shape();
        PyValueError::new_err(format!("{name}: shape {found:?}; must be {scores:?}, where all but the last may be 1"))
    })
}

/// The bytes of a read-only array, kept alive: what a plan holds of a constant, without a copy of a mapped file.
pub(crate) struct Kept {
    _array: Py<PyArray1<u8>>,
    data: *const u8,
    size: usize,
}

// SAFETY: the bytes are only read, and only while the array that owns them is referenced. Dropping the reference from a
// thread without the GIL is what `Py` is made for.
#[allow(unsafe_code)]
unsafe impl Send for Kept {}
// SAFETY: as for `Send`; all access is by shared reference.
#[allow(unsafe_code)]
unsafe impl Sync for Kept {}

impl Kept {
    /// Keeps an array of bytes that are adjacent.
    ///
    /// # Errors
    ///
    /// `TypeError` for anything else, `ValueError` for an array that can be written or has gaps.
    pub(crate) fn new(name: &str, value: &Bound<'_, PyAny>) -> PyResult<Self> {
        let Ok(array) = value.cast::<PyArray1<u8>>() else {
            let found = value.get_type().name()?;
            return Err(PyTypeError::new_err(format!("{name}: a {found}; must be a numpy.ndarray of uint8, flat")));
        };
        if value.getattr("flags")?.getattr("writeable")?.is_truthy()? {
            return Err(PyValueError::new_err(format!("{name}: can be written; must be a read-only view")));
        }
        let borrow = array.try_readonly().map_err(|error| PyValueError::new_err(format!("{name}: {error}")))?;
        let bytes = borrow.as_slice().map_err(|error| PyValueError::new_err(format!("{name}: {error}")))?;
        let (data, size) = (bytes.as_ptr(), bytes.len());
        drop(borrow);
        Ok(Self { _array: array.clone().unbind(), data, size })
    }
}

impl AsRef<[u8]> for Kept {
    #[allow(unsafe_code)]
    fn as_ref(&self) -> &[u8] {
        // SAFETY: `data` and `size` are those of a slice that NumPy gave; NumPy moves or frees the memory of an array
        // only when nothing refers to it, and `_array` does. The array is read-only, and so are the arrays that the
        // backend makes constants of: nobody writes to them.
        unsafe { std::slice::from_raw_parts(self.data, self.size) }
    }
}
