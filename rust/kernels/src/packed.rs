//! Right-hand matrices in the order in which the kernels read them.

use std::ops::Range;

use crate::Rows;
use crate::arch::pages::{Bytes, Lines};
use crate::digits;
use crate::dispatch::Kernels;

/// Sixteen elements on one cache line: a vector load from it never crosses two.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C, align(64))]
pub struct Line(pub [f32; 16]);

/// Elements in a [`Line`].
pub(crate) const LANES: usize = 16;

/// Lines of a panel, of [digits] or of floats.
fn panel_lines(k: usize, width: usize, is_in_digits: bool) -> usize {
    if is_in_digits { digits::panel_lines(k, width) } else { k * (width / LANES) }
}

/// A view of a packed `[k, n]` matrix: for each group of `width` columns, its `k` rows one after the other.
///
/// The last panel is filled up with zeros, so that kernels compute whole vectors and cut only what they write.
#[derive(Clone, Copy, Debug)]
pub struct Panels<'a> {
    lines: &'a [Line],
    /// Of the rows of a matrix in [digits]; none of one of floats.
    factors: &'a [Line],
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
            if !n.is_multiple_of(width) {
                let last = lines.len() - k * (width / LANES);
                lines[last..].fill(Line::default());
            }
            write_panels(lines, 0, &Piece { data, start: 0, n, strides: [row_stride, col_stride] }, k, width);
        }
        Self { lines, factors: &[], k, n, width }
    }

    /// A matrix that is in panels already: [`Panels::lines_for`] lines, for each panel its rows one after the other.
    pub fn packed(lines: &'a [Line], [k, n]: [usize; 2], width: usize) -> Self {
        assert!(width > 0 && width.is_multiple_of(LANES), "panels of {width} columns");
        assert_eq!(lines.len(), Self::lines_for(k, n, width), "lines for a packed [{k}, {n}]");
        Self { lines, factors: &[], k, n, width }
    }

    /// What the rows of a matrix in [digits] are multiplied by; none of one of floats.
    pub(crate) fn factors(&self) -> &'a [Line] {
        self.factors
    }

    /// Lines of a panel.
    fn size(&self) -> usize {
        panel_lines(self.k, self.width, !self.factors.is_empty())
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
        let size = self.size();
        &self.lines[index * size..(index + 1) * size]
    }

    /// The lines of one panel and of all that follow it.
    pub(crate) fn onward(&self, index: usize) -> &'a [Line] {
        &self.lines[index * self.size()..]
    }

    /// Panels `start..end`, as a matrix of their columns.
    pub fn range(&self, start: usize, end: usize) -> Self {
        assert!(start <= end && end <= self.count(), "panels {start}..{end} of {}", self.count());
        let size = self.size();
        let n = self.n.min(end * self.width) - self.n.min(start * self.width);
        Self { lines: &self.lines[start * size..end * size], n, ..*self }
    }
}

/// Some columns of a matrix, as they lie in memory.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    /// Holds the elements.
    pub data: &'a [f32],
    /// The column of the matrix that the first one is.
    pub start: usize,
    /// How many columns there are.
    pub n: usize,
    /// Of rows and of columns, in elements.
    pub strides: [usize; 2],
}

impl Piece<'_> {
    /// Panics unless it is columns of a matrix of this shape.
    fn check(&self, [k, n]: [usize; 2]) {
        if k > 0 && self.n > 0 {
            assert!(self.start + self.n <= n, "columns {} and {} more of {n}", self.start, self.n);
            let last = (k - 1) * self.strides[0] + (self.n - 1) * self.strides[1];
            assert!(last < self.data.len(), "element {last} of {}", self.data.len());
        }
    }
}

/// Writes what `piece` has of the panels from number `first` on that `lines` has room for.
pub(crate) fn write_panels(lines: &mut [Line], first: usize, piece: &Piece<'_>, k: usize, width: usize) {
    let vectors = width / LANES;
    let [row_stride, col_stride] = piece.strides;
    // Of each panel that has some of the piece: the first line, the first column in it and in the piece, and how many.
    let overlaps: Vec<[usize; 4]> = (0..lines.len() / (k * vectors))
        .filter_map(|panel| {
            let start = (first + panel) * width;
            let (low, high) = (start.max(piece.start), (start + width).min(piece.start + piece.n));
            (low < high).then(|| [panel * k * vectors, low - start, low - piece.start, high - low])
        })
        .collect();
    if col_stride != 1 {
        for [line, to, from, count] in overlaps {
            for (row, dest) in lines[line..].chunks_exact_mut(vectors).take(k).enumerate() {
                let source = &piece.data[row * row_stride + from * col_stride..];
                for col in 0..count {
                    dest[(to + col) / LANES].0[(to + col) % LANES] = source[col * col_stride];
                }
            }
        }
        return;
    }
    // Row after row, as they lie in memory: a panel at a time would go through all pages of the matrix for each.
    for row in 0..k {
        for &[line, to, from, count] in &overlaps {
            let dest = &mut lines[line + row * vectors..][..vectors];
            write_row(dest, to, &piece.data[row * row_stride + from..][..count]);
        }
    }
}

