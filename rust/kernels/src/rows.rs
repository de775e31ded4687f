//! A read-only matrix view: rows that are contiguous inside and a constant distance apart.

/// `count` rows of `cols` elements, `stride` elements from one to the next; stride 0 repeats one row.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    data: &'a [f32],
    count: usize,
    cols: usize,
    stride: usize,
}

impl<'a> Rows<'a> {
    /// The rows starting at `data[0]`, or `None` where the last one would end outside `data`.
    pub fn new(data: &'a [f32], count: usize, cols: usize, stride: usize) -> Option<Self> {
        let end = match count {
            0 => 0,
            _ => (count - 1).checked_mul(stride)?.checked_add(cols)?,
        };
        (end <= data.len()).then_some(Self { data, count, cols, stride })
    }

    /// All of `data` as adjacent rows of `cols` elements.
    pub fn contiguous(data: &'a [f32], cols: usize) -> Self {
        assert!(cols > 0 && data.len().is_multiple_of(cols), "{} elements are not rows of {cols}", data.len());
        Self { data, count: data.len() / cols, cols, stride: cols }
    }

    /// How many rows there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Elements in a row.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// One row.
    #[inline(always)]
    pub fn row(&self, index: usize) -> &'a [f32] {
        assert!(index < self.count, "row {index} of {}", self.count);
        &self.data[index * self.stride..][..self.cols]
    }

    /// From an element on, to the end of the array.
    #[inline(always)]
    pub(crate) fn from(&self, row: usize, col: usize) -> &'a [f32] {
        &self.data[row * self.stride + col..]
    }

    /// Elements from one row to the next.
    #[inline(always)]
    pub(crate) fn stride(&self) -> usize {
        self.stride
    }

    /// Whether every row is the same memory.
    pub fn is_repeated(&self) -> bool {
        self.stride == 0 || self.count == 1
    }

    /// Rows `start..start + count`.
    pub fn range(&self, start: usize, count: usize) -> Self {
        assert!(start + count <= self.count, "rows {start}+{count} of {}", self.count);
        let data = if count == 0 { &[][..] } else { &self.data[start * self.stride..] };
        Self { data, count, ..*self }
    }

    /// Columns `start..start + cols` of every row.
    pub fn columns(&self, start: usize, cols: usize) -> Self {
        assert!(start + cols <= self.cols, "columns {start}+{cols} of {}", self.cols);
        let data = if self.count == 0 { self.data } else { &self.data[start..] };
        Self { data, cols, ..*self }
    }
}
