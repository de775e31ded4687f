//! Views of four-dimensional arrays: batch, heads, rows, and columns that are adjacent in memory.

use kernels::Rows;

/// A read-only `[batch, heads, rows, cols]` view with any strides but that of the columns, which is 1.
///
/// A stride of 0 repeats: a mask that all heads share has one for the heads.
#[derive(Clone, Copy, Debug)]
pub struct Heads<'a> {
    data: &'a [f32],
    shape: [usize; 4],
    strides: [usize; 3],
}

impl<'a> Heads<'a> {
    /// The view that starts at `data[0]`, or `None` where its last element would lie outside `data`.
    pub fn new(data: &'a [f32], shape: [usize; 4], strides: [usize; 3]) -> Option<Self> {
        if shape[..3].iter().all(|size| *size > 0) {
            let last = shape
                .iter()
                .zip(strides)
                .try_fold(0_usize, |offset, (size, stride)| offset.checked_add((size - 1).checked_mul(stride)?))?;
            if last.checked_add(shape[3])? > data.len() {
                return None;
            }
        }
        Some(Self { data, shape, strides })
    }

    /// A C-ordered array as a view of `shape`, whose axes it may repeat: all but the last may have one element in it.
    pub fn repeated(data: &'a [f32], own: &[usize], shape: [usize; 4]) -> Option<Self> {
        let fits =
            own.len() == 4 && own[3] == shape[3] && own.iter().zip(shape).all(|(own, size)| *own == size || *own == 1);
        let stride = |axis: usize| if own[axis] == 1 { 0 } else { own[axis + 1..].iter().product() };
        if fits { Self::new(data, shape, [stride(0), stride(1), stride(2)]) } else { None }
    }

    /// Sizes of the four axes.
    pub fn shape(&self) -> [usize; 4] {
        self.shape
    }

    /// The rows of one head; the axes must not be empty.
    pub(crate) fn head(&self, batch: usize, head: usize) -> Rows<'a> {
        let [batches, heads, rows, cols] = self.shape;
        assert!(batch < batches && head < heads, "head {head} of batch {batch} in {:?}", self.shape);
        let start = batch * self.strides[0] + head * self.strides[1];
        Rows::new(&self.data[start..], rows, cols, self.strides[2]).expect("the constructor checked the last element")
    }
}
