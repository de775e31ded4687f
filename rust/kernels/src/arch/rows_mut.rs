//! A writable matrix view that can be cut along both axes, so that threads write disjoint blocks of one array.
//!
//! Slices cannot express a block of columns, which is why this type keeps a pointer. Its whole argument is that a
//! view covers exactly the elements `start + row * stride + col`, that `cols <= stride`, and that cutting hands every
//! element to exactly one of the two parts.

use std::marker::PhantomData;

/// `count` rows of `cols` elements, `stride` elements from one to the next, none of them shared with another view.
#[derive(Debug)]
pub struct RowsMut<'a> {
    start: *mut f32,
    count: usize,
    cols: usize,
    stride: usize,
    elements: PhantomData<&'a mut [f32]>,
}

// SAFETY: a view is the only way to its elements for the lifetime 'a, as a `&mut [f32]` is, and that is Send.
unsafe impl Send for RowsMut<'_> {}

impl<'a> RowsMut<'a> {
    /// The rows starting at `data[0]`; `None` where they overlap one another or end outside `data`.
    pub fn new(data: &'a mut [f32], count: usize, cols: usize, stride: usize) -> Option<Self> {
        let end = match count {
            0 => 0,
            _ => (count - 1).checked_mul(stride)?.checked_add(cols)?,
        };
        let disjoint = cols <= stride || count <= 1;
        (disjoint && end <= data.len()).then_some(Self {
            start: data.as_mut_ptr(),
            count,
            cols,
            stride: if count <= 1 { cols } else { stride },
            elements: PhantomData,
        })
    }

    /// The same view, for as long as this one is lent.
    pub fn lend(&mut self) -> RowsMut<'_> {
        RowsMut { elements: PhantomData, ..*self }
    }

    /// How many rows there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Elements in a row.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// One row, for as long as the view itself is borrowed.
    #[inline(always)]
    pub fn row(&mut self, index: usize) -> &mut [f32] {
        assert!(index < self.count, "row {index} of {}", self.count);
        // SAFETY: `new` checked that row `count - 1` ends inside the borrowed slice, and cutting only shrinks a view.
        let first = unsafe { self.start.add(index * self.stride) };
        // SAFETY: `cols` elements from there are in bounds for the same reason, and no other view has them.
        unsafe { std::slice::from_raw_parts_mut(first, self.cols) }
    }

    /// The rows before `index`, and those from it on.
    pub fn split_at_row(self, index: usize) -> (Self, Self) {
        assert!(index <= self.count, "cut at row {index} of {}", self.count);
        // An empty second part keeps the first one's address: nothing is computed past the end of the slice.
        let offset = if index == self.count { 0 } else { index * self.stride };
        // SAFETY: either zero, or the start of an existing row.
        let second = unsafe { self.start.add(offset) };
        (Self { count: index, ..self }, Self { start: second, count: self.count - index, ..self })
    }

    /// The columns before `index`, and those from it on, of every row.
    pub fn split_at_col(self, index: usize) -> (Self, Self) {
        assert!(index <= self.cols, "cut at column {index} of {}", self.cols);
        let offset = if self.count == 0 { 0 } else { index };
        // SAFETY: at most one past the last element of the first row, which exists unless the offset is zero.
        let second = unsafe { self.start.add(offset) };
        (Self { cols: index, ..self }, Self { start: second, cols: self.cols - index, ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::RowsMut;

    #[test]
    fn every_element_lands_in_exactly_one_part() {
        let mut data = vec![0.0_f32; 5 * 7];
        let all = RowsMut::new(&mut data, 5, 6, 7).unwrap();
        let (top, bottom) = all.split_at_row(2);
        let (left, right) = top.split_at_col(4);
        for (number, mut part) in [left, right, bottom].into_iter().enumerate() {
            for row in 0..part.count() {
                part.row(row).iter_mut().for_each(|x| *x += 1.0 + number as f32);
            }
        }
        for row in 0..5 {
            for col in 0..7 {
                let expected = match (row, col) {
                    (_, 6) => 0.0,
                    (0..2, 0..4) => 1.0,
                    (0..2, _) => 2.0,
                    _ => 3.0,
                };
                assert_eq!(data[row * 7 + col], expected, "row {row}, column {col}");
            }
        }
    }

    #[test]
    fn overlapping_or_outlying_rows_are_refused() {
        let mut data = vec![0.0_f32; 10];
        assert!(RowsMut::new(&mut data, 2, 6, 5).is_none());
        assert!(RowsMut::new(&mut data, 2, 5, 6).is_none());
        assert!(RowsMut::new(&mut data, 2, 1, usize::MAX).is_none());
        assert!(RowsMut::new(&mut data, 1, 10, 0).is_some());
    }
}
