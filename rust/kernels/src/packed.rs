//! Right-hand matrices in the order in which the kernels read them.

use crate::Rows;
use crate::arch::pages::Lines;
use crate::dispatch::Kernels;

/// Sixteen elements on one cache line: a vector load from it never crosses two.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C, align(64))]
pub struct Line(pub [f32; 16]);

/// Elements in a [`Line`].
pub(crate) const LANES: usize = 16;

/// A view of a packed `[k, n]` matrix: for each group of `width` columns, its `k` rows one after the other.
///
/// The last panel is filled up with zeros, so that kernels compute whole vectors and cut only what they write.
#[derive(Clone, Copy, Debug)]
pub struct Panels<'a> {
    lines: &'a [Line],
    k: usize,
    n: usize,
    width: usize,
}

impl<'a> Panels<'a> {
    /// How many lines a `[k, n]` matrix takes in panels of `width` columns.
    pub fn lines_for(k: usize, n: usize, width: usize) -> usize {
        n.div_ceil(width) * k * (width / LANES)
    }

    /// Writes a matrix given by its strides into `lines` (exactly [`Panels::lines_for`] of them).
    ///
    /// Element `[row, col]` is `data[row * row_stride + col * col_stride]`.
    pub fn pack(
        lines: &'a mut [Line],
        data: &[f32],
        [k, n]: [usize; 2],
        [row_stride, col_stride]: [usize; 2],
        width: usize,
    ) -> Self {
        assert!(width > 0 && width.is_multiple_of(LANES), "panels of {width} columns");
        assert_eq!(lines.len(), Self::lines_for(k, n, width), "lines for a packed [{k}, {n}]");
        if k > 0 && n > 0 {
            let last = (k - 1) * row_stride + (n - 1) * col_stride;
            assert!(last < data.len(), "element {last} of {}", data.len());
            write_panels(lines, 0, data, [k, n], [row_stride, col_stride], width);
        }
        Self { lines, k, n, width }
    }

    /// A matrix that is in panels already: [`Panels::lines_for`] lines, for each panel its rows one after the other.
    pub fn packed(lines: &'a [Line], [k, n]: [usize; 2], width: usize) -> Self {
        assert!(width > 0 && width.is_multiple_of(LANES), "panels of {width} columns");
        assert_eq!(lines.len(), Self::lines_for(k, n, width), "lines for a packed [{k}, {n}]");
        Self { lines, k, n, width }
    }

    /// Rows of the matrix, the dimension that is summed over.
    pub fn k(&self) -> usize {
        self.k
    }

    /// Columns of the matrix.
    pub fn n(&self) -> usize {
        self.n
    }

    /// Columns of a panel.
    pub fn width(&self) -> usize {
        self.width
    }

    /// How many panels there are.
    pub fn count(&self) -> usize {
        self.n.div_ceil(self.width)
    }

    /// The lines of one panel.
    pub fn panel(&self, index: usize) -> &'a [Line] {
        let size = self.k * (self.width / LANES);
        &self.lines[index * size..(index + 1) * size]
    }

    /// The lines of one panel and of all that follow it.
    pub(crate) fn onward(&self, index: usize) -> &'a [Line] {
        &self.lines[index * self.k * (self.width / LANES)..]
    }

    /// Panels `start..end`, as a matrix of their columns.
    pub fn range(&self, start: usize, end: usize) -> Self {
        assert!(start <= end && end <= self.count(), "panels {start}..{end} of {}", self.count());
        let size = self.k * (self.width / LANES);
        let n = self.n.min(end * self.width) - self.n.min(start * self.width);
        Self { lines: &self.lines[start * size..end * size], n, ..*self }
    }
}

/// Writes the panels from number `first` on that `lines` has room for.
fn write_panels(
    lines: &mut [Line],
    first: usize,
    data: &[f32],
    [k, n]: [usize; 2],
    [row_stride, col_stride]: [usize; 2],
    width: usize,
) {
    let vectors = width / LANES;
    if col_stride != 1 {
        for (panel, chunk) in lines.chunks_exact_mut(k * vectors).enumerate() {
            let start = (first + panel) * width;
            for (row, dest) in chunk.chunks_exact_mut(vectors).enumerate() {
                dest.fill(Line::default());
                let source = &data[row * row_stride + start * col_stride..];
                for col in 0..width.min(n - start) {
                    dest[col / LANES].0[col % LANES] = source[col * col_stride];
                }
            }
        }
        return;
    }
    // Row after row, as they lie in memory: a panel at a time would go through all pages of the matrix for each.
    for row in 0..k {
        for (panel, chunk) in lines.chunks_exact_mut(k * vectors).enumerate() {
            let start = (first + panel) * width;
            let source = &data[row * row_stride + start..row * row_stride + n.min(start + width)];
            let dest = &mut chunk[row * vectors..(row + 1) * vectors];
            if source.len() < width {
                dest.fill(Line::default());
            }
            for (line, part) in dest.iter_mut().zip(source.chunks(LANES)) {
                line.0[..part.len()].copy_from_slice(part);
            }
        }
    }
}

