//! Operands that are stretched to the shape of a result, walked in runs of adjacent elements.

use crate::plan::RunError;

/// How operands lie under a result: axes that all of them pass through alike are one, and axes of one element are gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Broadcast<const N: usize> {
    /// Sizes of the axes, the last one innermost; at least one.
    sizes: Vec<usize>,
    /// For each axis, how far each operand moves: in elements, 0 where it is repeated.
    strides: Vec<[usize; N]>,
}

impl<const N: usize> Broadcast<N> {
    /// The walk over `result`.
    ///
    /// # Errors
    ///
    /// An operand cannot be stretched to that shape.
    pub(crate) fn new(result: &[usize], operands: [&[usize]; N]) -> Result<Self, RunError> {
        for operand in operands {
            let fits = operand.len() <= result.len()
                && operand.iter().rev().zip(result.iter().rev()).all(|(own, size)| own == size || *own == 1);
            if !fits {
                return Err(RunError::Operand(format!("shape {operand:?} cannot be stretched to {result:?}")));
            }
        }
        let mut own = [1; N];
        // Innermost axes first, turned round at the end.
        let (mut sizes, mut strides): (Vec<usize>, Vec<[usize; N]>) = (Vec::new(), Vec::new());
        for (depth, size) in result.iter().rev().enumerate() {
            let mut stride = [0; N];
            for (index, operand) in operands.iter().enumerate() {
                let here = operand.len().checked_sub(depth + 1).map_or(1, |axis| operand[axis]);
                if here != 1 {
                    stride[index] = own[index];
                    own[index] *= here;
                }
            }
            if *size == 1 {
                continue;
            }
            match (sizes.last_mut(), strides.last()) {
                (Some(inner), Some(inner_stride)) if (0..N).all(|i| stride[i] == inner_stride[i] * *inner) => {
                    *inner *= size;
                }
                _ => {
                    sizes.push(*size);
                    strides.push(stride);
                }
            }
        }
        if sizes.is_empty() {
            sizes.push(1);
            strides.push([0; N]);
        }
        sizes.reverse();
        strides.reverse();
        Ok(Self { sizes, strides })
    }

    /// Elements of a run; in a run each operand moves by 0 or 1.
    pub(crate) fn run(&self) -> usize {
        self.sizes[self.sizes.len() - 1]
    }

    /// How far each operand moves from one element of a run to the next: 0 or 1.
    pub(crate) fn steps(&self) -> [usize; N] {
        self.strides[self.strides.len() - 1]
    }

    /// How many runs there are.
    pub(crate) fn runs(&self) -> usize {
        self.sizes[..self.sizes.len() - 1].iter().product()
    }

    /// Where each operand is at the start of a run.
    pub(crate) fn start(&self, mut run: usize) -> [usize; N] {
        let mut start = [0; N];
        for (size, stride) in self.sizes.iter().zip(&self.strides).rev().skip(1) {
            let position = run % size;
            run /= size;
            for index in 0..N {
                start[index] += position * stride[index];
            }
        }
        start
    }
}

#[cfg(test)]
mod tests {
    use super::Broadcast;

    #[test]
    fn axes_that_all_operands_pass_alike_are_one() {
        let walk = Broadcast::new(&[2, 3, 4], [&[2, 3, 4], &[2, 3, 4]]).unwrap();
        assert_eq!((walk.runs(), walk.run(), walk.steps()), (1, 24, [1, 1]));
        let walk = Broadcast::new(&[2, 3, 4], [&[2, 3, 4], &[4]]).unwrap();
        assert_eq!((walk.runs(), walk.run(), walk.steps(), walk.start(5)), (6, 4, [1, 1], [20, 0]));
        let walk = Broadcast::new(&[2, 3, 4], [&[], &[2, 1, 1]]).unwrap();
        assert_eq!((walk.runs(), walk.run(), walk.steps(), walk.start(1)), (2, 12, [0, 0], [0, 1]));
    }

    #[test]
    fn every_element_is_where_plain_indexing_finds_it() {
        let result = [2, 3, 1, 4, 5];
        for operand in [&[2, 3, 1, 4, 5][..], &[3, 1, 1, 5], &[4, 1], &[2, 1, 1, 1, 5], &[], &[1, 1, 5]] {
            let walk = Broadcast::new(&result, [operand]).unwrap();
            for element in 0..result.iter().product::<usize>() {
                let (mut rest, mut want, mut stride) = (element, 0, 1);
                for (depth, size) in result.iter().rev().enumerate() {
                    let own = operand.len().checked_sub(depth + 1).map_or(1, |axis| operand[axis]);
                    want += if own == 1 { 0 } else { rest % size * stride };
                    stride *= own;
                    rest /= size;
                }
                let found = walk.start(element / walk.run())[0] + element % walk.run() * walk.steps()[0];
                assert_eq!(found, want, "{operand:?} element {element}");
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(Broadcast::new(&[2, 3], [&[2]]).is_err());
        assert!(Broadcast::new(&[3], [&[1, 3]]).is_err());
    }
}
