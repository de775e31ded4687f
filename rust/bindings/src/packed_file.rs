//! Files of packed matrices from Python: arrays of their bytes, and numbers that say where what lies.

use std::sync::Arc;

use engine::{PackedFile, Place, Source};
use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::arrays::Kept;

/// A matrix: its rows, and of its columns, side by side, the byte of the weights at which they begin, their count, and the
/// strides of rows and of columns in elements.
type Given = (usize, Vec<(usize, usize, usize, usize)>);

/// Matrices that engines need not pack, as long as they make them of the same weights.
#[pyclass(name = "PackedFile", module = "webnn_kernels", frozen)]
pub(crate) struct PyPackedFile {
    pub(crate) file: Arc<PackedFile>,
}

#[pymethods]
impl PyPackedFile {
    /// `matrices` lie in `file` at the places that follow them: the first byte and the number of bytes.
    #[new]
    #[pyo3(signature = (weights, file=None, matrices=vec![]))]
    fn new(
        weights: &Bound<'_, PyAny>,
        file: Option<&Bound<'_, PyAny>>,
        matrices: Vec<(Given, usize, usize)>,
    ) -> PyResult<Self> {
        let weights = Arc::new(Kept::new("weights", weights)?);
        let file: engine::plan::Owner = match file {
            Some(file) => Arc::new(Kept::new("file", file)?),
            None => Arc::new([]),
        };
        let known = matrices.into_iter().map(|(given, start, size)| (source(given), start..start.saturating_add(size)));
        let file = PackedFile::new(weights, file, known.collect()).map_err(PyValueError::new_err)?;
        Ok(Self { file: Arc::new(file) })
    }

    /// Matrices that plans took from the file, and those that they packed.
    #[getter]
    fn counts(&self) -> (usize, usize) {
        self.file.counts().into()
    }

    /// The matrices that plans have now and that are packed from the weights.
    fn matrices(&self) -> Vec<Given> {
        let place = |place: &Place| (place.start, place.n, place.strides[0], place.strides[1]);
        let matrices = self.file.matrices().into_iter();
        matrices.map(|(source, _)| (source.rows, source.columns.iter().map(place).collect())).collect()
    }

    /// The bytes of one of these, by its number, as `file` has them.
    fn packed<'py>(&self, py: Python<'py>, number: usize) -> PyResult<Bound<'py, PyBytes>> {
        let matrices = self.file.matrices();
        let (_, packing) = matrices.get(number).ok_or_else(|| PyIndexError::new_err(format!("matrix {number}")))?;
        let matrix = py.detach(|| packing.matrix());
        Ok(PyBytes::new(py, matrix.as_bytes()))
    }
}

fn source((rows, columns): Given) -> Source {
    let place = |(start, n, down, right)| Place { start, n, strides: [down, right] };
    Source { rows, columns: columns.into_iter().map(place).collect() }
}
