//! Matrices that were packed before and lie in a mapped file, known by the weights that they were packed from.
//!
//! Whoever opens the file answers for its being made of these weights, by these kernels; here it is made sure that no file
//! makes anything read what is not in it.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use kernels::{Bytes, Kernels, Line, PackedMatrix};

use crate::packing::{Columns, Packing};

/// Raised with every change of what packed matrices are, so that no file of another one is read.
pub const REVISION: u32 = 2;

/// Some columns of a matrix, by where they lie among the weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The byte of the weights at which they begin.
    pub start: usize,
    /// How many there are.
    pub n: usize,
    /// Of rows and of columns, in elements.
    pub strides: [usize; 2],
}

/// What a matrix is packed from: columns side by side.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Source {
    /// Rows of all of them.
    pub rows: usize,
    /// The columns.
    pub columns: Vec<Place>,
}

/// A file of packed matrices, and those that plans were made of.
pub struct PackedFile {
    weights: Bytes,
    file: Bytes,
    known: HashMap<Source, Range<usize>>,
    /// What plans were made of, in the order in which they were made.
    used: Mutex<Vec<(Source, Weak<Packing>)>>,
    from_file: AtomicUsize,
    from_memory: AtomicUsize,
}

impl PackedFile {
    /// A file of matrices packed from `weights`, and where each lies in it.
    ///
    /// # Errors
    ///
    /// A matrix is not in the file, or not aligned.
    pub fn new(weights: Bytes, file: Bytes, known: Vec<(Source, Range<usize>)>) -> Result<Self, String> {
        let size = (*file).as_ref().len();
        for (number, (_, range)) in known.iter().enumerate() {
            let Range { start, end } = *range;
            if start > end || end > size || !start.is_multiple_of(size_of::<Line>()) {
                return Err(format!("matrix {number} lies at {start} to {end} of {size} bytes"));
            }
        }
        let (from_file, from_memory) = Default::default();
        Ok(Self { weights, file, known: known.into_iter().collect(), used: Mutex::default(), from_file, from_memory })
    }

    /// The matrices that plans have now, without those packed from other numbers than the weights.
    pub fn matrices(&self) -> Vec<(Source, Arc<Packing>)> {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.iter().filter_map(|(source, packing)| Some((source.clone(), packing.upgrade()?))).collect()
    }

    /// How many matrices were found in the file, and how many were packed.
    pub fn counts(&self) -> [usize; 2] {
        [&self.from_file, &self.from_memory].map(|count| count.load(Ordering::Relaxed))
    }

    /// What these columns are among the weights; `None` where one is not.
    pub(crate) fn source(&self, rows: usize, columns: &[Columns]) -> Option<Source> {
        let weights = (*self.weights).as_ref().as_ptr_range();
        let place = |Columns { owner, n, strides }: &Columns| {
            let own = (**owner).as_ref().as_ptr_range();
            let is_inside = weights.start <= own.start && own.end <= weights.end;
            let start = own.start.addr().checked_sub(weights.start.addr()).filter(|_| is_inside)?;
            Some(Place { start, n: *n, strides: *strides })
        };
        Some(Source { rows, columns: columns.iter().map(place).collect::<Option<_>>()? })
    }

    /// The matrix packed from this, if the file has it as these kernels read it.
    pub(crate) fn matrix(&self, kernels: &Kernels, source: &Source) -> Option<PackedMatrix> {
        let range = self.known.get(source)?.clone();
        let shape = [source.rows, source.columns.iter().map(|columns| columns.n).sum()];
        PackedMatrix::kept(kernels, shape, Arc::clone(&self.file), range)
    }

    /// Notes a matrix of a plan.
    pub(crate) fn note(&self, source: Option<Source>, packing: &Arc<Packing>, is_from_file: bool) {
        (if is_from_file { &self.from_file } else { &self.from_memory }).fetch_add(1, Ordering::Relaxed);
        // Not where the lock is locked for good, in a child that was forked just then: only who writes a file reads the list.
        if let (Some(source), Ok(mut used)) = (source, self.used.try_lock()) {
            used.push((source, Arc::downgrade(packing)));
        }
    }
}