/// Some panels of a matrix that is being packed; see [`PackedMatrix::parts`].
#[derive(Debug)]
pub struct PackedPart<'a> {
    lines: &'a mut [Line],
    first: usize,
    shape: [usize; 2],
    width: usize,
}

impl PackedPart<'_> {
    /// Writes this part of the matrix that `data` holds; `strides` are those of its rows and columns, in elements.
    pub fn fill(self, data: &[f32], [row_stride, col_stride]: [usize; 2]) {
        let [k, n] = self.shape;
        let last = (k - 1) * row_stride + (n - 1) * col_stride;
        assert!(last < data.len(), "element {last} of {}", data.len());
        write_panels(self.lines, self.first, data, self.shape, [row_stride, col_stride], self.width);
    }
}

/// A right-hand matrix that is packed once and multiplied by often: the weights of a linear layer.
#[derive(Clone, Debug)]
pub struct PackedMatrix {
    lines: Lines,
    k: usize,
    n: usize,
    width: usize,
}

impl PackedMatrix {
    /// Packs for one table of kernels; `strides` are those of the rows and of the columns, in elements.
    pub fn new(kernels: &Kernels, data: &[f32], shape: [usize; 2], strides: [usize; 2]) -> Self {
        let width = kernels.panel_width;
        let mut lines = Lines::zeroed(Panels::lines_for(shape[0], shape[1], width));
        Panels::pack(&mut lines, data, shape, strides, width);
        Self { lines, k: shape[0], n: shape[1], width }
    }

    /// A matrix of zeros, to be filled part by part.
    pub fn zeroed(kernels: &Kernels, [k, n]: [usize; 2]) -> Self {
        let width = kernels.panel_width;
        Self { lines: Lines::zeroed(Panels::lines_for(k, n, width)), k, n, width }
    }

    /// The matrix in about `count` parts of whole panels, which threads may fill at the same time.
    pub fn parts(&mut self, count: usize) -> Vec<PackedPart<'_>> {
        let (shape, width) = ([self.k, self.n], self.width);
        let panels = self.n.div_ceil(width).div_ceil(count.max(1)).max(1);
        let size = panels * self.k * (width / LANES);
        if size == 0 {
            return Vec::new();
        }
        let chunks = self.lines.chunks_mut(size).enumerate();
        chunks.map(|(index, lines)| PackedPart { lines, first: index * panels, shape, width }).collect()
    }

    /// Packs adjacent rows.
    pub fn from_rows(kernels: &Kernels, rows: Rows<'_>) -> Self {
        let data: Vec<f32> = (0..rows.count()).flat_map(|row| rows.row(row).iter().copied()).collect();
        Self::new(kernels, &data, [rows.count(), rows.cols()], [rows.cols(), 1])
    }

    /// The view that kernels take.
    pub fn panels(&self) -> Panels<'_> {
        Panels { lines: &self.lines, k: self.k, n: self.n, width: self.width }
    }
}

#[cfg(test)]
mod tests {
    use super::{Line, PackedMatrix, Panels};
    use crate::Kernels;

    #[test]
    fn panels_hold_the_matrix_and_zeros() {
        let (k, n, width) = (3, 37, 32);
        let data: Vec<f32> = (0..k * n).map(|i| i as f32 + 1.0).collect();
        for transposed in [false, true] {
            let strides = if transposed { [1, k] } else { [n, 1] };
            let mut lines = vec![Line([9.0; 16]); Panels::lines_for(k, n, width)];
            let panels = Panels::pack(&mut lines, &data, [k, n], strides, width);
            assert_eq!(panels.count(), 2);
            for row in 0..k {
                for col in 0..2 * width {
                    let panel = panels.panel(col / width);
                    let got = panel[row * 2 + col % width / 16].0[col % 16];
                    let want = if col < n { data[row * strides[0] + col * strides[1]] } else { 0.0 };
                    assert_eq!(got, want, "row {row}, column {col}, transposed {transposed}");
                }
            }
            assert_eq!(panels.range(1, 2).n(), 5);
            let kernels = Kernels::chosen().unwrap();
            for count in [1, 2, 9] {
                let mut parts = PackedMatrix::zeroed(&kernels, [k, n]);
                for part in parts.parts(count).into_iter().rev() {
                    part.fill(&data, strides);
                }
                let whole = PackedMatrix::new(&kernels, &data, [k, n], strides);
                assert_eq!(parts.panels().lines, whole.panels().lines, "{count} parts");
            }
            assert_eq!(panels.onward(1), panels.panel(1));
        }
    }
}