/// Writes columns of a row of a panel, from number `to` on.
fn write_row(row: &mut [Line], to: usize, source: &[f32]) {
    if !to.is_multiple_of(LANES) {
        for (col, value) in (to..).zip(source) {
            row[col / LANES].0[col % LANES] = *value;
        }
        return;
    }
    let (whole, rest) = source.as_chunks();
    let (lines, last) = row[to / LANES..].split_at_mut(whole.len());
    for (line, values) in lines.iter_mut().zip(whole) {
        line.0 = *values;
    }
    if let Some(line) = last.first_mut() {
        line.0[..rest.len()].copy_from_slice(rest);
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
    /// Writes this part of the matrix that `pieces` are, side by side.
    pub fn fill(self, pieces: &[Piece<'_>]) {
        let [k, n] = self.shape;
        for piece in pieces.iter().filter(|piece| piece.n > 0) {
            piece.check([k, n]);
            write_panels(self.lines, self.first, piece, k, self.width);
        }
    }
}

/// A right-hand matrix that is packed once and multiplied by often: the weights of a linear layer.
#[derive(Clone, Debug)]
pub struct PackedMatrix {
    lines: Lines,
    /// Lines of the factors of one in [digits].
    factors: usize,
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
        Self { lines, factors: 0, k: shape[0], n: shape[1], width }
    }

    /// A matrix of zeros, to be filled part by part.
    pub fn zeroed(kernels: &Kernels, [k, n]: [usize; 2]) -> Self {
        let width = kernels.panel_width;
        Self { lines: Lines::zeroed(Panels::lines_for(k, n, width)), factors: 0, k, n, width }
    }

    /// Memory for [`PackedMatrix::filled`].
    pub fn blank(kernels: &Kernels, shape @ [k, n]: [usize; 2]) -> Self {
        let width = kernels.panel_width;
        match digits::lines_for(shape, width).filter(|_| kernels.digits.is_some()) {
            Some(count) => Self { lines: Lines::zeroed(count), factors: digits::factor_lines(k), k, n, width },
            None => Self::zeroed(kernels, shape),
        }
    }

    /// The matrix that `pieces` are, side by side, in this [blank](PackedMatrix::blank) one: in [digits] where the table
    /// multiplies by them and they are near enough.
    pub fn filled(mut self, kernels: &Kernels, pieces: &[Piece<'_>]) -> Self {
        let shape @ [k, n] = [self.k, self.n];
        pieces.iter().for_each(|piece| piece.check(shape));
        if self.factors > 0 {
            let own = kernels.digits.as_ref().expect("the table that the memory is for");
            if digits::fill(own, &mut self.lines, pieces, shape, self.width) {
                return self;
            }
            self = Self::zeroed(kernels, [k, n]);
        }
        self.parts(1).into_iter().for_each(|part| part.fill(pieces));
        self
    }

    /// Whether kernels multiply by [digits] of it.
    pub fn is_in_digits(&self) -> bool {
        self.factors > 0
    }

    /// A matrix whose rows are made one after the other.
    pub(crate) fn of_rows(kernels: &Kernels, [k, n]: [usize; 2], mut make: impl FnMut(usize, &mut [f32])) -> Self {
        let mut matrix = Self::zeroed(kernels, [k, n]);
        let vectors = matrix.width / LANES;
        let mut made = vec![0.0; n];
        for row in 0..k {
            make(row, &mut made);
            for (panel, columns) in made.chunks(matrix.width).enumerate() {
                write_row(&mut matrix.lines[(panel * k + row) * vectors..][..vectors], 0, columns);
            }
        }
        matrix
    }

    /// The same matrix as somebody has packed and kept it; `None` where the bytes are not the lines of one of this shape.
    pub fn kept(kernels: &Kernels, [k, n]: [usize; 2], bytes: Bytes, range: Range<usize>) -> Option<Self> {
        let width = kernels.panel_width;
        let lines = Lines::kept(bytes, range)?;
        let factors = if lines.len() == Panels::lines_for(k, n, width) {
            0
        } else if kernels.digits.is_some() && Some(lines.len()) == digits::lines_for([k, n], width) {
            digits::factor_lines(k)
        } else {
            return None;
        };
        Some(Self { lines, factors, k, n, width })
    }

    /// What [`PackedMatrix::kept`] takes.
    pub fn as_bytes(&self) -> &[u8] {
        self.lines.as_bytes()
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
        let size = panel_lines(self.k, self.width, self.is_in_digits());
        let (lines, factors) = self.lines.split_at(self.n.div_ceil(self.width) * size);
        Panels { lines, factors: &factors[..self.factors], k: self.k, n: self.n, width: self.width }
    }
}

#[cfg(test)]
mod tests {
    use super::{Line, PackedMatrix, Panels, Piece};
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
                    part.fill(&[Piece { data: &data, start: 0, n, strides }]);
                }
                let whole = PackedMatrix::new(&kernels, &data, [k, n], strides);
                assert_eq!(parts.panels().lines, whole.panels().lines, "{count} parts");
                let of_rows = PackedMatrix::of_rows(&kernels, [k, n], |row, to| {
                    to.iter_mut().enumerate().for_each(|(col, to)| *to = data[row * strides[0] + col * strides[1]]);
                });
                assert_eq!(of_rows.panels().lines, whole.panels().lines);
                // Cut within a panel, at the end of one, and in the middle of a vector.
                for cuts in [[0, 5, 5, n], [0, width, 36, n], [0, 1, 34, n]] {
                    let mut parts = PackedMatrix::zeroed(&kernels, [k, n]);
                    let pieces: Vec<Piece<'_>> = (0..3)
                        .map(|at| Piece {
                            data: &data[cuts[at].min(n - 1) * strides[1]..],
                            start: cuts[at],
                            n: cuts[at + 1] - cuts[at],
                            strides,
                        })
                        .collect();
                    for part in parts.parts(count) {
                        part.fill(&pieces);
                    }
                    assert_eq!(parts.panels().lines, whole.panels().lines, "{count} parts, cut at {cuts:?}");
                }
            }
            assert_eq!(panels.onward(1), panels.panel(1));
        }
    }
}