impl std::fmt::Debug for PackedFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PackedFile").field("matrices", &self.known.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{PackedFile, Place, Source};
    use crate::packing::{Columns, Packing};
    use crate::plan::Owner;
    use crate::{Engine, Kernels};

    /// Some elements of an array, at the places that they have in it.
    struct Part {
        all: Arc<Vec<f32>>,
        first: usize,
        count: usize,
    }

    impl AsRef<[u8]> for Part {
        fn as_ref(&self) -> &[u8] {
            bytemuck::cast_slice(&self.all[self.first..self.first + self.count])
        }
    }

    /// Bytes that begin where a line may.
    struct Aligned(Vec<u8>, usize);

    impl Aligned {
        fn new(content: &[u8]) -> Self {
            let mut bytes = vec![0; content.len() + 64];
            let start = bytes.as_ptr().align_offset(64);
            bytes[start..start + content.len()].copy_from_slice(content);
            Self(bytes, content.len())
        }
    }

    impl AsRef<[u8]> for Aligned {
        fn as_ref(&self) -> &[u8] {
            let start = self.0.as_ptr().align_offset(64);
            &self.0[start..start + self.1]
        }
    }

    const K: usize = 9;
    const WIDTHS: [usize; 2] = [40, 7];

    fn part(all: &Arc<Vec<f32>>, first: usize, count: usize) -> Owner {
        Arc::new(Part { all: Arc::clone(all), first, count })
    }

    fn columns(all: &Arc<Vec<f32>>) -> Vec<Columns> {
        let starts = [3, 3 + K * WIDTHS[0] + 5];
        let column = |(first, n)| Columns { owner: part(all, first, K * n), n, strides: [n, 1] };
        starts.into_iter().zip(WIDTHS).map(column).collect()
    }

    fn weights() -> Arc<Vec<f32>> {
        Arc::new((0..1000).map(|index| index as f32 + 1.0).collect())
    }

    fn packed(engine: &Engine, all: &Arc<Vec<f32>>) -> Arc<Packing> {
        engine.pack_later(K, columns(all))
    }

    fn engine(threads: usize, file: &Arc<PackedFile>) -> Engine {
        Engine::new(Kernels::chosen().unwrap(), threads).with_packed_file(Arc::clone(file))
    }

    #[test]
    fn what_was_packed_is_found_by_its_place_among_the_weights() {
        let all = weights();
        for threads in [1, 2] {
            let recorded = Arc::new(PackedFile::new(part(&all, 0, 1000), Arc::new([]), vec![]).unwrap());
            let own = engine(threads, &recorded);
            let (first, other) = (packed(&own, &all), packed(&own, &weights()));
            assert_eq!(recorded.counts(), [0, 2]);
            let (source, found) = recorded.matrices().pop().unwrap();
            assert_eq!(recorded.matrices().len(), 1, "of other numbers than the weights there is no source");
            let place = |start, n| Place { start, n, strides: [n, 1] };
            assert_eq!(source, Source { rows: K, columns: vec![place(12, 40), place(4 * (8 + K * 40), 7)] });
            assert_eq!(other.matrix().as_bytes(), found.matrix().as_bytes());

            let content = first.matrix().as_bytes().to_vec();
            let bytes = [&[0; 64], &content[..], &[0; 64]].concat();
            let range = 64..64 + content.len();
            let known = vec![(source.clone(), range.clone())];
            let file = Arc::new(PackedFile::new(part(&all, 0, 1000), Arc::new(Aligned::new(&bytes)), known).unwrap());
            let again = packed(&engine(threads, &file), &all);
            assert!(again.is_done());
            assert_eq!(again.matrix().as_bytes(), content);
            assert_eq!(again.shape(), [K, 47]);
            assert_eq!(file.counts(), [1, 0]);

            // Another shape, a line less, other strides: none of them is this matrix.
            let shorter = range.start..range.end - 64;
            let mut turned = source.clone();
            turned.columns[0].strides = [1, K];
            for (source, range) in
                [(Source { rows: K + 1, ..source.clone() }, range.clone()), (source, shorter), (turned, range)]
            {
                let known = vec![(source, range)];
                let file =
                    Arc::new(PackedFile::new(part(&all, 0, 1000), Arc::new(Aligned::new(&bytes)), known).unwrap());
                assert_eq!(packed(&engine(threads, &file), &all).matrix().as_bytes(), content);
                assert_eq!(file.counts(), [0, 1]);
            }
        }
    }

    #[test]
    fn a_matrix_outside_its_file_or_not_on_a_line_is_refused() {
        let source = Source { rows: 1, columns: vec![] };
        for range in [0..129, 1..65, 192..192, 64..usize::MAX] {
            let file = PackedFile::new(Arc::new([]), Arc::new([0; 128]), vec![(source.clone(), range.clone())]);
            assert!(file.is_err(), "{range:?}");
        }
        #[allow(clippy::reversed_empty_ranges)]
        let turned = 128..64;
        assert!(PackedFile::new(Arc::new([]), Arc::new([0; 128]), vec![(source, turned)]).is_err());
    }
}
